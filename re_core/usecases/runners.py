"""Forest runners: enrolled, listed, revoked and forgotten. Must not know how a runner connects.

A runner shows one text, its id: `<name>.<secret>`. Only the name is stored, shown and logged, and of the secret a digest.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.api import answers
from re_core.errors import Conflict, NotFound
from re_core.rows import Runner
from re_core.usecases.access import SECRET_BYTES, digest_of
from re_core.usecases.authorization import Allowed, Principal, Verb, can, require
from re_core.usecases.times import rfc3339

#: runners of one engine
MOST = 10_000

#: milliseconds of silence after which a runner counts as away; it sends a heartbeat every 30 s
SILENCE = 90_000


class Enrolled(NamedTuple):
    """A new runner. `id` is shown once and stored nowhere."""

    id: str
    runner: Runner


class _Store(ports.Runners, ports.Releases, Protocol):
    """The part of a store that knows runners."""


def enroll(runners: ports.Runners, clock: ports.Clock, principal: Principal, name: str, parallel: int = 1) -> Enrolled:
    """Make and store a runner. Raises NotAllowed, Conflict where the name is taken or there are too many.

    Name and number are what `requests.RunnerRequest` describes: the front door has checked them.
    """
    require(principal, Verb.ADMIN, None)
    if len(runners.runners()) >= MOST:
        raise Conflict(f"{MOST} runners are enrolled, the most that the engine keeps; forget revoked ones")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    runner = Runner(name, digest_of(secret), clock.now(), principal.subject, parallel)
    if not runners.enroll_runner(runner):
        raise Conflict(
            f"a runner {name!r} is enrolled already, and its id is shown only once; "
            "take another name, or revoke and forget that runner first"
        )
    return Enrolled(f"{name}.{secret}", runner)


def listed(runners: ports.Runners, clock: ports.Clock, principal: Principal) -> list[answers.Runner]:
    """For people. Every caller sees which runners there are; addresses and who enrolled them, one that sees every group."""
    whole = isinstance(can(principal, Verb.SEE, None), Allowed)
    return [runner_document(runner, clock.now(), whole) for runner in runners.runners()]


def set_parallel(
    runners: ports.Runners, clock: ports.Clock, principal: Principal, name: str, parallel: int
) -> answers.Runner:
    """How many releases at once it is given. Raises NotAllowed, NotFound."""
    require(principal, Verb.ADMIN, None)
    if not runners.set_parallel(name, parallel):
        raise _missing(name)
    return _document_of(runners, clock, name)


def revoke(runners: ports.Runners, clock: ports.Clock, principal: Principal, name: str) -> answers.Runner:
    """Refuse it from now on; twice is the same as once. Raises NotAllowed, NotFound.

    Its gateway ends the session within seconds. A release that it executes goes on, and its completion counts.
    """
    require(principal, Verb.ADMIN, None)
    runners.revoke_runner(name, clock.now())
    return _document_of(runners, clock, name)


def forget(store: _Store, principal: Principal, name: str) -> None:
    """Delete a revoked runner, so that its name can be enrolled again. Raises NotAllowed, NotFound, Conflict."""
    require(principal, Verb.ADMIN, None)
    found = store.runner(name)
    if found is None:
        raise _missing(name)
    if found.revoked is None:
        raise Conflict(f"the runner {name!r} is not revoked; revoke it first")
    busy = [one.id for one in store.open_releases() if one.runner == name]
    if busy:
        raise Conflict(f"the runner {name!r} has releases that are not over ({', '.join(busy[:3])}); try again later")
    store.forget_runner(name)


def split_id(text: str) -> tuple[str, str]:
    """The name that a runner shows, and its secret behind the last dot; empty where it shows none."""
    name, dot, secret = text.rpartition(".")
    return (name, secret) if dot else (secret, "")


def has_secret(runner: Runner | None, secret: str) -> bool:
    """Whether this is the runner's secret; takes the same time for every wrong one, and for None, which has none."""
    return hmac.compare_digest(digest_of(secret), runner.digest if runner else "0" * 64)


def is_connected(runner: Runner, now: int) -> bool:
    """Whether a gateway has said so, and heard from it lately: one that was killed takes nothing back."""
    return bool(runner.connected) and runner.seen is not None and now - runner.seen < SILENCE


def runner_document(runner: Runner, now: int, whole: bool) -> answers.Runner:
    """For people; where it connects from and who enrolled it is only in the whole document."""
    connected = is_connected(runner, now)
    return {
        "name": runner.name,
        "state": _state(runner, connected),
        "types": list(runner.capabilities),
        "parallel": runner.parallel,
        "active": runner.active if connected else 0,
        "offered": runner.offered,
        "gateway": runner.connected if connected else None,
        "seen": rfc3339(runner.seen),
        "peer": runner.peer if whole else "",
        "created": rfc3339(runner.created),
        "user": runner.user if whole else "",
        "revoked": rfc3339(runner.revoked),
    }


def _state(runner: Runner, connected: bool) -> answers.RunnerState:
    if runner.revoked is not None:
        return "revoked"
    if connected:
        return "connected"
    return "new" if runner.seen is None else "away"


def _document_of(runners: ports.Runners, clock: ports.Clock, name: str) -> answers.Runner:
    found = runners.runner(name)
    if found is None:
        raise _missing(name)
    return runner_document(found, clock.now(), whole=True)


def _missing(name: str) -> NotFound:
    return NotFound(f"there is no runner {name[:80]!r}")
