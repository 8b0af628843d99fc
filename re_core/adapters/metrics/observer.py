"""What is counted while it happens. Must not know how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import QUICK, SIZES, Counter, Histogram
from re_core.adapters.metrics.journal import JournalFigures
from re_core.adapters.metrics.runs import RunFigures
from re_core.deployment import records as r
from re_core.deployment.state import State
from re_core.ports import Delivery, Observer, StepRun
from re_core.wire.messages import Message
from re_core.wire.trace_context import DeploymentTrace


class MetricsObserver(Observer):
    """One process's. Labels are commands, outcomes and transports: never deployments, groups, hosts, users or workers."""

    def __init__(self) -> None:
        self._journal = JournalFigures()
        self._runs = RunFigures()
        self.waiting = self._journal.waiting
        self._batch = Histogram("batch_deliveries", "Deliveries in one batch of the sequencer", SIZES)
        self._entries = Histogram("append_entries", "Entries in one append to the journal", SIZES)
        self._append = Histogram("append_seconds", "Duration of one append to the journal", QUICK)
        self._lost = Counter("appends_lost", "Appended entries whose number another core had used")
        self._publish = Histogram("publish_seconds", "Duration of one publish call", QUICK)
        self._published = Counter("messages_published", "Messages that the sequencer published and the bus confirmed")
        self._cdpm = Counter("cdpm_events", "What happened to pipelines, by the names of their events", "what")
        self._unproven = Counter(
            "unproven_messages", "Messages of workers that do not count because of who sent them", "what"
        )
        self._notices = Counter(
            "notifications", "Notifications, by outcome: delivered or refused", "transport", "outcome"
        )

        self._tries = Counter(
            "notification_tries", "Messages that notifiers tried to send, repeats included", "transport"
        )
        self._digested = Counter(
            "notifications_digested", "Notifications that one message stood for together with others", "transport"
        )

    def metrics(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        for one in vars(self).values():
            if isinstance(one, Counter | Histogram):
                yield one.metric()
        yield from self._journal.metrics()
        yield from self._runs.metrics()

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
        self._journal.published(messages)

    def recorded(self, state: State, records: Sequence[r.Record], at: int, trace: DeploymentTrace | None) -> None:
        """See Observer."""
        self._journal.recorded(state, records, at)

    def ran(self, run: StepRun) -> None:
        """See Observer."""
        self._runs.ran(run)

    def notified(self, transport: str, message: Message, delivered: bool, began: int) -> None:
        """See Observer."""
        self._notices.add(transport, "delivered" if delivered else "refused")

    def unproven(self, what: str) -> None:
        """See Observer."""
        self._unproven.add(what)

    def tried(self, transport: str, together: int) -> None:
        """See Observer."""
        self._tries.add(transport)
        if together > 1:
            self._digested.add(transport, by=together)

    def cdpm(self, what: str) -> None:
        """See Observer."""
        self._cdpm.add(what)
