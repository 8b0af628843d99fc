"""What all steps of the center have in common: they look twice a second, and each look leaves nothing behind that a repetition needs.

A step may be repeated by another center at any moment, so all that it relies on is in the app's journal and in the zones. Must not
know what the steps are for.
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.apps import events as e
from re_core.apps.broadcasts import PLATFORM
from re_core.apps.state import State
from re_core.apps.values import OVER, Status, Version
from re_core.errors import TransientError
from re_core.usecases.apps.asking import Said
from re_dploy import wire
from re_dploy.center.calls import Seen, Zone, ZoneAway
from re_dploy.center.tools import Talk, Tools
from re_workers.outcomes import Failed

#: seconds between two looks
LOOK = 0.5


class Subject(NamedTuple):
    """The version that a step is about."""

    state: State
    version: Version


class Looking:
    """One step. `look` is called until it returns true.

    It raises Failed where the step cannot succeed, and TransientError where it has to be called again.
    """

    def __init__(self, tools: Tools, talk: Talk, app: str, version: int) -> None:
        self.tools, self.talk = tools, talk
        self._app, self._number = app, version
        #: zone -> since when it has not answered; what was said of it
        self._silent: dict[str, float] = {}

    def look(self) -> bool:
        """Whether the step is done."""
        raise NotImplementedError

    def subject(self) -> Subject:
        """The app and the version now. Raises Failed where this deployment does not release it."""
        state = self.tools.reader.fresh(self._app)
        version = state.versions.get(self._number)
        if version is None or version.job != self.talk.deployment:
            raise Failed(f"this deployment does not release v{self._number} of any app; nothing was done")
        if state.destroyed and version.status not in OVER:
            raise Failed(f"{state.name} was destroyed")
        return Subject(state, version)

    def status(self, text: str) -> None:
        """A line that the clients of the broadcast see as a status."""
        self.talk.output(f"{PLATFORM}{text}\n")

    def line(self, text: str) -> None:
        """A line of the log."""
        self.talk.output(f"{self.shown(text)}\n")

    @staticmethod
    def shown(text: str) -> str:
        """How a line of the log stands there."""
        return f"       {text}"

    def say(self, event: e.Request) -> Said:
        """Tell the app. Raises TransientError: what was not answered is said again at the next look."""
        return self.tools.tell(self._app, event)

    def zone(self, name: str) -> Zone:
        """Raises Failed for one that the center does not know."""
        zone = self.tools.zones.get(name)
        if zone is None:
            known = ", ".join(sorted(self.tools.zones)) or "none"
            raise Failed(f"the center knows no zone {name}; it knows {known} (dploy_zones)")
        return zone

    def is_late(self, answer: wire.Answer) -> bool:
        """Whether a zone refuses an order only because the app has said something else there since it was made.

        The journal has that by now, so the next look makes the order once more.
        """
        return answer.code == "stale-epoch" and self.tools.reader.fresh(self._app).epoch >= answer.epoch

    def seen(self, zone: Zone, app: str, order: str = "", after: int = 0) -> Seen | None:
        """What the zone has; None where it does not answer. Raises Failed where it has not for too long."""
        try:
            seen = zone.app(app, order, after)
        except ZoneAway as error:
            self.silent(zone.name, error)
            return None
        if self._silent.pop(zone.name, None) is not None:
            self.line(f"{zone.name} answers again")
        return seen

    def silent(self, zone: str, error: TransientError) -> None:
        """It has not answered. Raises Failed after `zone_wait` seconds."""
        now = self.tools.time()
        if zone not in self._silent:
            self.line(f"{zone} does not answer: {error}")
        since = self._silent.setdefault(zone, now)
        if now - since >= self.tools.zone_wait:
            raise Failed(f"{zone} has not answered for {self.tools.zone_wait:g} s: {error}")


def refused(zone: str, answer: wire.Answer, epoch: int) -> Failed:
    """The error that a zone refuses an order."""
    if answer.code == "stale-epoch":
        return Failed(
            f"{zone} has epoch {answer.epoch}, this engine is at {epoch}: it was restored, or another engine has the zone; "
            "an administrator takes it over with rectl apps takeover"
        )
    return Failed(f"{zone} refuses the order: {answer.why or answer.code}")


def is_over(version: Version) -> bool:
    """Whether it is decided that it will not run."""
    return version.status is Status.FAILED
