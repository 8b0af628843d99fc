"""Keeps one zone: looks at it each 2 s, has it brought to what the journals say, and stores what it reports for readers.

Must not know sockets, nor what a zone that differs from the journals is ordered to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from re_core.apps.state import State
from re_core.errors import CallerError
from re_dploy import wire
from re_dploy.center.bringing import Bringer
from re_dploy.center.calls import Zone, ZoneAway
from re_dploy.center.log_keeping import LogKeeper
from re_dploy.center.shelf import Shelf
from re_dploy.center.tools import Tools

#: seconds between two looks
PERIOD = 2.0
#: characters of a report that is stored: what a zone says of its own apps, in that order, without processes and routes behind these
MOST_REPORTED = 4 * 1024 * 1024
#: apps of a zone that are none of this engine there, which are stored too
MOST_STRANGERS = 256

_log = logging.getLogger(__name__)


class Keeper:
    """Of one zone. One thread calls."""

    def __init__(self, zone: Zone, tools: Tools, apps: Callable[[], Iterable[State]], shelf: Shelf, me: str) -> None:
        """`apps`: those that have something to do with any zone, as their journals say. `me`: id of this center."""
        self.zone, self._apps, self._shelf = zone, apps, shelf
        #: why the zone does not answer; empty: it does
        self.trouble = ""
        self._bringer = Bringer(zone, tools, me)
        self._logs = LogKeeper(zone.name, shelf)
        #: name -> id, of the apps that have something to do with this zone
        self._own: dict[str, str] = {}

    @property
    def errors(self) -> dict[str, str]:
        """App -> why it is not as it should be."""
        return self._bringer.errors

    def turn(self) -> None:
        """Look once, and do what is to be done. Raises TransientError."""
        try:
            report = self._look()
            self._keep_apps(report)
            self._shelf.keep(self._bounded(report), self.errors, self._bringer.waiting)
            self._logs.keep(report, self._own)
        except (ZoneAway, CallerError) as error:
            # also what cannot be kept of its report: a zone must not end the center
            if not self.trouble:
                _log.warning("the zone %s is no use: %s", self.zone.name, error, extra={"action": "zone_away"})
            self.trouble = str(error)
            self._shelf.away(self.zone.name, self.trouble)
            return
        if self.trouble:
            _log.info("the zone %s answers again", self.zone.name, extra={"action": "zone_back"})
        self.trouble = ""

    def _look(self) -> wire.Report:
        """The whole report. What it says of routes counts only once it is stored, and is acknowledged with the next one."""
        id, routes = self._shelf.stored(self.zone.name)

        def question(after: str) -> wire.Ask:
            return wire.Ask({}, routes, self._logs.behind(after), after, "", id, self._logs.served(after))

        pages = []
        for after, page in self.zone.reports(question):
            self._logs.take(after, page)
            pages.append(page)
        return pages[0]._replace(
            apps={name: app for page in pages for name, app in page.apps.items()},
            logs=tuple(piece for page in pages for piece in page.logs),
            more=False,
        )

    def _keep_apps(self, report: wire.Report) -> None:
        states = [state for state in self._apps() if state.ended is None]
        zone = self.zone.name
        self._own = {state.name: state.id for state in states if zone in {*state.zones, *state.touched}}
        self._bringer.keep(states, report)

    def _bounded(self, report: wire.Report) -> wire.Report:
        """What is stored of it: what the zone's apps do there, and of others that they are there."""
        apps, left, strangers = {}, MOST_REPORTED, 0
        for name, app in report.apps.items():
            if self._own.get(name) == app.app_id:
                left -= len(str(app.document()))
                if left < 0:
                    text = "the report of the zone is too long, so its processes are not shown"
                    self._bringer.complain(name, text)
                    app = app._replace(ps=(), addresses=())
            elif (strangers := strangers + 1) > MOST_STRANGERS:
                continue
            else:
                app = app._replace(ps=(), addresses=())
            apps[name] = app
        return report._replace(apps=apps)
