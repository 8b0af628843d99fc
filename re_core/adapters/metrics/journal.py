"""Figures of deployments and of attempts of steps, from their records. Must not know how they are read.

Every step of every deployment passes here several times: what one advance of a deployment has recorded is counted under one
lock, in one object for each command.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import LONG, Buckets, Counter, Histogram, Names, counter, histogram
from re_core.adapters.metrics.waiting import WaitingSteps
from re_core.deployment import records as r
from re_core.deployment.state import State
from re_core.wire.messages import TURN, Message

#: begins the routing key of every step, and the name of every worker's queue
_STEP = "worker."

#: names of steps whose figures are kept
_NAMES = 10_000

#: records of an attempt's end; the kind of one is its outcome
_ENDS = frozenset({r.Completed, r.Failed, r.TimedOut, r.Lost})


class _OfCommand:
    """What is counted of the steps of one command."""

    __slots__ = ("claimed", "dispatched", "label", "outcomes", "queued", "run")

    def __init__(self, label: str) -> None:
        self.label = label
        self.dispatched = self.claimed = 0
        #: outcome -> attempts
        self.outcomes: dict[str, int] = defaultdict(int)
        #: seconds from dispatch to claim, and from claim to outcome
        self.queued, self.run = Buckets(LONG), Buckets(LONG)


class JournalFigures:
    """How many there were and how long they took, and which attempts wait for a worker. Any thread may call."""

    def __init__(self) -> None:
        self.waiting = WaitingSteps()
        self._names = Names()
        self._lock = Lock()
        self._accepted = Counter("deployments_accepted", "Deployments that this core accepted")
        self._ended = Counter("deployments_ended", "Deployments that ended, by status", "status")
        self._took = Histogram(
            "deployment_seconds", "Time from the acceptance of a deployment to its end", LONG, "status"
        )
        #: label -> figures
        self._commands: dict[str, _OfCommand] = {}
        #: `command:Subcommand` -> the figures of its command
        self._known: dict[str, _OfCommand] = {}

    def recorded(self, state: State, records: Sequence[Any], at: int) -> None:
        """See Observer."""
        with self._lock:
            for record in records:
                kind = type(record)
                if kind is r.Dispatched:
                    self._of(state, record.step).dispatched += 1
                elif kind is r.Started:
                    self._claim(state, record, at)
                elif kind in _ENDS:
                    self._end(state, record, r.kind_of(record), at)
                elif kind is r.Accepted:
                    self._accepted.add()
                elif kind is r.Ended:
                    self._ended.add(record.status)
                    self._took.add(max(0, at - state.created) / 1000, record.status)

    def published(self, messages: Sequence[Message]) -> None:
        """See Observer."""
        steps = [
            (self._names.of(message.key.removeprefix(_STEP)), message.id, int(message.headers.get(TURN, "0")))
            for message in messages
            if message.key.startswith(_STEP)
        ]
        if steps:
            self.waiting.sent(steps)

    def metrics(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        yield from (one.metric() for one in (self._accepted, self._ended, self._took))
        with self._lock:
            of = self._commands.values()
            dispatched = [((one.label,), one.dispatched) for one in of]
            claimed = [((one.label,), one.claimed) for one in of]
            ended = [((one.label, outcome), count) for one in of for outcome, count in one.outcomes.items()]
            queued = [((one.label,), one.queued.copy()) for one in of]
            run = [((one.label,), one.run.copy()) for one in of]
        yield counter("steps_dispatched", "Attempts of steps that this core dispatched", dispatched, "command")
        yield counter("steps_claimed", "Attempts of steps that workers claimed", claimed, "command")
        yield counter("steps_ended", "Attempts of steps that ended, by outcome", ended, "command", "outcome")
        yield histogram("step_queue_seconds", "Time from the dispatch of a step to its claim", queued, "command")
        yield histogram("step_seconds", "Time from the claim of a step to its outcome", run, "command")

    def _of(self, state: State, step: int) -> _OfCommand:
        spec = state.plan.steps[step].spec
        known = self._known.get(spec.name)
        if known is None:
            label = self._names.of(spec.command)
            known = self._commands.setdefault(label, _OfCommand(label))
            if len(self._known) < _NAMES:
                self._known[spec.name] = known
        return known

    def _claim(self, state: State, record: r.Started, at: int) -> None:
        figures, step = self._of(state, record.step), state.steps[record.step]
        figures.claimed += 1
        self.waiting.over(figures.label, f"{state.deployment}/{record.step}/{record.attempt}")
        if step.dispatched_at is not None and step.attempt == record.attempt:
            figures.queued.add(max(0, at - step.dispatched_at) / 1000)

    def _end(self, state: State, record: Any, outcome: str, at: int) -> None:
        figures, step = self._of(state, record.step), state.steps[record.step]
        figures.outcomes[outcome] += 1
        if step.started_at is not None and step.attempt == record.attempt:
            figures.run.add(max(0, at - step.started_at) / 1000)
        else:  # no claim said that it waits no more
            self.waiting.over(figures.label, f"{state.deployment}/{record.step}/{record.attempt}")
