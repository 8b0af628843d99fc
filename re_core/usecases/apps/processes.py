"""Processes of an app: counted, restarted, run once, shown as their zones have reported them. Must not know HTTP, nor a zone's wire.

What a zone has reported is read with care: it is another host's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from re_core.api import apps as api
from re_core.apps import events as e
from re_core.apps.running import MOST_INSTANCES
from re_core.apps.state import State, wanted
from re_core.errors import BadDocument, Conflict, Problem
from re_core.json_pointer import pointer
from re_core.rows import AppRow, ZoneRow
from re_core.usecases.apps.apps import Desk
from re_core.usecases.apps.asking import Said
from re_core.usecases.apps.configs import require_secrets
from re_core.usecases.apps.zone_rows import last_look, trouble_of
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id
from re_core.usecases.keys import key_digest
from re_core.usecases.times import rfc3339

#: commands of apps of one group that run at once: half of the places of one center, so that other groups have theirs
MOST_OPEN_RUNS = 16


class Reported(NamedTuple):
    """What one zone says of one app; all empty where it says nothing."""

    zone: str
    #: when the zone answered last; None: never
    seen: int | None
    app: Mapping[str, Any]
    #: why the zone cannot be reached, or why it does not run what it should
    trouble: str


def scale(desk: Desk, principal: Principal, found: AppRow, formation: Mapping[str, Any]) -> Mapping[str, int]:
    """Set counts of processes in each zone, of what runs now; the counts of all types. It makes no release.

    Raises NotAllowed, BadDocument, CallerError for a type that there is not, Conflict, NoAnswer.
    """
    require(principal, Verb.OPERATE, found.group)
    wrong = [
        Problem(pointer(["formation", name]), f"expected a whole number from 0 to {MOST_INSTANCES}")
        for name, count in formation.items()
        if not (isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_INSTANCES)
    ]
    if not formation:
        wrong = [Problem("/formation", "no type is named; web=2 sets the count of web")]
    if wrong:
        raise BadDocument(wrong[0].message, wrong)
    desk.say(found, e.Scale(dict(formation), principal.subject))
    return dict(desk.state(found).formation)


def restart(desk: Desk, principal: Principal, found: AppRow, key: str = "") -> None:
    """Replace every process by a new one, the new beside the old. Raises NotAllowed, Conflict, NoAnswer."""
    require(principal, Verb.OPERATE, found.group)
    desk.say(found, e.Restart(principal.subject, request=_request(principal, found, "restart", key)))


def run(desk: Desk, principal: Principal, found: AppRow, command: str, key: str = "", source: str = "") -> Said:
    """Run a command once, in the first zone, with the environment of what runs.

    Raises NotAllowed, CallerError, Conflict, also where too many run of the group, NoAnswer.
    """
    require_secrets(principal, found.group)
    request = _request(principal, found, "run", key)
    if not any(one.request == request for one in desk.state(found).runs.values()):
        _require_room(desk, found)
    return desk.say(found, e.RunCommand(command, principal.subject, source, request=request))


def _require_room(desk: Desk, found: AppRow) -> None:
    """A command has a place of the center for as long as it goes on. Raises Conflict."""
    states = (desk.state(row) for row in desk.store.apps(found.group) if row.zones)
    if sum(not one.ended for state in states for one in state.runs.values()) >= MOST_OPEN_RUNS:
        raise Conflict(f"{MOST_OPEN_RUNS} commands of apps of the group {found.group} run; try again later")


def processes(desk: Desk, principal: Principal, found: AppRow) -> api.AppProcesses:
    """As its zones have reported them, in the app's order of zones. Raises NotAllowed."""
    require(principal, Verb.SEE, found.group)
    state = desk.state(found)
    reports = list(_reports(desk, state, found))
    items = [process for one in reports for process in _processes(one)]
    return {"items": items, "zones": [_zone(one) for one in reports]}


def routes(desk: Desk, principal: Principal, found: AppRow) -> api.AppRoutes:
    """Where its web processes listen: of every zone that has ever reported it. Raises NotAllowed."""
    require(principal, Verb.SEE, found.group)
    tables = [_routes(one) for one in _reports(desk, desk.state(found), found)]
    return {"addresses": [address for one in tables for address in one["addresses"]], "zones": tables}


def _request(principal: Principal, found: AppRow, what: str, key: str) -> str:
    """Id of a request: the same whenever this user repeats it with its key."""
    return key_digest(principal.subject, f"apps/{found.id}/{what}", key) if key else new_id()


def _reports(desk: Desk, state: State, found: AppRow) -> Iterator[Reported]:
    """One for each zone of the app, and for each that has still to stop it."""
    known = {zone.name: zone for zone in desk.store.zones()}
    now, newest = desk.clock.now(), last_look(known.values())
    for name in dict.fromkeys((*state.zones, *state.leaving)):
        zone = known.get(name)
        if zone is None:
            yield Reported(name, None, {}, "the engine has no zone of this name")
        else:
            yield _reported(zone, state, found, trouble_of(zone, now, newest))


def _reported(zone: ZoneRow, state: State, found: AppRow, trouble: str) -> Reported:
    """`trouble`: why what the zone has said may not be so any more."""
    report = _mapping(zone.report)
    app = _mapping(_mapping(report.get("apps")).get(found.name))
    if app.get("app_id", found.id) != found.id:
        return Reported(zone.name, zone.at or None, {}, "an earlier app of this name has not been stopped there yet")
    trouble = trouble or _text(_mapping(report.get("errors")).get(found.name))
    want = wanted(state, zone.name)
    if not trouble and want is not None and _number(app.get("version")) != want.version:
        trouble = f"it follows to v{want.version}"
    return Reported(zone.name, zone.at or None, app, trouble)


def _processes(one: Reported) -> Iterator[api.AppProcess]:
    rows = one.app.get("ps")
    for row in rows if isinstance(rows, list) else []:
        said = _mapping(row)
        yield {
            "zone": one.zone,
            "process": _text(said.get("name")),
            "state": _text(said.get("state")),
            "port": _number(said.get("port")) or None,
            "since": rfc3339(_number(said.get("since")) or None),
            "exit": _text(said.get("exit")),
            "restarts": _number(said.get("restarts")),
            "release": _number(said.get("version")) or None,
        }


def _zone(one: Reported) -> api.AppZone:
    return {
        "zone": one.zone,
        "seen": rfc3339(one.seen),
        "release": _number(one.app.get("version")) or None,
        "state": _text(one.app.get("state")) or "unknown",
        "trouble": one.trouble,
    }


def _routes(one: Reported) -> api.ZoneRoutes:
    table = _mapping(one.app.get("routes"))
    addresses = table.get("addresses")
    return {
        "zone": one.zone,
        "revision": _number(table.get("revision")),
        "addresses": [_text(address) for address in addresses] if isinstance(addresses, list) else [],
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    # what no store and no reader of JSON takes is no number of ours
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0
