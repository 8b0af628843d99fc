"""The sequencer: batches of deliveries through the machine into journal and bus. Must not know any technology.

    take up to N deliveries → fold in what is not yet known → advance each → append all new records in ONE insert
      → publish all effects → write the other views → acknowledge the deliveries

Append before publish, publish before ack (docs/decisions/0002). A crash between any two of these repeats what comes
after, and everything after carries ids that make a repetition harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from re_core import events as e
from re_core import messages as m
from re_core.errors import BadMessage, BusUnavailable, StoreRefused, StoreUnavailable
from re_core.messages import Message
from re_core.model import ENDED
from re_core.ports import Append, Appended, Bus, Clock, Delivery, Store
from re_core.redaction import Redaction
from re_core.sequencer import story
from re_core.sequencer.acceptance import Acceptance
from re_core.sequencer.batch import Batch
from re_core.sequencer.cache import Cache, Known
from re_core.sequencer.creation import Creation, Said, admit, unusable
from re_core.sequencer.intake import read_word
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.outgoing import messages_of
from re_core.sequencer.rows import Rows
from re_core.sequencer.work import Item, Work, advance_all
from re_core.state import fold

#: deliveries of one batch
BATCH = 256

_log = logging.getLogger(__name__)


class Sequencer:
    """Carries deployments from event to event. One thread at a time; any number of sequencers share the work."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        clock: Clock,
        acceptance: Acceptance,
        identity: str,
        redaction: Redaction = Redaction(),  # noqa: B008  # it is immutable
    ) -> None:
        """`identity` tells this process from all others, and from its own earlier lives."""
        self._redaction = redaction
        self._bus = bus
        self._store = store
        self._clock = clock
        self._acceptance = acceptance
        self._identity = identity
        self._batches = 0
        self._cache = Cache()
        self._rows = Rows(store)
        self._outbox = Outbox(bus, store, clock)
        #: events that came of publishing: dispatches that found no queue
        self._own: list[tuple[str, Item]] = []
        self._subscription = bus.subscribe((m.JOB_CREATE, *m.reply_queues()), BATCH * 4)

    def turn(self, timeout: float) -> int:
        """One batch; waits up to `timeout` seconds for it. Returns how many deliveries it settled.

        Raises StoreUnavailable or BusUnavailable after it gave the deliveries back: nothing is lost, try again later.
        """
        self._outbox.catch_up()
        self._rows.write_overdue(self._clock.now())
        self._note_unoffered()
        own = self._own
        deliveries = self._subscription.take(BATCH, 0 if own else self._rows.patience(timeout))
        if not deliveries and not own:
            return 0
        self._batches += 1
        batch = Batch(self._clock.now(), f"{self._identity}.{self._batches}")
        try:
            self._sort(batch, deliveries)
            self._carry_out(batch)
            self._subscription.ack(_open(batch, deliveries))
        except (StoreUnavailable, BusUnavailable):
            self._cache.clear()  # what it holds may be ahead of the journal
            self._rows.forget(batch.groups)
            self._own = own
            self._subscription.requeue(_open(batch, deliveries))
            raise
        self._note_unoffered()
        return len(deliveries)

    def close(self) -> None:
        """Stop consuming; what was not settled goes to another core."""
        self._subscription.close()

    # -- take --------------------------------------------------------------------------------------

    def _sort(self, batch: Batch, deliveries: Sequence[Delivery]) -> None:
        for deployment, item in self._own:
            batch.add(deployment, item)
        self._own = []
        for delivery in deliveries:
            if delivery.queue == m.JOB_CREATE:
                self._sort_creation(batch, delivery)
                continue
            try:
                word = read_word(delivery.message, self._redaction)
            except BadMessage as error:
                self._reject(batch, delivery, error.reason, str(error))
            else:
                batch.add(word.deployment, Item(word.event, delivery))

    def _sort_creation(self, batch: Batch, delivery: Delivery) -> None:
        creation, said = admit(self._acceptance, delivery)
        if creation is not None:
            batch.creations.append(creation)
        else:
            self._refuse(batch, delivery, said)

    def _refuse(self, batch: Batch, delivery: Delivery, said: Said) -> None:
        """Nothing in the journal has to come before a no."""
        self._outbox.add(said.messages)
        if said.dead:
            self._reject(batch, delivery, said.reason, said.dead)

    def _reject(self, batch: Batch, delivery: Delivery, reason: str, detail: str) -> None:
        _log.warning(
            "a message on %s cannot be used and is a dead letter now: %s: %s",
            delivery.queue,
            reason,
            detail,
            extra={"action": "reject_message", "deployment_id": delivery.message.correlation_id},
        )
        self._subscription.reject(delivery, reason, detail)
        batch.rejected.add(delivery.tag)

    # -- advance, append ---------------------------------------------------------------------------

    def _carry_out(self, batch: Batch) -> None:
        works = [
            work for creation in batch.creations if (work := self._create(batch, creation, fresh=False)) is not None
        ]
        for deployment, items in batch.groups.items():
            work = self._advance(batch, deployment, items, fresh=False)
            if work is not None:
                works.append(work)
        while works:
            works = [again for work in self._append(batch, works) if (again := self._redo(batch, work)) is not None]
        self._publish(batch)

    def _advance(self, batch: Batch, deployment: str, items: list[Item], fresh: bool) -> Work | None:
        """The work of one deployment; None where nobody knows it, and its deliveries are dead letters."""

        def broken(item: Item, error: Exception) -> None:
            _log.error("an event cannot be handled", exc_info=error, extra={"action": "event_error"})
            if item.delivery is not None:
                self._reject(batch, item.delivery, "error", f"{type(error).__name__}: {error}")

        try:
            work = advance_all(items, lambda again: self._load(deployment, fresh or again), batch.now, broken)
            reason, detail = "unknown-deployment", f"no deployment has the id {deployment[:100]!r}"
        except StoreRefused as error:
            work, reason, detail = None, error.reason, str(error)
        if work is None:
            for item in items:
                if item.delivery is not None and item.delivery.tag not in batch.rejected:
                    self._reject(batch, item.delivery, reason, detail)
        return work

    def _create(self, batch: Batch, creation: Creation, fresh: bool) -> Work | None:
        """The work of a new deployment, or (`fresh`) of one that was there first; None where that cannot be."""
        try:
            entries = self._store.entries(creation.admission.deployment) if fresh else []
            return Work.answer_again(creation, fold(entries)) if entries else Work.create(creation, batch.now)
        except (StoreUnavailable, BusUnavailable):
            raise
        except Exception as error:  # one request must not take its batch with it
            self._refuse(batch, creation.delivery, unusable(creation.message, error))
            return None

    def _load(self, deployment: str, fresh: bool) -> Work | None:
        known = None if fresh else self._cache.get(deployment)
        if known is not None:
            return Work(known, fresh=False)
        self._cache.drop(deployment)
        entries = self._store.entries(deployment)
        return Work(Known(fold(entries)), fresh=True) if entries else None

    def _append(self, batch: Batch, works: list[Work]) -> list[Work]:
        """Append what is new, and note what may be published; returns the works whose append was lost."""
        rows: list[Append] = []
        written: list[Work] = []
        causing: list[list[Message]] = []
        for work in works:
            entry = work.entry(batch.now, batch.writer)
            view = work.view(batch.now)
            messages = messages_of(work.known.state, work.effects)
            if entry is None:
                work.overdue = view
                self._done(batch, work, messages)
                continue
            mail = tuple(self._bus.mail(messages)) if work.tells else ()
            rows.append(Append(entry, view, mail))
            written.append(work)
            causing.append(messages)
        if not rows:
            return []
        lost: list[Work] = []
        outcomes = self._outbox.append(rows, causing)
        for work, messages, outcome in zip(written, causing, outcomes, strict=True):
            if outcome is Appended.LOST:
                lost.append(work)
            else:
                self._done(batch, work, messages)
        if not self._store.transactional:
            self._defer_views(rows, written)
        return lost

    def _done(self, batch: Batch, work: Work, messages: list[Message]) -> None:
        """What the work leads to may be published now."""
        batch.done.append(work)
        self._outbox.add(messages)
        self._outbox.add(work.answers)

    @staticmethod
    def _defer_views(rows: list[Append], written: list[Work]) -> None:
        for row, work in zip(rows, written, strict=True):
            if row.entry.number > 1:
                work.overdue = row.view

    def _redo(self, batch: Batch, work: Work) -> Work | None:
        """Another core was faster: judge again on what it wrote."""
        deployment = work.known.state.deployment
        self._cache.drop(deployment)
        if work.creation is None:
            return self._advance(batch, deployment, work.items, fresh=True)
        return self._create(batch, work.creation, fresh=True)

    # -- publish -----------------------------------------------------------------------------------

    def _publish(self, batch: Batch) -> None:
        self._outbox.send()
        overdue = [work.overdue for work in batch.done if work.overdue is not None]
        if overdue:
            self._store.write_views(overdue)
        for work in batch.done:
            self._keep(work, batch.now)

    def _keep(self, work: Work, now: int) -> None:
        state = work.known.state
        self._rows.note(work.known, now)
        for reason in work.refusals:
            _log.info(
                "an event was refused: %s", reason, extra={"action": "refuse_event", "deployment_id": state.deployment}
            )
        if work.records:
            story.tell(state, work.records)
        if state.status in ENDED:
            self._cache.drop(state.deployment)
        else:
            self._cache.put(work.known)

    def _note_unoffered(self) -> None:
        """A step that nobody offers is an event."""
        for attempt in self._outbox.unoffered:
            self._own.append((attempt.deployment, Item(e.NobodyOffers(attempt.step, attempt.attempt), None)))
        self._outbox.unoffered.clear()


def _open(batch: Batch, deliveries: Sequence[Delivery]) -> list[Delivery]:
    if not batch.rejected:
        return list(deliveries)
    return [delivery for delivery in deliveries if delivery.tag not in batch.rejected]
