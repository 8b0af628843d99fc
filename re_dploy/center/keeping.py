"""Keeps one zone at what the journals say: what brings back a zone that was away, carries out scale and restart, and stops what ended.

It looks each 2 s. Where a zone differs from the journal, and no job holds it, it gets an order without hold, later and later if that
does not help. Must not know sockets, nor how releases are decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from re_core.apps import events as e
from re_core.apps.state import State, held, wanted
from re_core.apps.values import Version, Wanted
from re_core.errors import CallerError, NotFound, ReleaseEngineError
from re_dploy import wire
from re_dploy.center.calls import Zone, ZoneAway
from re_dploy.center.orders import is_of
from re_dploy.center.shelf import newest
from re_dploy.center.tools import Tools

#: seconds between two looks
PERIOD = 2.0
#: seconds between two orders to one app of a zone: at first, and at most
AGAIN, LONGEST = 5.0, 300.0
#: characters of an error that is shown
MOST_ERROR = 500
#: characters of a report that is stored: what a zone says of its own apps, in that order, without processes and routes behind these
MOST_REPORTED = 4 * 1024 * 1024
#: apps of a zone that are none of this engine there, which are stored too
MOST_STRANGERS = 256

_log = logging.getLogger(__name__)


class Shelf(Protocol):
    """Where reports and lines of logs are kept, for readers."""

    def stored(self, zone: str) -> tuple[str, Mapping[str, int]]:
        """Id of the zone's directory in its stored report, and by app the revision of its routes there."""
        ...

    def cursors(self, zone: str, zone_id: str) -> Mapping[str, tuple[int, int]]:
        """By log, the generation and the offset of what is stored of it."""
        ...

    def keep(self, report: wire.Report, errors: Mapping[str, str]) -> None:
        """Store a report. Raises StoreUnavailable."""
        ...

    def keep_lines(self, report: wire.Report, app: str, piece: wire.LogPiece) -> bool:
        """Store lines of a log of the app with that id, with the cursor behind them. Raises StoreUnavailable.

        False where another center was faster: its cursor has to be read.
        """
        ...


class _Effort(NamedTuple):
    """What was tried for one app."""

    target: object
    #: seconds of the steady clock before which nothing more is tried
    until: float
    tries: int
    #: the order that was given; empty where it was a word
    order: str = ""


class Keeper:
    """Of one zone. One thread calls."""

    def __init__(self, zone: Zone, tools: Tools, apps: Callable[[], Iterable[State]], shelf: Shelf) -> None:
        """`apps`: those that have something to do with any zone, as their journals say."""
        self.zone, self._tools, self._apps, self._shelf = zone, tools, apps, shelf
        #: app -> why it is not as it should be
        self.errors: dict[str, str] = {}
        #: why the zone does not answer; empty: it does
        self.trouble = ""
        self._efforts: dict[str, _Effort] = {}
        self._zone_id = ""
        self._cursors: dict[str, tuple[int, int]] = {}
        #: name -> id, of the apps that have something to do with this zone
        self._own: dict[str, str] = {}

    def turn(self) -> None:
        """Look once, and do what is to be done. Raises TransientError."""
        try:
            report = self._look()
            self._keep_apps(report)
            self._shelf.keep(self._bounded(report), self.errors)
            self._keep_logs(report)
        except (ZoneAway, CallerError) as error:
            # also what cannot be kept of its report: a zone must not end the center
            if not self.trouble:
                _log.warning("the zone %s is no use: %s", self.zone.name, error, extra={"action": "zone_away"})
            self.trouble = str(error)
            return
        if self.trouble:
            _log.info("the zone %s answers again", self.zone.name, extra={"action": "zone_back"})
        self.trouble = ""

    # -- looking -----------------------------------------------------------------------------------

    def _look(self) -> wire.Report:
        """The whole report. What it says of routes counts only once it is stored, and is acknowledged with the next one."""
        given = {effort.order: 0 for effort in self._efforts.values() if effort.order}
        id, routes = self._shelf.stored(self.zone.name)
        ask = wire.Ask(given, routes, self._cursors, id=id)
        pages = list(self.zone.reports(ask))
        first = pages[0]
        return first._replace(apps={name: app for page in pages for name, app in page.apps.items()}, more=False)

    def _keep_logs(self, report: wire.Report) -> None:
        if report.id != self._zone_id:
            # another directory: its instances are others, though they may have the same names
            self._zone_id, self._cursors = report.id, dict(self._shelf.cursors(self.zone.name, report.id))
            return
        for piece in report.logs:
            # of which app the lines are is not for the zone to say
            app = self._own.get(piece.log.partition("/")[0])
            if app is not None:
                if not self._shelf.keep_lines(report, app, piece):
                    self._zone_id = ""
                    return
                self._cursors = newest(self._cursors | {piece.log: (piece.gen, piece.offset)})

    def _bounded(self, report: wire.Report) -> wire.Report:
        """What is stored of it: what the zone's apps do there, and of others that they are there."""
        apps, left, strangers = {}, MOST_REPORTED, 0
        for name, app in report.apps.items():
            if self._own.get(name) == app.app_id:
                left -= len(str(app.document()))
                if left < 0:
                    self._complain(name, "the report of the zone is too long, so its processes are not shown")
                    app = app._replace(ps=(), addresses=())
            elif (strangers := strangers + 1) > MOST_STRANGERS:
                continue
            else:
                app = app._replace(ps=(), addresses=())
            apps[name] = app
        return report._replace(apps=apps)

    # -- apps --------------------------------------------------------------------------------------

    def _keep_apps(self, report: wire.Report) -> None:
        known = set()
        self.errors = {}
        states = [state for state in self._apps() if state.ended is None]
        zone = self.zone.name
        self._own = {state.name: state.id for state in states if zone in {*state.zones, *state.touched}}
        for state in states:
            known.add(state.id)
            self._guard(state.name, lambda state=state: self._keep(state, report))  # type: ignore[misc]
        for name, app in report.apps.items():
            if app.app_id and app.app_id not in known:
                self._guard(name, lambda app=app: self._stranger(app))  # type: ignore[misc]
        for name in set(self._efforts) - {state.name for state in states}:
            del self._efforts[name]

    def _guard(self, app: str, act: Callable[[], None]) -> None:
        """One app that cannot be kept hinders no other."""
        try:
            act()
        except ZoneAway:
            raise
        except ReleaseEngineError as error:
            self._complain(app, str(error))

    def _complain(self, app: str, why: str) -> None:
        self.errors[app] = why[:MOST_ERROR]

    def _keep(self, state: State, report: wire.Report) -> None:
        name, app = self.zone.name, report.apps.get(state.name)
        if name in held(state):
            self._efforts.pop(state.name, None)
            return
        want = wanted(state, name)
        if app is not None and app.app_id != state.id:
            if want is not None and not _is_empty(app):
                self._complain(state.name, f"another app of this name runs in {name}: {app.app_id or 'of no engine'}")
                return
            app = None
        if app is not None:
            self._abort_what_is_over(state, want, app)
        if want is None:
            self._keep_out(state, app)
        elif self._is_as_wanted(state, want, app):
            self._efforts.pop(state.name, None)
        else:
            self._bring_to(state, want, app, report)

    def _is_as_wanted(self, state: State, want: Wanted, app: wire.AppReport | None) -> bool:
        return (
            app is not None
            and (app.version, app.generation) == (want.version, want.generation)
            and _counts(app.formation) == _counts(want.formation)
            and self._has_cargo(state, want, app)
        )

    def _has_cargo(self, state: State, want: Wanted, app: wire.AppReport) -> bool:
        """What it runs is the version's; where the payload cannot be read any more, its number has to do."""
        try:
            return app.digest == self._tools.orders.cargo_digest(state, state.versions[want.version])
        except NotFound:
            return True

    def _bring_to(self, state: State, want: Wanted, app: wire.AppReport | None, report: wire.Report) -> None:
        target = want.version, want.digest, want.generation, sorted(want.formation.items())
        effort = self._efforts.get(state.name)
        now = self._tools.time()
        if effort is not None and effort.target == target:
            order = report.order(effort.order)
            if order is not None and order.state not in wire.OVER:
                return  # it is at work
            if order is not None and order.state == "failed":
                self._complain(state.name, order.why)
            if now < effort.until:
                return
        tries = effort.tries + 1 if effort is not None and effort.target == target else 1
        until = now + min(LONGEST, AGAIN * 2.0 ** min(tries - 1, 10))
        self._efforts[state.name] = _Effort(target, until, tries)
        same = app is not None and app.version == want.version and self._has_cargo(state, want, app)
        if same and app is not None:
            self._adjust(state, want, app)
            return
        if app is not None and self._switch(state, want, app):
            return
        order_given = self._tools.orders.keep(state, self.zone.name, tries)
        answer = self.zone.order(order_given)
        self._efforts[state.name] = _Effort(target, until, tries, order_given.order)
        if answer.refused:
            self._complain(state.name, _why(self.zone.name, answer, state.epoch))
        else:
            text = "%s: brings %s to v%s"
            _log.info(text, self.zone.name, state.name, want.version, extra={"action": "zone_order"})

    def _switch(self, state: State, want: Wanted, app: wire.AppReport) -> bool:
        """A zone that was away at the decision may hold the version still."""
        version = _held(state, app)
        if version is None or version.number != want.version or app.order is None or app.order.state != "ready":
            return False
        return not self.zone.control(wire.Control("switch", state.name, app.order.id, state.epoch)).refused

    def _adjust(self, state: State, want: Wanted, app: wire.AppReport) -> None:
        """The right version runs, with other counts or older instances."""
        if app.generation != want.generation:
            control = wire.Control("restart", state.name, epoch=state.epoch, generation=want.generation)
        else:
            control = wire.Control("scale", state.name, epoch=state.epoch, formation=want.formation)
        answer = self.zone.control(control)
        if answer.refused:
            self._complain(state.name, _why(self.zone.name, answer, state.epoch))

    def _abort_what_is_over(self, state: State, want: Wanted | None, app: wire.AppReport) -> None:
        """What no release goes on with holds what it has started until a word comes: the center's looks keep its lease alive.

        It may be a version that failed, or one whose order came late to a zone that the app has left.
        """
        version = _held(state, app)
        if version is not None and version.number != state.active and (want is None or version.number != want.version):
            assert app.order is not None  # noqa: S101  # it is held by that
            self.zone.control(wire.Control("abort", state.name, app.order.id, state.epoch))

    def _keep_out(self, state: State, app: wire.AppReport | None) -> None:
        """Nothing of it has to run there."""
        name = self.zone.name
        if app is not None and not _is_empty(app):
            # before the first version there is nothing to stop but what a release is getting ready
            if name in state.leaving or app.version:
                self._stop(state.name, state.id, state.epoch)
        elif name in state.leaving:
            self._tools.tell(state.id, e.Left(name))

    def _stop(self, app: str, id: str, epoch: int) -> None:
        answer = self.zone.stop(wire.Stop((app,), {app: epoch}, {app: id}))
        if why := answer.refused.get(app):
            self._complain(app, why)

    def _stranger(self, app: wire.AppReport) -> None:
        """One that this engine has destroyed is stopped; one that it never knew may be another engine's."""
        state = self._tools.reader.fresh(app.app_id)
        if not state.registered:
            self._complain(app.app, "unknown here: it may be another engine's, so it is left alone")
        elif (state.destroyed or self.zone.name not in state.zones) and not _is_empty(app):
            self._stop(app.app, app.app_id, state.epoch)


def _held(state: State, app: wire.AppReport) -> Version | None:
    """The version that the zone is getting ready, or holds, for a release; None: none."""
    order = app.order
    if order is None or order.state in wire.OVER or order.state in wire.SWITCHED:
        return None
    return next((one for one in state.versions.values() if is_of(order.id, one.job)), None)


def _counts(formation: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in formation.items() if count}


def _is_empty(app: wire.AppReport) -> bool:
    """Nothing of it runs or is being started."""
    alive = any(row.state != "stopped" for row in app.ps)
    return not app.version and not alive and (app.order is None or app.order.state in wire.OVER)


def _why(zone: str, answer: wire.Answer, epoch: int) -> str:
    if answer.code == "stale-epoch":
        return f"{zone} has epoch {answer.epoch}, this engine is at {epoch}: rectl apps takeover takes the zone over"
    return answer.why or answer.code
