"""Which notifications of a deployment go where, by rules of the settings. Pure; must not know transports.

The rules are asked once, when the plan is made, and what they say is frozen in it like `PHASE_NOTIFICATION`: a deployment notifies those
that were to be notified when it was accepted. Rules with `daily` are none of a plan: services/daily_digest.py sends what they are for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.plan import Notices
from re_core.wire.messages import PHASES
from re_core.wording import did_you_mean

#: rules, names of one rule, and targets of one transport
MOST_RULES, MOST_NAMES, MOST_TARGETS = 200, 100, 100

#: ends a name that stands for all names with this beginning
_ANY = "*"

_KEYS = ("group", "environment", "playbook", "outcome", "daily", "to")

#: a time of the day, and where no UTC is meant its time zone
_DAILY = re.compile(r"(?P<hour>[01]?[0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?: +(?P<zone>[A-Za-z][A-Za-z0-9_+/-]{0,60}))?")


class Daily(NamedTuple):
    """When one message for a whole day is sent."""

    hour: int
    minute: int
    #: name in the time zone database
    zone: str = "UTC"

    def __str__(self) -> str:
        return f"{self.hour:02}:{self.minute:02} {self.zone}"


class Route(NamedTuple):
    """One rule: what it is for, and where that goes. Empty names: all."""

    groups: tuple[str, ...]
    playbooks: tuple[str, ...]
    #: phases of a deployment
    outcomes: tuple[str, ...]
    #: transport -> targets
    to: Mapping[str, tuple[str, ...]]
    #: of the steps of a deployment: one of them is enough
    environments: tuple[str, ...] = ()
    #: one message a day; None: one for each deployment
    daily: Daily | None = None

    def covers(self, group: str, playbook: str, environments: Collection[str] = ()) -> bool:
        """Whether it is for a deployment of this playbook, whose steps are of these environments."""
        here = not self.environments or any(_matches(self.environments, one) for one in environments)
        return here and _matches(self.groups, group) and _matches(self.playbooks, playbook)


def route(
    rules: Sequence[Route], always: Notices, group: str, playbook: str, environments: Collection[str] = ()
) -> Notices:
    """What is to be said where: `always`, and what every rule that covers the deployment adds. Each target once, in order."""
    found: dict[str, dict[str, dict[str, None]]] = {
        phase: {transport: dict.fromkeys(targets) for transport, targets in transports.items()}
        for phase, transports in always.items()
    }
    for rule in rules:
        if rule.daily is None and rule.covers(group, playbook, environments):
            for phase in rule.outcomes:
                for transport, targets in rule.to.items():
                    found.setdefault(phase, {}).setdefault(transport, {}).update(dict.fromkeys(targets))
    return {
        phase: {transport: tuple(targets) for transport, targets in transports.items()}
        for phase, transports in found.items()
    }


def read_routes(value: Any) -> tuple[Route, ...]:
    """The rules of the setting `notify_routes`. Raises ValueError, which names the rule and the key."""
    if not isinstance(value, list | tuple):
        raise ValueError("expected a list of rules")
    if len(value) > MOST_RULES:
        raise ValueError(f"expected at most {MOST_RULES} rules, found {len(value)}")
    return tuple(_route(number, rule) for number, rule in enumerate(value, 1))


def _route(number: int, rule: Any) -> Route:
    where = f"rule {number}"
    if not isinstance(rule, Mapping):
        raise ValueError(f"{where}: expected an object with {', '.join(_KEYS)}")
    for key in rule:
        if key not in _KEYS:
            raise ValueError(
                f"{where}: {key!r:.40} is not a key of a rule; {did_you_mean(str(key), _KEYS) or ', '.join(_KEYS)}"
            )
    outcomes = _names(rule, "outcome", where) or PHASES
    for outcome in outcomes:
        if outcome not in PHASES:
            raise ValueError(f"{where}: outcome: expected {', '.join(PHASES)}, found {outcome[:40]!r}")
    groups, playbooks, environments = (_names(rule, key, where) for key in ("group", "playbook", "environment"))
    to, daily = _targets(rule.get("to"), where), _daily(rule.get("daily"), where)
    return Route(groups, playbooks, outcomes, to, environments, daily)


def _daily(value: Any, where: str) -> Daily | None:
    if value is None:
        return None
    found = _DAILY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(
            f'{where}: daily: expected a time of the day in quotation marks, "07:00" or "07:00 Europe/Berlin"'
        )
    return Daily(int(found["hour"]), int(found["minute"]), found["zone"] or "UTC")


def _names(rule: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A name or several."""
    value = rule.get(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) and one for one in names):
        raise ValueError(f"{where}: {key}: expected a name or a list of names")
    if len(names) > MOST_NAMES:
        raise ValueError(f"{where}: {key}: expected at most {MOST_NAMES} names, found {len(names)}")
    return tuple(names)


def _targets(value: Any, where: str) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{where}: to: expected transports, each with a list of targets: {{email: [ops@example.com]}}")
    found = {}
    for transport, targets in value.items():
        texts = isinstance(targets, list | tuple) and all(isinstance(one, str) and one.isprintable() for one in targets)
        if not texts or not 0 < len(targets) <= MOST_TARGETS or not all(targets):
            raise ValueError(f"{where}: to: {transport}: expected a list of 1 to {MOST_TARGETS} targets")
        found[str(transport)] = tuple(targets)
    return found


def _matches(wanted: tuple[str, ...], name: str) -> bool:
    return not wanted or any(name.startswith(one[:-1]) if one.endswith(_ANY) else name == one for one in wanted)
