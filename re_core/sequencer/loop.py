"""The sequencer: batches of deliveries through the machine into journal and bus. Must not know any technology.

    take up to N deliveries → fold in what is not yet known → advance each → append all new records in ONE insert
      → publish all effects → write the other views → acknowledge the deliveries

Append before publish, publish before ack (docs/decisions/0002). A crash between any two of these repeats what comes
after, and everything after carries ids that make a repetition harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence

from re_core.admission.acceptance import Acceptance
from re_core.admission.job_create import Creation, gave_up, unusable
from re_core.deployment import events as e
from re_core.deployment.feed import is_told
from re_core.deployment.records import Entry, TakenBack, Void, never_began, was_taken_back
from re_core.deployment.state import State, fold
from re_core.errors import BusUnavailable, NewerFormat, StoreRefused, StoreUnavailable
from re_core.model import ENDED
from re_core.ports import (
    UNOBSERVED,
    Append,
    Appended,
    Bus,
    Clock,
    Delivery,
    EntryRef,
    Observer,
    Store,
    Subscription,
    read_state,
)
from re_core.sequencer import event_log
from re_core.sequencer.batch import Batch, parts_of
from re_core.sequencer.cache import Cache, CachedDeployment, Sightings
from re_core.sequencer.encoding import event_messages, messages_of, said_no
from re_core.sequencer.guard import must_wait, reject
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.list_rows import Rows
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.triage import Triage
from re_core.sequencer.work import WRITER_GRACE, Item, Work, advance_all
from re_core.wire.messages import EVENTS, Message
from re_core.wire.redaction import Redaction
from re_core.workforce.claimants import WorkerRegistrar
from re_core.workforce.routing import StepRouter

#: why a deployment is taken back
TOO_LATE = "expired: it was accepted too late, after its caller had stopped waiting"

#: how often one batch is judged again because another core was faster
REDONE = 5

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
        offering: StepRouter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """`identity` tells this process from all others, and from its own earlier lives.

        Without `offering` a step is sent to its queue, and nobody offers it where there is none. `monotonic`: seconds,
        of the clock of `Delivery.received`.
        """
        self._bus = bus
        self._store = store
        self._clock = clock
        self._identity = identity
        self._redaction = redaction
        self._offering = offering
        self._observer = observer
        self._claimants = None if offering is None else WorkerRegistrar(store, clock)
        self._acceptance = acceptance
        self._batches = 0
        self._cache = Cache()
        self._sightings = Sightings(monotonic)
        #: what an entry causes is committed with it, or derived again at the next start
        self._atomic = offering is None and store.transactional
        self._rows = Rows(store)
        self._outbox = Outbox(bus, store, clock, declares=offering is not None, observer=observer)
        #: events that came of publishing: dispatches that found no queue, or of which nobody knows whether they did
        self._own: list[tuple[str, Item]] = []
        #: deployment that is about to be taken back -> notifications that its first entry causes
        self._withheld: dict[str, list[Message]] = {}
        self._taking = Inbox(bus, store, identity, monotonic)
        self._sorting = Triage(self._taking, self._outbox, acceptance, redaction, monotonic)
        #: journals read so far, new deployments and those that this core goes on with
        self.reads = 0

    def turn(self, timeout: float) -> int:
        """One batch; waits up to `timeout` seconds for it. Returns how many deliveries it settled.

        Raises StoreUnavailable or BusUnavailable after it gave the deliveries back: nothing is lost, try again later.
        Raises NewerFormat where a newer engine goes on with what was delivered: this one must leave it to that.
        """
        try:
            self._taking.come_back()
            handled = self._turn(timeout)
        except StoreUnavailable:
            self._taking.missed_store()
            raise
        self._taking.reached_store()
        return handled

    def close(self) -> None:
        """Stop consuming; what was not settled goes to another core."""
        self._taking.close()
        _log.info("read %d journals to go on with their deployments", self.reads, extra={"action": "reads"})

    @property
    def _subscription(self) -> Subscription:
        return self._taking.subscription

    def _turn(self, timeout: float) -> int:
        self._outbox.catch_up(self._sorting.is_late)
        self._rows.write_overdue(self._clock.now())
        self._note_own()
        deliveries = self._taking.take(0 if self._own else self._rows.patience(timeout))
        if self._taking.is_new_connection():
            self._cache.clear()
        if deliveries:
            self._observer.took(deliveries)
        if deliveries or self._own:
            self._handle(deliveries)
        return len(deliveries)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        batches: list[Batch] = []
        try:
            for part in parts_of(deliveries):
                batches.append(self._new_batch())
                self._sort(batches[-1], part)
                self._carry_out(batches[-1])
            self._carry_out_own()
            for batch in batches:
                for queue in batch.spent():
                    self._bus.stop_forwarding(queue)
            self._subscription.ack(_open(batches, deliveries))
        except (StoreUnavailable, BusUnavailable):
            self._cache.clear()  # what it holds may be ahead of the journal
            for batch in batches:
                self._rows.forget(batch.groups)
            refused = [delivery for batch in batches for delivery in batch.refused]
            self._taking.give_back(_open(batches, deliveries), refused)
            raise
        except Exception as error:
            if must_wait(error) or self._own:
                raise
            self._cache.clear()
            for batch in batches:
                self._rows.forget(batch.groups)
            refused = [delivery for batch in batches for delivery in batch.refused]
            self._subscription.ack(refused)
            self._isolate([one for one in _open(batches, deliveries) if one not in refused], error)

    def _isolate(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """One message must not take its batch with it, nor every core in turn: whichever breaks alone is a dead letter."""
        if len(deliveries) == 1:
            reject(self._subscription, deliveries[0], error)
            return
        for place, delivery in enumerate(deliveries):
            try:
                self._outbox.catch_up(self._sorting.is_late)
                self._handle([delivery])
            except (StoreUnavailable, BusUnavailable):
                self._subscription.requeue(deliveries[place + 1 :])
                raise

    def _new_batch(self) -> Batch:
        self._batches += 1
        return Batch(self._clock.now(), f"{self._identity}.{self._batches}")

    def _sort(self, batch: Batch, deliveries: Sequence[Delivery]) -> None:
        self._sorting.prepare(deliveries)
        for delivery in deliveries:
            self._sorting.sort(batch, delivery)

    def _carry_out_own(self) -> None:
        """Before what caused them is acknowledged: a crash brings that again, and so these too."""
        while self._own:
            own = self._own
            batch = self._new_batch()
            for deployment, item in own:
                batch.add(deployment, item)
            self._own = []
            try:
                self._carry_out(batch)
            except BaseException:
                self._own = own
                self._rows.forget(batch.groups)
                raise
        self._withheld.clear()

    # -- advance, append ---------------------------------------------------------------------------

    def _carry_out(self, batch: Batch) -> None:
        first, again = _told_apart(batch.creations)
        works = [work for creation in first if (work := self._create(batch, creation, fresh=False)) is not None]
        for deployment, items in batch.groups.items():
            work = self._advance(batch, deployment, items, fresh=False)
            if work is not None:
                works.append(work)
        self._append_all(batch, works)
        self._append_all(
            batch, [work for creation in again if (work := self._create(batch, creation, fresh=True)) is not None]
        )
        self._publish(batch)

    def _append_all(self, batch: Batch, works: list[Work]) -> None:
        for _ in range(REDONE):
            if not works:
                return
            works = [again for work in self._append(batch, works) if (again := self._redo(batch, work)) is not None]
        if works:
            raise StoreUnavailable("entries that are said to be there cannot be read")

    def _advance(self, batch: Batch, deployment: str, items: list[Item], fresh: bool) -> Work | None:
        """The work of one deployment; None where nobody knows it, and its deliveries are dead letters."""

        def broken(item: Item, error: Exception) -> None:
            _log.error("an event cannot be handled", exc_info=error, extra={"action": "event_error"})
            if item.delivery is not None:
                self._sorting.reject(batch, item.delivery, "error", f"{type(error).__name__}: {error}")

        try:
            items = [self._permitted(deployment, item, batch.now) for item in items]
            work = advance_all(items, lambda again: self._load(batch, deployment, fresh or again), batch.now, broken)
            reason, detail = "unknown-deployment", f"no deployment has the id {deployment[:100]!r}"
        except NewerFormat:
            raise
        except StoreRefused as error:
            work, reason, detail = None, error.reason, str(error)
        if work is None:
            self._give_up(batch, deployment, items, reason, detail)
        return work

    def _permitted(self, deployment: str, item: Item, now: int) -> Item:
        event = self._acceptance.permitted(deployment, item.event, now)
        return item if event is item.event else item._replace(event=event)

    def _give_up(self, batch: Batch, deployment: str, items: Sequence[Item], reason: str, detail: str) -> None:
        """Nobody can handle these events. What a core sent because of a row of the list shows that the row is wrong."""
        for item in items:
            if isinstance(item.event, e.TimerFired | e.WorkerLost):
                if reason == "unknown-deployment":
                    self._drop_row(batch, deployment)
            elif item.delivery is not None and item.delivery.tag not in batch.rejected:
                if isinstance(item.event, e.OperatorRequest):
                    self._outbox.add(said_no(deployment, item.event, detail))
                self._sorting.reject(batch, item.delivery, reason, detail)

    def _drop_row(self, batch: Batch, deployment: str) -> None:
        """A core died after it wrote the row and before it wrote the entry; where it was only slow, it must not write it now."""
        if any(creation.admission.deployment == deployment for creation in batch.creations):
            return  # it begins in this very batch
        # under a token of its own: a creation that fails in this batch and comes again must not take it for its own entry
        writer = f"{batch.writer}.void"
        void = Entry(deployment, 1, batch.now, writer, (Void("its core was away before it began"),))
        entries = self._store.entries(deployment, limit=1)
        if never_began(entries) or self._store.append([Append(void)]) == [Appended.STORED]:
            _log.warning("dropping a row of the list without a deployment", extra={"action": "drop_row"})
            self._store.drop_views([deployment])

    def _create(self, batch: Batch, creation: Creation, fresh: bool) -> Work | None:
        """The work of a new deployment, or (`fresh`) of one that was there first; None where that cannot be."""
        try:
            entries = self._store.entries(creation.admission.deployment) if fresh else []
            # looked at again: to admit it took a while, and a core may have been frozen meanwhile
            gone = never_began(entries) or was_taken_back(entries)
            # of a deployment with one entry only it is not decided yet whether it is taken back: a late request has no say in that
            if gone or (len(entries) <= 1 and self._sorting.is_late(creation.delivery)):
                self._sorting.refuse(batch, creation.delivery, gave_up(creation.message))
                return None
            if entries:
                state = fold(entries)
                self._tell_again(state, filter(is_told, entries), self._published(state))
                return Work.answer_again(creation, state, batch.now)
            return Work.create(creation, batch.now)
        except (StoreUnavailable, BusUnavailable, NewerFormat):
            raise
        except Exception as error:  # one request must not take its batch with it
            self._sorting.refuse(batch, creation.delivery, unusable(creation.message, error))
            return None

    def _load(self, batch: Batch, deployment: str, fresh: bool) -> Work | None:
        known = None if fresh else self._cache.get(deployment)
        if known is not None:
            return Work(known, fresh=False)
        before = self._cache.get(deployment)
        self._cache.drop(deployment)
        self.reads += 1
        told: list[Entry] = []
        state = read_state(self._store, deployment, lambda entry: told.append(entry) if is_told(entry) else None)
        if state is None:
            return None
        retired = self._cache.has_retired(deployment)
        published = state.entry if retired else self._published(state) if before is None else before.published
        self._tell_again(state, told, published)
        strange = not fresh and not retired
        settled = published >= state.entry or (strange and self._sightings.age(deployment, state.entry) >= WRITER_GRACE)
        return Work(CachedDeployment(state, published), fresh=True, strange=strange, settled=settled)

    def _tell_again(self, state: State, told: Iterable[Entry], published: int) -> None:
        """Who wrote what may not have been published may have died before that had a place in the feed, or gives it one just now."""
        for entry in told:
            if entry.number > published:
                self._outbox.feed_again(EntryRef(entry.deployment, entry.number, entry.at))
                self._outbox.add(self._events(state, entry))

    def _events(self, state: State, entry: Entry) -> list[Message]:
        """What those on the bus hear of it, while there are any."""
        return event_messages(state, entry) if self._bus.listened() else []

    def _published(self, state: State) -> int:
        """Number of the last entry of which it is certain that everything that it causes was published."""
        if self._atomic:
            return state.entry
        rows = self._store.rows([state.deployment])
        return min(rows[0].published, state.entry) if rows else 0

    def _append(self, batch: Batch, works: list[Work]) -> list[Work]:
        """Append what is new, and note what may be published; returns the works whose append was lost."""
        rows: list[Append] = []
        written: list[Work] = []
        causing: list[list[Message]] = []
        for work in works:
            if self._offering is not None:
                work.route(self._offering.route, batch.now)
            entry = work.entry(batch.now, batch.writer)
            if self._atomic:
                work.known.published = work.known.state.entry
            view = work.view(batch.now)
            messages = messages_of(work.known.state, work.effects, self._redaction, work.trace(self._observer.traces))
            if entry is None:
                work.overdue = view
                self._done(batch, work, messages)
                continue
            mail = tuple(self._bus.mail(messages)) if work.tells else ()
            told = is_told(entry)
            if told:
                messages += self._events(work.known.state, entry)
            rows.append(Append(entry, view, mail, told))
            written.append(work)
            causing.append(messages)
        if not rows:
            return []
        ahead = [work.ahead_row(batch.now) for work in written if work.urgent]
        if ahead and not self._store.transactional:
            self._store.write_views(ahead)
        lost: list[Work] = []
        outcomes = self._outbox.append(rows, causing, [_request(work) for work in written])
        for row, work, messages, outcome in zip(rows, written, causing, outcomes, strict=True):
            if outcome is Appended.LOST:
                lost.append(work)
            else:
                self._outbox.feed(row)
                work.overdue = work.closing_row()
                self._done(batch, work, messages)
        if not self._store.transactional:
            self._defer_views(rows, written)
        return lost

    def _done(self, batch: Batch, work: Work, messages: list[Message]) -> None:
        """What the work leads to may be published now."""
        batch.done.append(work)
        if any(isinstance(item.event, e.TakeBack) for item in work.items):
            self._tell_after_all(work)
        for delivery, reason in work.unclear:
            self._sorting.reject(batch, delivery, "bad-message", reason)
        over = work.known.state.ended is not None
        if work.creation is not None and not over and self._sorting.is_late(work.creation.delivery):
            # the append took longer than its caller waits: nothing starts behind a caller's back (contract, section 2);
            # what ended in its first entry started nothing, and people hear of that end
            work.withheld = True
            self._take_back(work.known.state.deployment, messages)
            return
        self._outbox.add(messages)
        self._outbox.add(work.answers)

    def _take_back(self, deployment: str, messages: Sequence[Message]) -> None:
        """Of what its first entry causes nothing is published; the notifications are, should it not be taken back after all."""
        self._withheld[deployment] = [message for message in messages if message.key.startswith("notify.")]
        # it is in the journal, and so in the feed, whatever becomes of it
        self._outbox.add([message for message in messages if message.key.startswith(EVENTS)])
        self._own.append((deployment, Item(e.TakeBack(TOO_LATE), None)))

    def _tell_after_all(self, work: Work) -> None:
        messages = self._withheld.pop(work.known.state.deployment, [])
        if not any(isinstance(record, TakenBack) for record in work.records):
            self._outbox.add(messages)

    @staticmethod
    def _defer_views(rows: list[Append], written: list[Work]) -> None:
        for row, work in zip(rows, written, strict=True):
            if row.entry.number > 1 and work.overdue is None:
                work.overdue = row.view

    def _redo(self, batch: Batch, work: Work) -> Work | None:
        """Another core was faster: judge again on what it wrote."""
        deployment = work.known.state.deployment
        self._cache.drop(deployment)
        self._rows.forget([deployment])
        creation = work.creation or work.adopts
        if creation is None:
            return self._advance(batch, deployment, work.items, fresh=True)
        return self._create(batch, creation, fresh=True)

    # -- publish -----------------------------------------------------------------------------------

    def _publish(self, batch: Batch) -> None:
        self._outbox.send()
        self._note_own()
        for work in batch.done:
            work.sent()
        overdue = [work.overdue for work in batch.done if work.overdue is not None]
        if overdue:
            self._store.write_views(overdue)
        for work in batch.done:
            self._keep(work, batch.now)

    def _keep(self, work: Work, now: int) -> None:
        state = work.known.state
        if work.premature:
            return
        self._rows.note(work.known, now)
        for reason in work.refusals:
            _log.info(
                "an event was refused: %s", reason, extra={"action": "refuse_event", "deployment_id": state.deployment}
            )
        for item in work.items:
            if isinstance(item.event, e.ClaimMade) and item.event.worker and self._claimants is not None:
                self._claimants.met(item.event.worker)
        if work.records:
            event_log.tell(state, work.records)
            self._observer.recorded(state, work.records, now, work.known.trace)
        if state.status in ENDED:
            self._cache.retire(state.deployment)
        else:
            self._cache.put(work.known)

    def _note_own(self) -> None:
        """A step that nobody offers is an event, and so is one of which nobody knows whether it arrived."""
        for attempt in self._outbox.unoffered:
            self._own.append((attempt.deployment, Item(e.NoWorkerAvailable(attempt.step, attempt.attempt), None)))
        for attempt in self._outbox.doubtful:
            self._own.append((attempt.deployment, Item(e.HandedInDoubt(attempt.step, attempt.attempt), None)))
        for deployment, messages in self._outbox.late:
            self._take_back(deployment, messages)
        self._outbox.late.clear()
        self._outbox.unoffered.clear()
        self._outbox.doubtful.clear()


def _request(work: Work) -> Delivery | None:
    """What asked for the deployment, where this work creates it."""
    return None if work.creation is None else work.creation.delivery


def _open(batches: Iterable[Batch], deliveries: Sequence[Delivery]) -> list[Delivery]:
    rejected = set[int]().union(*(batch.rejected for batch in batches))
    return [delivery for delivery in deliveries if delivery.tag not in rejected] if rejected else list(deliveries)


def _told_apart(creations: Sequence[Creation]) -> tuple[list[Creation], list[Creation]]:
    """The first request for each deployment, and the others: one batch writes under one token, so two of them would both win."""
    first: dict[str, Creation] = {}
    again = [one for one in creations if first.setdefault(one.admission.deployment, one) is not one]
    return list(first.values()), again
