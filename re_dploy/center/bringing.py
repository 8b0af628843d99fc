"""Brings the apps of one zone to what their journals say: after it was away, after scale and restart, and where something ended.

Where a zone differs from the journal, and no release holds it, it gets an order without hold, later and later if that does not help.
Must not know sockets, how releases are decided, nor where what is said of a zone is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from re_core.apps import events as e
from re_core.apps.state import State, held, wanted
from re_core.apps.values import Version, Wanted
from re_core.errors import NotFound, ReleaseEngineError
from re_dploy import wire
from re_dploy.center.calls import Zone, ZoneAway
from re_dploy.center.orders import is_of
from re_dploy.center.tools import Tools

#: seconds between two orders to one app of a zone: at first, and at most
AGAIN, LONGEST = 5.0, 300.0
#: characters of an error that is shown
MOST_ERROR = 500

_log = logging.getLogger(__name__)


class _Effort(NamedTuple):
    """What was tried for one app."""

    target: object
    #: seconds of the steady clock before which nothing more is tried
    until: float
    tries: int
    #: the order that the zone had of it before
    before: str = ""
    #: why what was tried failed in the zone: shown until the app is as it should be
    failed: str = ""
    #: why the last try was refused
    refused: str = ""

    @property
    def why(self) -> str:
        return self.refused or self.failed


class Bringer:
    """Of one zone. One thread calls."""

    def __init__(self, zone: Zone, tools: Tools, me: str) -> None:
        """`me`: id of this center, under which no other one gives orders: a zone carries out the order of an id once."""
        self._zone, self._tools, self._me = zone, tools, me
        #: app -> why it is not as it should be
        self.errors: dict[str, str] = {}
        #: apps to which a try was made before, and that are not as they should be
        self.waiting: set[str] = set()
        self._efforts: dict[str, _Effort] = {}
        self._given = 0

    def keep(self, states: Sequence[State], report: wire.Report) -> None:
        """Do what is to be done for the apps that live or end, as the zone reports itself. Raises ZoneAway."""
        self.errors, self.waiting = {}, set()
        for state in states:
            self._guard(state.name, lambda state=state: self._keep(state, report))  # type: ignore[misc]
        known = {state.id for state in states}
        for name, app in report.apps.items():
            if app.app_id and app.app_id not in known:
                self._guard(name, lambda app=app: self._stranger(app))  # type: ignore[misc]
        for name in set(self._efforts) - {state.name for state in states}:
            del self._efforts[name]

    def complain(self, app: str, why: str) -> None:
        """Show it with the app until the next look."""
        self.errors[app] = why[:MOST_ERROR]

    def _guard(self, app: str, act: Callable[[], None]) -> None:
        """One app that cannot be kept hinders no other."""
        try:
            act()
        except ZoneAway:
            raise
        except ReleaseEngineError as error:
            self.complain(app, str(error))

    def _keep(self, state: State, report: wire.Report) -> None:
        name, app = self._zone.name, report.apps.get(state.name)
        if name in held(state):
            self._efforts.pop(state.name, None)
            return
        want = wanted(state, name)
        if app is not None and app.app_id != state.id:
            if want is not None and not is_empty(app):
                self.complain(state.name, f"another app of this name runs in {name}: {app.app_id or 'of no engine'}")
                return
            app = None
        if app is not None:
            self._abort_what_is_over(state, want, app)
        if want is None:
            self._efforts.pop(state.name, None)
            self._keep_out(state, app)
        elif self._is_as_wanted(state, want, app):
            self._efforts.pop(state.name, None)
            if app is not None and app.order is not None and app.order.state not in wire.OVER and app.order.why:
                self.complain(state.name, app.order.why)  # it serves, and what it waits for is for people to mend
        else:
            self._bring(state, want, app)

    # -- what runs ---------------------------------------------------------------------------------

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

    def _bring(self, state: State, want: Wanted, app: wire.AppReport | None) -> None:
        target = want.version, want.digest, want.generation, sorted(want.formation.items())
        effort = self._efforts.get(state.name)
        if effort is not None and effort.target != target:
            effort = None
        now = self._tools.time()
        if effort is not None:
            self.waiting.add(state.name)
            effort = self._efforts[state.name] = _learned(state, effort, app)
        if is_at_work(app) or (effort is not None and now < effort.until):
            self._remind(state.name)
            return
        tries = 1 if effort is None else effort.tries + 1
        until = now + min(LONGEST, AGAIN * 2.0 ** min(tries - 1, 10))
        before = "" if app is None or app.order is None else app.order.id
        effort = _Effort(target, until, tries, before, "" if effort is None else effort.failed)
        self._efforts[state.name] = effort
        try:
            answer = self._try(state, want, app)
        except ZoneAway:
            raise
        except ReleaseEngineError as error:
            self._efforts[state.name] = effort._replace(refused=str(error))
        else:
            self._efforts[state.name] = effort._replace(refused=self._refusal(state, answer))
        self._remind(state.name)

    def _remind(self, app: str) -> None:
        if (effort := self._efforts.get(app)) is not None and effort.why:
            self.complain(app, effort.why)

    def _try(self, state: State, want: Wanted, app: wire.AppReport | None) -> wire.Answer:
        """The word that should help. Raises what orders raise, and ZoneAway."""
        if app is not None and app.version == want.version and self._has_cargo(state, want, app):
            return self._zone.control(_adjustment(state, want, app))
        if app is not None and (order := _ready_order(state, want, app)):
            # a zone that was away at the decision may hold the version still
            return self._zone.control(wire.Control("switch", state.name, order, state.epoch))
        self._given += 1
        order_given = self._tools.orders.keep(state, self._zone.name, f"{self._me}-{self._given}")
        answer = self._zone.order(order_given)
        if not answer.refused:
            text = "%s: brings %s to v%s"
            _log.info(text, self._zone.name, state.name, want.version, extra={"action": "zone_order"})
        return answer

    # -- what does not run any more ----------------------------------------------------------------

    def _abort_what_is_over(self, state: State, want: Wanted | None, app: wire.AppReport) -> None:
        """What no release goes on with holds what it has started until a word comes: the center's looks keep its lease alive.

        It may be a version that failed, or one whose order came late to a zone that the app has left.
        """
        version = _held_version(state, app)
        if version is not None and version.number != state.active and (want is None or version.number != want.version):
            assert app.order is not None  # noqa: S101  # it is held by that
            self._zone.control(wire.Control("abort", state.name, app.order.id, state.epoch))

    def _keep_out(self, state: State, app: wire.AppReport | None) -> None:
        """Nothing of it has to run there."""
        name = self._zone.name
        if app is not None and not is_empty(app):
            # before the first version there is nothing to stop but what a release is getting ready
            if name in state.leaving or app.version:
                self._stop(state, app)
        elif name in state.leaving:
            self._tools.tell(state.id, e.Left(name))

    def _stop(self, state: State, app: wire.AppReport) -> None:
        """Stop what the zone has under the id of `app`, with the epoch of its state."""
        answer = self._zone.stop(wire.Stop((app.app,), {app.app: state.epoch}, {app.app: app.app_id}))
        if why := answer.refused.get(app.app):
            self.complain(app.app, why)

    def _stranger(self, app: wire.AppReport) -> None:
        """One that this engine has destroyed is stopped; one that it never knew may be another engine's."""
        if is_empty(app):
            return
        state = self._tools.reader.fresh(app.app_id)
        if not state.registered:
            self.complain(app.app, "unknown here: it may be another engine's, so it is left alone")
        elif state.destroyed or self._zone.name not in state.zones:
            self._stop(state, app)

    def _refusal(self, state: State, answer: wire.Answer) -> str:
        """Why a word was refused; empty where it was not, or where the next try may succeed by itself."""
        if not answer.refused or answer.code == "busy":
            return ""  # what it is at is seen in the next report
        if answer.code == "stale-epoch":
            epoch = self._tools.reader.fresh(state.id).epoch
            if epoch >= answer.epoch:
                return ""  # what was read here was older than what another one has said since
            return f"{self._zone.name} has epoch {answer.epoch}, this engine is at {epoch}: rectl apps takeover takes the zone over"
        return answer.why or answer.code


def is_empty(app: wire.AppReport) -> bool:
    """Nothing of it runs or is being started."""
    alive = any(row.state != "stopped" for row in app.ps)
    return not app.version and not alive and (app.order is None or app.order.state in wire.OVER)


def is_at_work(app: wire.AppReport | None) -> bool:
    """Whether the zone carries out an order, of this center or another one: it takes no other meanwhile."""
    order = None if app is None else app.order
    return order is not None and order.state != "ready" and order.state not in wire.OVER | {"draining"}


def _learned(state: State, effort: _Effort, app: wire.AppReport | None) -> _Effort:
    """With what the zone says of the order that the last try has led to. The ids of orders without hold begin with the app's."""
    order = None if app is None else app.order
    if order is None or order.id == effort.before or order.state != "failed" or not is_of(order.id, state.id):
        return effort
    return effort._replace(failed=order.why or "the order failed")


def _adjustment(state: State, want: Wanted, app: wire.AppReport) -> wire.Control:
    """The right version runs, with other counts or older instances."""
    if app.generation != want.generation:
        return wire.Control("restart", state.name, epoch=state.epoch, generation=want.generation)
    return wire.Control("scale", state.name, epoch=state.epoch, formation=want.formation)


def _ready_order(state: State, want: Wanted, app: wire.AppReport) -> str:
    """Id of the order by which the zone holds the version that it has to run; empty where it does not."""
    version = _held_version(state, app)
    if version is None or version.number != want.version or app.order is None or app.order.state != "ready":
        return ""
    return app.order.id


def _held_version(state: State, app: wire.AppReport) -> Version | None:
    """The version that the zone is getting ready, or holds, for a release; None: none."""
    order = app.order
    if order is None or order.state in wire.OVER or order.state in wire.SWITCHED:
        return None
    return next((one for one in state.versions.values() if is_of(order.id, one.job)), None)


def _counts(formation: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in formation.items() if count}
