"""What is counted while it happens. Must not know how anybody reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import LONG, QUICK, SIZES, Counter, Histogram, Names
from re_core.adapters.metrics.waiting import WaitingSteps
from re_core.deployment import records as r
from re_core.deployment.state import State
from re_core.ports import Delivery, Observer, StepRun
from re_core.wire.messages import TURN, Message
from re_core.wire.strict_json import digits
from re_core.wire.trace_context import DeploymentTrace

#: begins the routing key of every step, and the name of every worker's queue
_STEP = "worker."

#: names of steps whose label is remembered
_LABELS = 10_000


class MetricsObserver(Observer):
    """One process's. Labels are commands, outcomes and transports: never deployments, groups, hosts, users or workers."""

    def __init__(self) -> None:
        self.waiting = WaitingSteps()
        self._commands = Names()
        #: `command:Subcommand` -> label
        self._labels: dict[str, str] = {}
        self._accepted = Counter("deployments_accepted", "Deployments that this core accepted")
        self._ended = Counter("deployments_ended", "Deployments that ended, by status", "status")
        self._took = Histogram(
            "deployment_seconds", "Time from the acceptance of a deployment to its end", LONG, "status"
        )
        self._dispatched = Counter("steps_dispatched", "Attempts of steps that this core dispatched", "command")
        self._claimed = Counter("steps_claimed", "Attempts of steps that workers claimed", "command")
        self._outcomes = Counter("steps_ended", "Attempts of steps that ended, by outcome", "command", "outcome")
        self._queued = Histogram("step_queue_seconds", "Time from the dispatch of a step to its claim", LONG, "command")
        self._run = Histogram("step_seconds", "Time from the claim of a step to its outcome", LONG, "command")
        self._batch = Histogram("batch_deliveries", "Deliveries in one batch of the sequencer", SIZES)
        self._entries = Histogram("append_entries", "Entries in one append to the journal", SIZES)
        self._append = Histogram("append_seconds", "Duration of one append to the journal", QUICK)
        self._lost = Counter("appends_lost", "Appended entries whose number another core had used")
        self._publish = Histogram("publish_seconds", "Duration of one publish call", QUICK)
        self._published = Counter("messages_published", "Messages that the sequencer published and the bus confirmed")
        self._ran = Counter(
            "worker_steps", "Steps that the workers of this process ran, by status", "command", "status"
        )
        self._running = Histogram("worker_step_seconds", "Duration of a step in its worker", LONG, "command")
        self._notices = Counter(
            "notifications", "Notifications, by outcome: delivered or refused", "transport", "outcome"
        )
        self._hears: Mapping[type[Any], Callable[[State, Any, int], None]] = {
            r.Accepted: lambda state, record, at: self._accepted.add(),
            r.Dispatched: lambda state, record, at: self._dispatched.add(self._command(state, record.step)),
            r.Started: self._on_claim,
            r.Completed: self._on_outcome("completed"),
            r.Failed: self._on_outcome("failed"),
            r.TimedOut: self._on_outcome("timed_out"),
            r.Lost: self._on_outcome("lost"),
            r.Ended: self._on_end,
        }

    def metrics(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        for one in vars(self).values():
            if isinstance(one, Counter | Histogram):
                yield one.metric()

    def took(self, deliveries: Sequence[Delivery]) -> None:
        """See Observer."""
        self._batch.add(len(deliveries))

    def appended(self, entries: int, lost: int, seconds: float) -> None:
        """See Observer."""
        self._entries.add(entries)
        self._append.add(seconds)
        if lost:
            self._lost.add(by=lost)

    def published(self, messages: Sequence[Message], seconds: float) -> None:
        """See Observer."""
        self._publish.add(seconds)
        self._published.add(by=len(messages))
        for message in messages:
            if message.key.startswith(_STEP):
                since = digits(message.headers.get(TURN, ""))
                self.waiting.sent(self._commands.of(message.key.removeprefix(_STEP)), message.id, since or 0)

    def recorded(self, state: State, records: Sequence[r.Record], at: int, trace: DeploymentTrace | None) -> None:
        """See Observer."""
        for record in records:
            hear = self._hears.get(type(record))
            if hear is not None:
                hear(state, record, at)

    def ran(self, run: StepRun) -> None:
        """See Observer."""
        command = self._commands.of(run.command)
        self._ran.add(command, run.status)
        self._running.add(max(0.0, (run.ended - run.began) / 1e9), command)

    def notified(self, transport: str, message: Message, delivered: bool, began: int) -> None:
        """See Observer."""
        self._notices.add(transport, "delivered" if delivered else "refused")

    def _command(self, state: State, step: int) -> str:
        spec = state.plan.steps[step].spec
        label = self._labels.get(spec.name)
        if label is None:
            label = self._commands.of(spec.command)
            if len(self._labels) < _LABELS:
                self._labels[spec.name] = label
        return label

    def _on_claim(self, state: State, record: r.Started, at: int) -> None:
        command, step = self._command(state, record.step), state.steps[record.step]
        self.waiting.over(command, f"{state.deployment}/{record.step}/{record.attempt}")
        self._claimed.add(command)
        if step.dispatched_at is not None and step.attempt == record.attempt:
            self._queued.add(max(0, at - step.dispatched_at) / 1000, command)

    def _on_outcome(self, outcome: str) -> Callable[[State, Any, int], None]:
        def hear(state: State, record: Any, at: int) -> None:
            command, step = self._command(state, record.step), state.steps[record.step]
            self.waiting.over(command, f"{state.deployment}/{record.step}/{record.attempt}")
            self._outcomes.add(command, outcome)
            if step.started_at is not None and step.attempt == record.attempt:
                self._run.add(max(0, at - step.started_at) / 1000, command)

        return hear

    def _on_end(self, state: State, record: r.Ended, at: int) -> None:
        self._ended.add(record.status)
        self._took.add(max(0, at - state.created) / 1000, record.status)
