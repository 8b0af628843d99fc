"""Gives the values of secrets to the worker that runs a step which refers to them. Must not know the bus.

Everything is asked of the journal: that the attempt was granted to this claim and has not ended, and that its step, as it was accepted,
refers to these secrets, or the inventory for its host. What is not shown is refused, and the refusal says nothing of a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.deployment.host_rows import become_secret
from re_core.deployment.plan import PlannedStep, StepKind
from re_core.deployment.senders import OPEN, Sender
from re_core.deployment.state import State
from re_core.errors import CallerError
from re_core.playbook.secret_rules import SecretRules
from re_core.rows import SecretRow
from re_core.secret_names import environment_of, references
from re_core.usecases.granted import NotReleased, granted
from re_core.usecases.secrets import SecretDesk
from re_core.wire import sealed_box, strict_json
from re_core.wire.secret_messages import SecretRequest

__all__ = ["NotReleased", "Release", "release"]

#: bytes of all values of one answer
MOST_ANSWER = 512 * 1024

#: steps whose author a group is; the settings' own may refer to what they like
_OF_PLAYBOOKS = frozenset({StepKind.STEP, StepKind.PREFLIGHT})


class _Store(ports.Journal, ports.Registry, ports.SecretRows, Protocol):
    """The part of a store that this needs."""


class Release(NamedTuple):
    """What the use case needs."""

    store: _Store
    desk: SecretDesk
    rules: SecretRules
    #: all workers are part of this process
    alone: bool = False


def release(here: Release, request: SecretRequest, sender: Sender = OPEN) -> bytes:
    """The values that the store has, closed for the key of the request. Raises NotReleased, BadMessage, StoreUnavailable.

    `sender`: who has signed the request.
    """
    state, number = granted(here.store, request.attempt, request.token, request.worker, sender)
    step = state.plan.steps[number]
    _check_names(here, state, step, request.names)
    _check_worker(here, request, sender)
    rows = [row for name in request.names if (row := here.store.secret(name)) is not None]
    values = {row.name: _opened(here, row) for row in rows}
    plain = strict_json.dumps(values).encode()
    if len(plain) > MOST_ANSWER:
        raise NotReleased(f"the secrets of one step may have {MOST_ANSWER} bytes, found {len(plain)}")
    return sealed_box.close(request.key, plain, request.about)


def _opened(here: Release, row: SecretRow) -> str:
    try:
        return here.desk.open(row)
    except CallerError as error:
        raise NotReleased(f"the secret {row.name}: {error}") from None


def _check_names(here: Release, state: State, step: PlannedStep, names: Sequence[str]) -> None:
    group = state.accepted.group
    known = {name for _, name in references(step.spec.parameters)}
    of_host = become_secret(step.host or "", state.plan.hosts.rows)
    for name in names:
        if name not in known and name != of_host:
            raise NotReleased(f"the step does not refer to the secret {name}")
        # what the inventory refers to is its administrator's choice; what a step refers to, its author's
        if name in known and step.spec.kind in _OF_PLAYBOOKS and not here.rules.allows(group, name):
            raise NotReleased(f"the group {group!r:.100} may not use the secret {name} any more")


def _check_worker(here: Release, request: SecretRequest, sender: Sender) -> None:
    """A secret of an environment goes to a worker that is bound to it. Raises NotReleased."""
    wanted = {environment_of(name) for name in request.names} - {""}
    if here.alone or not wanted:
        return
    for environment in sorted(wanted):
        protected = sender.protection.of("", environment)
        if sender.credential is None and protected:
            raise NotReleased(f"the worker has shown no credential, and {protected}")
        if sender.credential is not None and environment not in sender.credential.environments:
            raise NotReleased(f"the credential {sender.name} is not for the environment {environment}")
    worker = next((one for one in here.store.workers() if one.id == request.worker), None)
    bound = frozenset() if worker is None else frozenset(worker.place.environments)
    if missing := sorted(wanted - bound):
        to = (
            f"is bound to {', '.join(sorted(bound))}"
            if bound
            else "is bound to no environment (re-worker --environment)"
        )
        raise NotReleased(f"a secret of the environment {missing[0]} is wanted, and the worker {to}")
