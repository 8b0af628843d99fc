"""Commit: the version is decided once, over all zones, and each zone switches to it. Must not know how a zone gets ready.

Before the record `committed` nothing has changed for any client of the app; after it every zone goes to the version, now or when it
is back. So a zone that is silent after the decision fails nothing: the reconciler follows it.
"""

from __future__ import annotations

from re_core.apps import events as e
from re_core.apps.values import Status
from re_dploy import wire
from re_dploy.center.calls import ZoneAway
from re_dploy.center.deploying import Holding
from re_dploy.center.looking import Looking, Subject, is_over
from re_dploy.center.tools import Talk, Tools
from re_workers.outcomes import Failed

#: seconds in which the zones switch before the step leaves them to the reconciler
SWITCH_WAIT = 120.0


class Committing(Looking):
    """See the module."""

    def __init__(self, tools: Tools, talk: Talk, app: str, version: int) -> None:
        super().__init__(tools, talk, app, version)
        self._holdings: dict[str, Holding] = {}
        self._decided_at: float | None = None
        #: zones of which was said that they have switched, or follow later
        self._told: set[str] = set()

    def look(self) -> bool:
        """See Looking."""
        subject = self.subject()
        if is_over(subject.version):
            raise Failed(f"v{subject.version.number} failed: {subject.version.why}")
        if subject.version.status is not Status.SUCCEEDED:
            if not self._all_ready(subject):
                return False
            self._decide(subject)
            subject = self.subject()
        return self._switch(subject)

    def _all_ready(self, subject: Subject) -> bool:
        """Each zone is asked once more, in one look: one that has died since its Deploy is not committed to."""
        ready = 0
        for zone in subject.version.zones:
            ready += self._holdings.setdefault(zone, Holding(self, zone)).look(subject)
        return ready == len(subject.version.zones)

    def _decide(self, subject: Subject) -> None:
        version = subject.version
        # a zone that lapsed after its Deploy, and is ready again, said so before
        for zone in version.zones:
            if zone not in version.ready:
                self.say(e.Ready(version.number, self.talk.deployment, zone))
        said = self.say(e.Commit(version.number, self.talk.deployment))
        if not said.accepted:
            raise Failed(said.detail or said.reason)

    def _switch(self, subject: Subject) -> bool:
        now = self.tools.time()
        if self._decided_at is None:
            self._decided_at = now
            self.status(f"v{subject.version.number} is released")
        state, version = subject
        if state.current != version.number:
            return True  # a later version was decided meanwhile: zones go there
        waits = [zone for zone in version.zones if not self._has_switched(subject, zone)]
        if not waits:
            self.status(f"v{version.number} runs in {', '.join(version.zones)}")
            return True
        if now - self._decided_at < SWITCH_WAIT:
            return False
        for zone in waits:
            self.status(f"{zone} follows when it is back")
        return True

    def _has_switched(self, subject: Subject, zone: str) -> bool:
        state, version = subject
        if zone in version.switched or zone in self._told:
            return True
        try:
            seen = self.zone(zone).app(state.name)
            if seen.app is None or not _runs(subject, seen.app):
                self._say_switch(subject, zone, seen.app)
                return False
        except ZoneAway:
            return False
        self.say(e.Switched(version.number, self.talk.deployment, zone))
        self._told.add(zone)
        self.line(f"{zone} runs v{version.number}")
        return True

    def _say_switch(self, subject: Subject, zone: str, app: wire.AppReport | None) -> None:
        """A zone that holds it no more gets an order without hold, from the reconciler."""
        order = app.order if app is not None else None
        if order is not None and order.state == "ready" and order.id.startswith(f"{self.talk.deployment}/"):
            self.zone(zone).control(wire.Control("switch", subject.state.name, order.id, subject.state.epoch))


def _runs(subject: Subject, app: wire.AppReport) -> bool:
    return app.app_id == subject.state.id and app.version == subject.version.number
