"""Apps: created, shown, moved to other zones, destroyed. Must not know HTTP, zones' wire or values of a config.

The row of an app is saved before its journal begins, so that every process finds it; what the engine has not confirmed is
repeated by creating the same app again. A name stands for one row of the whole engine, because zones know the name alone. A row
without zones is that of an app that was destroyed; its name is free when nothing of it runs any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.api import apps as api
from re_core.apps import events as e
from re_core.apps.names import APP_NAME, GROUP
from re_core.apps.owning import MOST_ZONES
from re_core.apps.state import State
from re_core.apps.values import AppStatus, Run
from re_core.errors import BadDocument, CallerError, Conflict, NotFound, Problem
from re_core.playbook.formats import group_problem
from re_core.ports.peering import Seal
from re_core.rows import AppRow
from re_core.usecases import keys
from re_core.usecases.apps.asking import Said, ask
from re_core.usecases.apps.reader import AppReader
from re_core.usecases.apps.zone_rows import known_zones
from re_core.usecases.authorization import Principal, Verb, groups_of, require
from re_core.usecases.ids import new_id
from re_core.usecases.times import rfc3339
from re_core.wording import did_you_mean

#: apps of one engine
MOST_APPS = 1_000

#: part of every idempotency key of apps
ROUTE = "apps"

#: runs that the document of an app shows
MOST_RUNS = 20

#: tries to save a row that others save at the same time
_TRIES = 20

#: characters of the longest group
_MAX_GROUP = 100

#: of a refusal by the engine -> the error that a caller gets; any other is a Conflict
_ERRORS: dict[str, type[CallerError]] = {
    "unknown-version": NotFound,
    "unknown-run": NotFound,
    "bad-message": CallerError,
    "unknown-type": CallerError,
    "bad-config": CallerError,
}


class Store(ports.AppRows, ports.Artifacts, ports.IdempotencyKeys, ports.Journal, ports.Output, Protocol):
    """The part of a store that apps need."""


class Desk(NamedTuple):
    """What the use cases of apps work with."""

    bus: ports.Bus
    store: Store
    clock: ports.Clock
    reader: AppReader
    #: None: this engine has no file that seals configs
    seal: Seal | None
    #: seconds that the engine is waited for
    timeout: float

    def sealing(self) -> Seal:
        """Raises Conflict where there is none."""
        if self.seal is None:
            raise Conflict("this engine keeps no config of apps: RE_DPLOY is off")
        return self.seal

    def state(self, row: AppRow) -> State:
        """As its journal has it now."""
        return self.reader.fresh(row.id)

    def ask(self, row: AppRow, event: e.Request) -> Said:
        """What the engine says. Raises BusUnavailable, NoAnswer."""
        return ask(self.bus, row.id, event, self.timeout)

    def say(self, row: AppRow, event: e.Request) -> Said:
        """As `ask`; raises the error of a refusal."""
        said = self.ask(row, event)
        if not said.accepted:
            raise refusal(said)
        return said


class NewApp(NamedTuple):
    """An app that is to be."""

    name: str
    group: str = GROUP
    #: in the order in which releases reach them; none: all that the engine knows
    zones: tuple[str, ...] = ()


class RowPage(NamedTuple):
    """Some rows of the list, and the cursor of the next ones."""

    rows: Sequence[api.AppRow]
    next: str | None


def refusal(said: Said) -> CallerError:
    """The error that a refusal of the engine is."""
    return _ERRORS.get(said.reason, Conflict)(said.detail or said.reason)


def create(desk: Desk, principal: Principal, wanted: NewApp, key: str = "") -> AppRow:
    """A new app; one that was created, but that the engine has not confirmed, is confirmed now.

    Raises NotAllowed, BadDocument, KeyReused, Conflict where an app has that name, BusUnavailable, NoAnswer.
    """
    require(principal, Verb.AUTHOR, wanted.group)
    wanted = wanted._replace(zones=wanted.zones or tuple(known_zones(desk.store)))
    _check(desk.store, wanted)
    document = {"name": wanted.name, "group": wanted.group, "zones": list(wanted.zones)}
    id, _ = keys.claim(desk.store, principal.subject, ROUTE, key, document, new_id())
    row = desk.store.app(id) or _insert(desk, id, wanted)
    desk.say(row, e.Register(row.group, row.name, row.zones, principal.subject))
    return row


def by_name(desk: Desk, principal: Principal, name: str, verb: Verb = Verb.SEE) -> AppRow:
    """The living app of that name. Raises NotFound, NotAllowed."""
    found = desk.store.app_by_name(name) if APP_NAME.fullmatch(name) else None
    if found is None:
        names = [row.name for row in desk.store.apps() if row.zones and _may_see(principal, row.group)]
        near = did_you_mean(name[:60], names)
        raise NotFound(f"there is no app {name[:60]!r}" + (f"; {near}" if near else ""))
    require(principal, verb, found.group)
    if not found.zones:
        raise NotFound(f"the app {name} was destroyed")
    return found


def listed(desk: Desk, principal: Principal, group: str | None, limit: int, cursor: str = "") -> RowPage:
    """By name, those that are not destroyed: of that group or (None) of all that the caller sees. Raises NotAllowed."""
    groups = groups_of(principal, Verb.SEE, group)
    rows = sorted((row for row in desk.store.apps(group) if row.zones), key=lambda row: row.name)
    rows = [row for row in rows if (groups is None or row.group in groups) and row.name > cursor]
    shown = rows[:limit]
    next = shown[-1].name if len(rows) > limit else None
    return RowPage([row_document(row, desk.state(row)) for row in shown], next)


def set_zones(desk: Desk, principal: Principal, found: AppRow, zones: Sequence[str]) -> AppRow:
    """The zones of its next releases; those that are not named stop it. Raises NotAllowed, BadDocument, Conflict."""
    require(principal, Verb.OPERATE, found.group)
    _check_zones(desk.store, zones)
    desk.say(found, e.Zones(tuple(zones), principal.subject))
    return _save_zones(desk, found, tuple(zones))


def destroy(desk: Desk, principal: Principal, found: AppRow) -> None:
    """End it: its zones stop it, and its name is free when all have. Twice is the same as once. Raises NotAllowed, Conflict."""
    require(principal, Verb.AUTHOR, found.group)
    require(principal, Verb.OPERATE, found.group)
    # an app that the engine never confirmed has nothing to end
    if desk.state(found).status is not AppStatus.NEW:
        desk.say(found, e.Destroy(principal.subject))
    _save_zones(desk, found, ())


def takeover(desk: Desk, principal: Principal, found: AppRow) -> int:
    """Raise the epochs of its orders above those that its zones know, and the epoch from then on.

    For an engine that was restored from a backup: its zones refuse orders that are older than the last ones they had. Raises
    NotAllowed, Conflict where no zone is ahead.
    """
    require(principal, Verb.ADMIN, None)
    state = desk.state(found)
    epochs = [epoch for zone in desk.store.zones() if (epoch := _epoch(zone.report, found)) > state.epoch]
    if not epochs:
        raise Conflict(f"no zone of {found.name} had orders newer than those of this engine: nothing to take over")
    desk.say(found, e.Rebase(max(epochs), principal.subject))
    return max(epochs)


def row_document(row: AppRow, state: State) -> api.AppRow:
    """One row of the list."""
    newest = state.versions.get(state.last)
    return {
        "id": row.id,
        "group": row.group,
        "name": row.name,
        "state": state.status,
        "zones": list(state.zones or row.zones),
        "release": state.current or None,
        "newest": state.last or None,
        "newest_status": newest.status if newest is not None else None,
        "waiting": len(state.pending),
        "formation": dict(state.formation),
    }


def document_of(desk: Desk, row: AppRow) -> api.App:
    """The whole."""
    state = desk.state(row)
    current = state.versions.get(state.current)
    processes = current.payload.processes if current is not None and current.payload is not None else {}
    newest = sorted(state.runs.values(), key=lambda run: -run.n)[:MOST_RUNS]
    return {
        **row_document(row, state),
        "created": rfc3339(state.registered or None),
        "destroyed": rfc3339(state.destroyed or None),
        "config": list(state.config.names),
        "processes": dict(processes),
        "commit": current.commit if current is not None else "",
        "releasing": state.active or None,
        "leaving": list(state.leaving),
        "runs": [_run(run) for run in newest],
    }


def _run(run: Run) -> api.AppRun:
    return {
        "run": run.n,
        "zone": run.zone,
        "command": run.command,
        "user": run.who,
        "started": rfc3339(run.at),
        "ended": rfc3339(run.ended or None),
        "code": run.code,
        "why": run.why,
        "deployment": run.job or None,
    }


def _check(store: ports.AppRows, wanted: NewApp) -> None:
    """Raises BadDocument with all that is wrong."""
    wrong = []
    if not APP_NAME.fullmatch(wanted.name):
        text = "expected a lower-case letter, then at most 29 lower-case letters, digits and hyphens"
        wrong.append(Problem("/name", f"{text}, found {wanted.name[:60]!r}"))
    problem = group_problem(wanted.group) or (
        "" if 0 < len(wanted.group) <= _MAX_GROUP else f"expected 1 to {_MAX_GROUP} characters"
    )
    if problem:
        wrong.append(Problem("/group", f"{problem}, found {wanted.group[:100]!r}"))
    if not wanted.zones:
        wrong.append(Problem("/zones", "the engine knows no zone yet: name at least one"))
    if wrong:
        raise BadDocument(wrong[0].message, wrong)
    _check_zones(store, wanted.zones)


def _check_zones(store: ports.AppRows, zones: Sequence[str]) -> None:
    """Raises BadDocument."""
    known = known_zones(store)
    wrong = []
    for place, zone in enumerate(zones):
        if not APP_NAME.fullmatch(zone):
            wrong.append(Problem(f"/zones/{place}", f"{zone[:60]!r} cannot be the name of a zone"))
        elif zone in zones[:place]:
            wrong.append(Problem(f"/zones/{place}", f"{zone} stands here twice"))
        elif known and zone not in known:
            near = did_you_mean(zone, known) or f"known: {', '.join(known[:10])}"
            wrong.append(Problem(f"/zones/{place}", f"there is no zone {zone}; {near}"))
    if not 1 <= len(zones) <= MOST_ZONES:
        wrong.append(Problem("/zones", f"an app has 1 to {MOST_ZONES} zones, found {len(zones)}"))
    if wrong:
        raise BadDocument(wrong[0].message, wrong)


def _insert(desk: Desk, id: str, wanted: NewApp) -> AppRow:
    """Its row; that of an app of the same name and group which the engine never confirmed counts too. Raises Conflict."""
    store, row = desk.store, AppRow(id, wanted.name, wanted.group, 1, wanted.zones)
    if sum(bool(one.zones) for one in store.apps()) >= MOST_APPS:
        raise Conflict(f"{MOST_APPS} apps exist, the most that the engine keeps; destroy some")
    for _ in range(_TRIES):
        if store.save_app(row):
            return row
        other = store.app_by_name(wanted.name)
        if other is None:
            continue
        state = desk.state(other)
        if state.status is AppStatus.GONE:
            store.drop_app(other.id)
        elif state.status is AppStatus.NEW and other.group == wanted.group:
            return _save_zones(desk, other, wanted.zones)
        else:
            raise Conflict(_standing(other, state))
    raise Conflict(f"other requests keep creating the app {wanted.name}; try again")


def _standing(other: AppRow, state: State) -> str:
    """Why its name is not free."""
    if not state.destroyed:
        return f"there is an app {other.name} already; names are unique in the engine"
    if state.leaving:
        return f"{other.name} was destroyed, but {', '.join(state.leaving)} has still to stop it; its name is free then"
    return f"{other.name} was destroyed, and a deployment of it goes on; its name is free when that has ended"


def _save_zones(desk: Desk, found: AppRow, zones: tuple[str, ...]) -> AppRow:
    """Raises Conflict, NotFound."""
    for _ in range(_TRIES):
        if found.zones == zones:
            return found
        made = found._replace(version=found.version + 1, zones=zones)
        if desk.store.save_app(made):
            return made
        newer = desk.store.app(found.id)
        if newer is None:
            raise NotFound(f"the app {found.name} is gone")
        if zones and found.zones and not newer.zones:
            raise Conflict(f"{found.name} was destroyed meanwhile")
        found = newer
    raise Conflict("other requests keep changing this app; try again")


def _may_see(principal: Principal, group: str) -> bool:
    groups = groups_of(principal, Verb.SEE)
    return groups is None or group in groups


def _epoch(report: object, found: AppRow) -> int:
    """That a zone has reported of the app; 0 where it knows none."""
    apps = report.get("apps") if isinstance(report, dict) else None
    known = apps.get(found.name) if isinstance(apps, dict) else None
    if not isinstance(known, dict) or known.get("app_id", found.id) != found.id:
        return 0
    epoch = known.get("epoch")
    return epoch if isinstance(epoch, int) else 0
