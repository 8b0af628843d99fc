"""Zones: shown, and removed where they never come back. Must not know HTTP, nor a zone's wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.api import apps as api
from re_core.apps import events as e
from re_core.apps.state import State
from re_core.errors import Conflict, NotFound
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.zone_rows import AWAY, last_look, trouble_of
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.times import rfc3339

#: apps that a refusal names
_NAMED = 5


def listed(desk: Desk, principal: Principal) -> list[api.ZoneRow]:
    """All that a center looks at or has looked at, by name. Raises NotAllowed."""
    require(principal, Verb.SEE, None)
    rows, now = desk.store.zones(), desk.clock.now()
    newest = last_look(rows)
    return [
        {
            "name": zone.name,
            "seen": rfc3339(zone.at or None),
            "apps": sorted(map(str, _mapping(_mapping(zone.report).get("apps")))),
            "trouble": trouble_of(zone, now, newest),
        }
        for zone in sorted(rows, key=lambda zone: zone.name)
    ]


def remove(desk: Desk, principal: Principal, name: str) -> None:
    """A zone that never comes back: apps that it has still to stop wait for it no more. Twice is the same as once.

    Raises NotAllowed, NotFound, and Conflict where it answers, or where an app runs there.
    """
    require(principal, Verb.ADMIN, None)
    zone = desk.store.zone(name)
    states = [(row, desk.state(row)) for row in desk.store.apps()]
    waiting = [row for row, state in states if name in state.leaving]
    if zone is None and not waiting:
        raise NotFound(f"there is no zone {name[:60]!r}")
    if zone is not None and desk.clock.now() - zone.at < AWAY:
        raise Conflict(
            f"the zone {name} answers: it stops by itself what it need not run. Take it out of dploy_zones first"
        )
    if having := [row.name for row, state in states if _has(state, name)]:
        more = f" and {len(having) - _NAMED} more" if len(having) > _NAMED else ""
        raise Conflict(
            f"{', '.join(having[:_NAMED])}{more} run in the zone {name}: set other zones first, rectl apps zones {having[0]} --set …"
        )
    for row in waiting:
        desk.say(row, e.Left(name))
    desk.store.drop_zone(name)


def _has(state: State, zone: str) -> bool:
    """Whether a version runs there, or is got ready there."""
    releasing = state.versions.get(state.active)
    is_released = releasing is not None and zone in releasing.zones
    return is_released or (not state.destroyed and zone in state.zones)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
