"""What a watcher knows of a deployment: fed by its events, read by the code that draws. Pure; must not know how.

It survives what a stream can do: lines that come twice, states that jump, a deployment of ten thousand steps.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from re_client.events import Event, GapEvent, OutputEvent, SkippedEvent, StateEvent
from re_core.api.answers import Deployment, Line, Step
from re_core.model import ENDED, DeploymentStatus, StepStatus
from re_core.wire.progress import Progress, parse

#: lines that are kept of every step
KEPT = 20

#: statuses in which a step is being worked on
_GOING = frozenset({StepStatus.DISPATCHED, StepStatus.STARTED})
#: statuses that stop a deployment
_STOPPED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST})


class StepChange(NamedTuple):
    """A step has another status, or is tried again."""

    step: Step


class DeploymentChange(NamedTuple):
    """The deployment has another status, or (`first`) its first."""

    document: Deployment
    first: bool


class Asking(NamedTuple):
    """The deployment waits for an operator's resolution of a lost step."""

    document: Deployment
    step: Step


class Printed(NamedTuple):
    """A step printed a line that was not shown before."""

    line: Line


class Lost(NamedTuple):
    """The connection went away; it is being made again."""

    why: str


class Left(NamedTuple):
    """Lines that were left out: the deployment prints faster than the watcher reads."""

    lines: int
    deployment: str


Change = StepChange | DeploymentChange | Asking | Printed | Lost | Left


class Window(NamedTuple):
    """The steps to show where there is no room for all, and how many are left out before and behind."""

    before: int
    steps: tuple[Step, ...]
    behind: int


class Watched:
    """One deployment, as far as its events went."""

    def __init__(self) -> None:
        #: the last state; None before the first
        self.document: Deployment | None = None
        #: why there is no connection; empty while there is one
        self.gap = ""
        self._known: dict[int, tuple[str, int]] = {}
        self._lines: dict[int | None, deque[Line]] = {}
        self._progress: dict[int | None, Progress] = {}
        self._last_line = 0
        #: lines that were left out
        self.left = 0

    def feed(self, event: Event) -> list[Change]:
        """Take an event in; what is new by it, in playbook order."""
        if isinstance(event, GapEvent):
            was, self.gap = self.gap, event.why
            return [] if was else [Lost(event.why)]
        self.gap = ""
        if isinstance(event, SkippedEvent):
            return self._skipped(event)
        return self._output(event) if isinstance(event, OutputEvent) else self._state(event)

    @property
    def ended(self) -> bool:
        """Nothing changes any more."""
        return self.document is not None and self.document["status"] in ENDED

    @property
    def completed(self) -> bool:
        """It ended, and well."""
        return self.document is not None and self.document["status"] == DeploymentStatus.COMPLETED

    @property
    def steps(self) -> list[Step]:
        """All steps, in playbook order."""
        return self.document["steps"] if self.document else []

    def begins_stage(self, step: Step) -> list[str]:
        """The description of the stage whose first step this is; nothing elsewhere, and where the stage has none."""
        stages: list[str] = self.document.get("stages", []) if self.document else []
        number, place = step["sequence"], step["number"]
        if number is None or number >= len(stages) or not stages[number]:
            return []
        first = place == 0 or self.steps[place - 1]["sequence"] != number
        return [stages[number]] if first else []

    @property
    def going(self) -> list[Step]:
        """Steps that are being worked on."""
        return [step for step in self.steps if step["status"] in _GOING]

    @property
    def stopped_by(self) -> Step | None:
        """The first step that did not complete, where that is why the deployment failed."""
        return next((step for step in self.steps if step["status"] in _STOPPED), None)

    def counts(self) -> dict[str, int]:
        """Status -> how many steps have it, in the order of a step's life."""
        found = Counter(step["status"] for step in self.steps)
        return {status: found[status] for status in StepStatus if found[status]}

    @property
    def total(self) -> str:
        """How many steps there are: `9 steps`."""
        return f"{len(self.steps)} step{'' if len(self.steps) == 1 else 's'}"

    def lines(self, step: int | None, most: int = KEPT) -> list[Line]:
        """The last lines that a step printed."""
        kept = self._lines.get(step, ())
        return list(kept)[-most:] if most else []

    def progress(self, step: Step) -> Progress | None:
        """How far a step is that is being worked on, where it says so."""
        return self._progress.get(step["number"]) if step["status"] in _GOING else None

    def learn(self, lines: Iterable[Line]) -> None:
        """Lines that are no change for the watcher."""
        for line in lines:
            self._keep(line)

    def _keep(self, line: Line) -> None:
        """How far the step is takes the place of the lines that said so."""
        if (found := parse(line["text"])) is not None:
            self._progress[line["step"]] = found
        else:
            self._lines.setdefault(line["step"], deque(maxlen=KEPT)).append(line)

    def window(self, room: int) -> Window:
        """At most `room` steps: those around what is going on, or around what stopped it, or the last ones."""
        steps = self.steps
        room = max(room, 1)
        if len(steps) <= room:
            return Window(0, tuple(steps), 0)
        first = min(max(self._focus() - room // 3, 0), len(steps) - room)
        return Window(first, tuple(steps[first : first + room]), len(steps) - first - room)

    def _focus(self) -> int:
        """Where to look: the place of a step in the list."""
        interesting = _STOPPED if self.ended else _GOING
        places: Iterable[int] = (
            place for place, step in enumerate(self.steps) if step["status"] in interesting or step.get("asks")
        )
        waiting = (place for place, step in enumerate(self.steps) if step["status"] == StepStatus.PENDING)
        return next(iter(places), next(waiting, len(self.steps)))

    def _output(self, event: OutputEvent) -> list[Change]:
        line = event.line
        if line["number"] <= self._last_line:
            return []
        self._last_line = line["number"]
        self._keep(line)
        return [Printed(line)]

    def _skipped(self, event: SkippedEvent) -> list[Change]:
        count = event.last - max(event.first - 1, self._last_line)
        if count <= 0:
            return []
        self._last_line = event.last
        self.left += count
        return [Left(count, self.document["id"] if self.document else "ID")]

    def _state(self, event: StateEvent) -> list[Change]:
        document, before = event.document, self.document
        self.document = document
        changes: list[Change] = []
        for step in document["steps"]:
            now = (step["status"], step["attempt"])
            if now != self._known.get(step["number"]) and step["number"] in self._known:
                self._progress.pop(step["number"], None)
            # that the turn of a step has not come, or after a retry has not come any more, is no news
            if step["status"] != StepStatus.PENDING and now != self._known.get(step["number"]):
                changes.append(StepChange(step))
            if step.get("asks") and now != self._known.get(step["number"]):
                changes.append(Asking(document, step))
            self._known[step["number"]] = now
        if before is None or before["status"] != document["status"]:
            # an end is shown after the steps that made it, everything else before what follows from it
            changes.insert(len(changes) if self.ended else 0, DeploymentChange(document, before is None))
        return changes
