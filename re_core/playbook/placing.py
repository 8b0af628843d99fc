"""Where the steps of a stage run: in which pool, and of which environment. Pure; must not know how hosts are found.

A step's own pool counts first, then the stage's, then that of its host in the inventory. The environment is the stage's, or its
host's; where both say one, it has to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from re_core.deployment.plan import StepSpec
from re_core.errors import BadMessage, Problem
from re_core.playbook.host_rules import Resolved
from re_core.playbook.secret_rules import fits_environment
from re_core.secret_names import references
from re_core.wire.places import check_place
from re_core.wording import quoted

#: hosts that a message lists
_LISTED = 5


class Placement:
    """One stage's. Hosts of one place share their specifications."""

    def __init__(self, stage: Mapping[str, Any], hosts: Resolved) -> None:
        """`stage` as its author wrote it, whose keys `problems` has checked."""
        self._pool, self._environment = (str(stage.get(key, "")) for key in ("pool", "environment"))
        self._rows = hosts.rows
        self._made: dict[tuple[int, str, str], list[StepSpec]] = {}

    def of(self, specs: list[StepSpec], host: str) -> list[StepSpec]:
        """The same steps, where they run on this host; `specs` must live as long as this."""
        pool = self._pool or self._said("pool", host)
        environment = self._environment or self._said("environment", host)
        if not pool and not environment:
            return specs
        made = self._made.get((id(specs), pool, environment))
        if made is None:
            made = [one._replace(pool=one.pool or pool, environment=environment) for one in specs]
            self._made[id(specs), pool, environment] = made
        return made

    def _said(self, key: str, host: str) -> str:
        return str(self._rows.get(host, {}).get(key, ""))


def problems(stage: Mapping[str, Any], hosts: Resolved, specs: Iterable[StepSpec], at: str) -> list[Problem]:
    """What is wrong with the place of the stage that stands at this JSON pointer."""
    try:
        check_place(stage, at)
    except BadMessage as error:
        return list(error.problems)
    stated = str(stage.get("environment", ""))
    of_hosts = _environments(hosts)
    found = [
        Problem(f"{at}/environment", _conflict(stated, environment, names))
        for environment, names in of_hosts.items()
        if stated and environment != stated
    ]
    if found:
        return found
    whose = {stated: "the stage's"} if stated else {one: f"that of {_names(names)}" for one, names in of_hosts.items()}
    where = f"{at}/environment" if stated else f"{at}/hosts"
    for spec in specs:
        for environment, of in whose.items():
            wrong = next((n for _, n in references(spec.parameters) if not fits_environment(n, environment)), None)
            if wrong is not None:
                why = f"{spec.name} refers to the secret {wrong} of another environment than {of}, {environment}"
                found.append(Problem(where, why))
    return found


def _environments(hosts: Resolved) -> dict[str, list[str]]:
    """Environment -> those of the stage's hosts that are of it, by the inventory."""
    found: dict[str, list[str]] = {}
    for name in hosts.names:
        if environment := str(hosts.rows.get(name, {}).get("environment", "")):
            found.setdefault(environment, []).append(name)
    return found


def _conflict(stated: str, environment: str, names: Sequence[str]) -> str:
    return (
        f"the stage is of the environment {stated}, and the inventory says that {_names(names)} "
        f"{'is' if len(names) == 1 else 'are'} of {environment}: take the hosts out, or leave out the stage's environment"
    )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(quoted, names[:_LISTED])) + more
