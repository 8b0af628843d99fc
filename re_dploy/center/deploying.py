"""Deploy: one zone has the version up beside what runs, and holds it. Must not know the decision.

`Holding` is one attempt after the other to have it so; the commit uses it too, where a held version has lapsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from re_core.apps import events as e
from re_core.apps.values import Status
from re_core.errors import CallerError, DamagedArtifact, OperatorError, TransientError
from re_dploy import wire
from re_dploy.center.calls import ZoneAway
from re_dploy.center.looking import Looking, Subject, is_over, refused
from re_dploy.center.orders import attempt_of, is_of, release_order
from re_dploy.center.tools import Talk, Tools
from re_workers.outcomes import Failed

#: seconds for which a zone may say that it is busy before the release gives up
BUSY = 600.0

#: state of an order -> what a person reads when it begins
_PROGRESS: Mapping[str, str] = {
    "releasing": "runs the release command",
    "starting": "starts the processes beside those that run",
}


class Holding:
    """One zone's order of a release."""

    def __init__(self, step: Looking, zone: str) -> None:
        self._step, self.zone = step, zone
        self._attempt = 0
        self._after = 0
        self._busy_since: float | None = None
        self._state = ""
        #: lines of the order that an earlier attempt of a step has said, where this one has not given it; None: not read yet
        self._said: Counter[str] | None = None

    @property
    def order(self) -> str:
        """Id of the attempt that counts; the first one before any was seen."""
        return release_order(self._step.talk.deployment, self.zone, max(1, self._attempt))

    def look(self, subject: Subject) -> bool:
        """Whether the zone holds the version, or has switched to it. Raises Failed, TransientError."""
        zone = self._step.zone(self.zone)
        seen = self._step.seen(zone, subject.state.name, self.order, self._after)
        if seen is None:
            return False
        if seen.app is not None and seen.app.order is not None:
            self._learn(seen.app.order)
        if seen.order is None or seen.order.id != self.order:
            self._give(subject)
            return False
        return self._read(subject, seen.order)

    def _learn(self, newest: wire.OrderReport) -> None:
        """Another center may have made more attempts."""
        if is_of(newest.id, self._step.talk.deployment) and attempt_of(newest.id) > max(1, self._attempt):
            self._next(attempt_of(newest.id))

    def _say(self, line: str) -> None:
        """Once: a step that another center goes on with, and the commit, read an order from its first line on."""
        if self._said is None:
            self._said = Counter(self._step.tools.said(self._step.talk.deployment))
        text = self._step.shown(line)
        if self._said[text]:
            self._said[text] -= 1
        else:
            self._step.line(line)

    def _next(self, attempt: int) -> None:
        self._attempt, self._after, self._state, self._said = attempt, 0, "", None

    def _give(self, subject: Subject) -> None:
        """Give the order; the zone attaches to one that it has already."""
        state, version = subject
        self._attempt = max(1, self._attempt)
        try:
            order = self._step.tools.orders.release(state, version, self.zone, self._attempt)
            answer = self._step.zone(self.zone).order(order)
        except ZoneAway as error:
            self._step.silent(self.zone, error)
            return
        except TransientError:
            raise
        except (CallerError, DamagedArtifact, OperatorError) as error:
            raise Failed(str(error)) from None
        if not answer.refused:
            self._busy_since = None
            if answer.state == "accepted":
                self._said = Counter()
        elif answer.code == "busy":
            self._wait_while_busy(answer)
        elif not self._step.is_late(answer):
            raise refused(self.zone, answer, state.epoch)

    def _wait_while_busy(self, answer: wire.Answer) -> None:
        now = self._step.tools.time()
        if self._busy_since is None:
            self._busy_since = now
            self._step.line(f"{self.zone} is busy: {answer.why}")
        if now - self._busy_since >= BUSY:
            raise Failed(f"{self.zone} has been busy for {BUSY:g} s: {answer.why}")

    def _read(self, subject: Subject, report: wire.OrderReport) -> bool:
        for line in report.lines:
            self._say(line)
        self._after = max(self._after, report.next)
        if report.state != self._state:
            self._state = report.state
            if text := _PROGRESS.get(report.state):
                self._step.line(f"{self.zone} {text}")
        if report.state == "ready" or report.state in wire.SWITCHED:
            return True
        if report.state == "lapsed":
            self._step.line(f"{self.zone} has held v{subject.version.number} for too long; it is ordered again")
            self._next(self._attempt + 1 if self._attempt else 2)
        elif report.state in wire.OVER:
            raise Failed(f"{self.zone}: {report.why or f'the order is {report.state}'}")
        return False


class Deploying(Looking):
    """See the module."""

    def __init__(self, tools: Tools, talk: Talk, app: str, version: int, zone: str) -> None:
        super().__init__(tools, talk, app, version)
        self._holding = Holding(self, zone)

    def look(self) -> bool:
        """See Looking."""
        subject = self.subject()
        version, zone = subject.version, self._holding.zone
        if version.status is Status.SUCCEEDED or zone in version.ready:
            return True
        if is_over(version):
            raise Failed(f"v{version.number} failed: {version.why}")
        if zone not in version.zones:
            raise Failed(f"v{version.number} is not released in {zone}")
        if not self._holding.look(subject):
            return False
        said = self.say(e.Ready(version.number, self.talk.deployment, zone))
        if not said.accepted:
            raise Failed(said.detail or said.reason)
        self.status(f"{zone}: v{version.number} is up beside what runs")
        return True
