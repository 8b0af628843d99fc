"""The sequencer: batches of deliveries through the machine into journal and bus. Must not know any technology.

    triage   up to N deliveries become events, requests and rejections
    decide   each event and request, on the state that it meets: records and effects
    commit   all new records in ONE insert
    publish  all effects; what carrying one out answers is an event, and goes through decide, commit and publish in turn
    settle   write the other rows, acknowledge the deliveries

Append before publish, publish before ack (docs/decisions/0002). A crash between any two of these repeats what comes
after, and everything after carries ids that make a repetition harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from re_core.admission.acceptance import Acceptance
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import UNOBSERVED, Bus, Clock, Delivery, Observer, Store, Subscription
from re_core.sequencer.aggregate import Aggregate, Kinds
from re_core.sequencer.answers import Answers
from re_core.sequencer.batch import Batch, parts_of
from re_core.sequencer.cache import Cache
from re_core.sequencer.commit import Committer
from re_core.sequencer.decide import Decider
from re_core.sequencer.deployments import Deployments
from re_core.sequencer.guard import must_wait, reject
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.list_rows import Rows
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.rejections import Rejections
from re_core.sequencer.triage import Triage
from re_core.sequencer.work import Work
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire.messages import FORWARDED_BY
from re_core.wire.redaction import Redaction
from re_core.workforce.capabilities import LiveOffers
from re_core.workforce.routing import StepRouter

#: how often one batch is judged again because another core was faster
REDONE = 5

_log = logging.getLogger(__name__)


class Sequencer:
    """Carries aggregates from event to event. One thread at a time; any number of sequencers share the work."""

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
        kinds: Sequence[type[Aggregate]] = (),
        accepting: LiveOffers | None = None,
        proofs: WorkerProofs | None = None,
    ) -> None:
        """`identity` distinguishes this process from all others, and from its own earlier lives.

        Without `offering` a step is sent to its queue, and counts as not offered where there is none. `monotonic`: seconds,
        of the clock of `Delivery.received`. `kinds`: of aggregates, beside deployments. Raises BadSettings for two of one name.
        `accepting`: a step with a value that no worker accepts counts as not offered; without it such a step waits. `proofs`: knows
        which worker has sent a message; without it all are part of this process.
        """
        self._bus = bus
        self._clock = clock
        self._identity = identity
        self._observer = observer
        self._batches = 0
        #: what an entry causes is committed with it, or derived again at the next start
        atomic = offering is None and store.transactional
        self._cache = Cache()
        self._rows = Rows(store)
        self._outbox = Outbox(bus, store, clock, declares=offering is not None, observer=observer)
        self._inbox = inbox = Inbox(bus, store, identity, monotonic)
        self._answers = Answers(self._outbox)
        deployments = Deployments(store, clock, acceptance, redaction, offering, observer, accepting, proofs)
        self._kinds = Kinds(deployments, [kind(store, clock, observer) for kind in kinds])
        rejections = Rejections(inbox, self._outbox, redaction)
        self._triage = Triage(inbox, rejections, acceptance, self._kinds, redaction)
        self._decider = Decider(
            bus,
            store,
            self._cache,
            self._rows,
            inbox,
            self._outbox,
            rejections,
            self._kinds,
            deployments,
            monotonic,
            atomic,
        )
        self._committer = Committer(
            bus, store, self._rows, inbox, self._outbox, rejections, self._answers, atomic, observer
        )

    def turn(self, timeout: float) -> int:
        """One batch; waits up to `timeout` seconds for it. Returns how many deliveries it settled.

        Raises StoreUnavailable or BusUnavailable after it gave the deliveries back: nothing is lost, try again later.
        Raises NewerFormat where a newer engine goes on with what was delivered: this one must leave it to that.
        """
        try:
            self._inbox.come_back()
            handled = self._turn(timeout)
        except StoreUnavailable:
            self._inbox.missed_store()
            raise
        self._inbox.reached_store()
        return handled

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming; what was not settled goes to another core."""
        self._inbox.close()
        _log.info("read %d journals to continue their deployments", self.reads, extra={"action": "reads"})

    @property
    def reads(self) -> int:
        """Journals read so far, of new deployments and those that this core goes on with."""
        return self._decider.reads

    @property
    def _subscription(self) -> Subscription:
        return self._inbox.subscription

    def _turn(self, timeout: float) -> int:
        self._catch_up()
        self._rows.write_overdue(self._clock.now())
        deliveries = self._inbox.take(0 if self._answers else self._rows.patience(timeout))
        if self._inbox.is_new_connection():
            self._cache.clear()
        if deliveries:
            self._observer.took(deliveries)
        if deliveries or self._answers:
            self._handle(deliveries)
        return len(deliveries)

    def _catch_up(self) -> None:
        """Finish what an error cut off, and first what needs no bus."""
        self._outbox.catch_up(self._inbox.is_late)
        self._answers.collect()
        undone = self._take_back()
        self._outbox.send()
        self._answers.collect()
        if undone is not None:
            self._settle(undone)

    def _handle(self, deliveries: Sequence[Delivery]) -> None:
        batches: list[Batch] = []
        try:
            for part in parts_of(deliveries):
                batches.append(self._new_batch())
                self._sort(batches[-1], part)
                self._carry_out(batches[-1])
            self._judge_answers()
            for queue in self._spent(batches):
                self._bus.stop_forwarding(queue)
            self._subscription.ack(_open(batches, deliveries))
        except (StoreUnavailable, BusUnavailable):
            self._cache.clear()  # what it holds may be ahead of the journal
            for batch in batches:
                self._rows.forget(batch.groups)
            refused = [delivery for batch in batches for delivery in batch.refused]
            self._inbox.give_back(_open(batches, deliveries), refused)
            raise
        except Exception as error:
            if must_wait(error) or self._answers:
                raise
            self._cache.clear()
            for batch in batches:
                self._rows.forget(batch.groups)
            refused = [delivery for batch in batches for delivery in batch.refused]
            self._subscription.ack(refused)
            self._isolate([one for one in _open(batches, deliveries) if one not in refused], error)

    def _spent(self, batches: Iterable[Batch]) -> Iterator[str]:
        """Queues that are of no use any more."""
        for batch in batches:
            for key, items in batch.groups.items():
                for event, delivery in items:
                    if delivery is None or FORWARDED_BY not in delivery.message.headers:
                        continue
                    if queue := self._kinds.of(key).spent(key, event, delivery.message):
                        yield queue

    def _isolate(self, deliveries: Sequence[Delivery], error: Exception) -> None:
        """One message must not take its batch with it, nor every core in turn: whichever breaks alone is a dead letter."""
        if len(deliveries) == 1:
            reject(self._subscription, deliveries[0], error)
            return
        for place, delivery in enumerate(deliveries):
            try:
                self._catch_up()
                self._handle([delivery])
            except (StoreUnavailable, BusUnavailable):
                self._subscription.requeue(deliveries[place + 1 :])
                raise

    def _new_batch(self) -> Batch:
        self._batches += 1
        return Batch(self._clock.now(), f"{self._identity}.{self._batches}")

    def _sort(self, batch: Batch, deliveries: Sequence[Delivery]) -> None:
        self._triage.prepare(deliveries)
        for delivery in deliveries:
            self._triage.sort(batch, delivery)

    def _judge_answers(self) -> None:
        """Before what caused them is acknowledged: a crash brings that again, and so these too."""
        while self._answers:
            taken = self._answers.take()
            batch = self._new_batch()
            for key, item in taken:
                batch.add(key, item)
            try:
                self._carry_out(batch)
            except BaseException:
                self._answers.give_back(taken)
                self._rows.forget(batch.groups)
                raise
        self._answers.all_judged()

    def _carry_out(self, batch: Batch) -> None:
        """Decide and commit, then publish, then settle."""
        self._commit(batch, self._decider.decide(batch))
        self._commit(batch, self._decider.decide_repeated(batch))
        for work in batch.done:
            if work.withheld:
                self._cache.put(work.known)  # so that it is not read again to be taken back
        if (undone := self._take_back()) is not None:
            batch.done.extend(undone.done)
        self._outbox.send()
        self._answers.collect()
        for work in batch.done:
            self._answers.perform(work)
        self._settle(batch)

    def _take_back(self) -> Batch | None:
        """What was written too late, before anything is published: the bus may be away for longer than other cores wait for that.

        Raises StoreUnavailable, BusUnavailable.
        """
        late = self._answers.take_late()
        if not late:
            return None
        batch = self._new_batch()
        for key, item in late:
            batch.add(key, item)
        try:
            self._commit(batch, self._decider.decide(batch))
        except BaseException:
            self._answers.give_back_late(late)
            self._rows.forget(batch.groups)
            raise
        return batch

    def _commit(self, batch: Batch, works: list[Work]) -> None:
        """What another core was faster with is decided again."""
        for _ in range(REDONE):
            if not works:
                return
            lost = self._committer.commit(batch, works)
            works = [again for work in lost if (again := self._decider.redo(batch, work)) is not None]
        if works:
            raise StoreUnavailable("the store reports duplicate entries but does not return them")

    def _settle(self, batch: Batch) -> None:
        """Everything that the batch causes was published: rows of the list, cache and log say so."""
        for work in batch.done:
            work.sent()
        self._rows.write_deferred(batch.done)
        for work in batch.done:
            self._keep(work, batch.now)

    def _keep(self, work: Work, now: int) -> None:
        known, kind = work.known, work.known.kind
        # also where the timer's event of the same batch came too early: the claim does not come again
        kind.settled(work.items)
        for reason in work.refusals:
            _log.info("an event was refused: %s", reason, extra={"action": "refuse_event", "deployment_id": known.key})
        if work.left:
            return
        self._rows.note(known, now)
        if work.records:
            kind.recorded(known.key, known.state, work.records, now, known.trace)
        if known.state.ended is not None:
            self._cache.retire(known.key)
        else:
            self._cache.put(known)


def _open(batches: Iterable[Batch], deliveries: Sequence[Delivery]) -> list[Delivery]:
    rejected = set[int]().union(*(batch.rejected for batch in batches))
    return [delivery for delivery in deliveries if delivery.tag not in rejected] if rejected else list(deliveries)
