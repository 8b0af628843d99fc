"""The second stage of a turn: what the batch's events and requests make of their deployments. Must not write to a journal.

A deployment that is in the cache is judged there; what that does not settle is judged on what the journal says (`advance_all`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from re_core.admission.acceptance import Acceptance
from re_core.admission.job_create import Creation, gave_up, unusable
from re_core.admission.replies import Rejection
from re_core.deployment import events as e
from re_core.deployment.feed import is_told
from re_core.deployment.records import Entry, Void, never_began, was_taken_back
from re_core.deployment.state import State, fold
from re_core.errors import BusUnavailable, NewerFormat, StoreRefused, StoreUnavailable
from re_core.ports import Append, Appended, Bus, EntryRef, Store, read_state
from re_core.sequencer.batch import Batch
from re_core.sequencer.cache import Cache, CachedDeployment, Sightings
from re_core.sequencer.encoding import news_messages, said_no
from re_core.sequencer.inbox import Inbox
from re_core.sequencer.list_rows import Rows
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.rejections import Rejections
from re_core.sequencer.work import WRITER_GRACE, Item, Work, advance_all

_log = logging.getLogger(__name__)


class Decider:
    """One sequencer's. One thread at a time."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        cache: Cache,
        rows: Rows,
        inbox: Inbox,
        outbox: Outbox,
        rejections: Rejections,
        acceptance: Acceptance,
        monotonic: Callable[[], float],
        atomic: bool,
    ) -> None:
        """`atomic`: what an entry causes is committed with it, or derived again at the next start. `monotonic` in seconds."""
        self._bus = bus
        self._store = store
        self._cache = cache
        self._rows = rows
        self._inbox = inbox
        self._outbox = outbox
        self._rejections = rejections
        self._acceptance = acceptance
        self._sightings = Sightings(monotonic)
        self._atomic = atomic
        #: journals read so far, new deployments and those that this core goes on with
        self.reads = 0

    def decide(self, batch: Batch) -> list[Work]:
        """Of the first request for each new deployment, and of all events."""
        first, _ = _told_apart(batch.creations)
        works = self._create_all(batch, first, fresh=False)
        for deployment, items in batch.groups.items():
            work = self._advance(batch, deployment, items, fresh=False)
            if work is not None:
                works.append(work)
        return works

    def decide_repeated(self, batch: Batch) -> list[Work]:
        """Of further requests for the same deployments, once the first ones are in the journal."""
        _, again = _told_apart(batch.creations)
        return self._create_all(batch, again, fresh=True)

    def redo(self, batch: Batch, work: Work) -> Work | None:
        """Another core was faster: judge again on what it wrote."""
        deployment = work.known.state.deployment
        self._cache.drop(deployment)
        self._rows.forget([deployment])
        creation = work.creation or work.adopts
        if creation is None:
            return self._advance(batch, deployment, work.items, fresh=True)
        return self._create(batch, creation, fresh=True)

    # -- events ------------------------------------------------------------------------------------

    def _advance(self, batch: Batch, deployment: str, items: list[Item], fresh: bool) -> Work | None:
        """The work of one deployment; None where no journal has it, and its deliveries are dead letters."""

        def broken(item: Item, error: Exception) -> None:
            _log.error("an event cannot be handled", exc_info=error, extra={"action": "event_error"})
            if item.delivery is not None:
                said = Rejection((), "error", f"{type(error).__name__}: {error}")
                self._rejections.send(batch, item.delivery, said)

        try:
            items = [self._permitted(deployment, item, batch.now) for item in items]
            work = advance_all(items, lambda again: self._load(deployment, fresh or again), batch.now, broken)
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
        """No state can handle these events. What a core sent because of a row of the list shows that the row is wrong."""
        for item in items:
            if isinstance(item.event, e.TimerFired | e.WorkerLost):
                if reason == "unknown-deployment":
                    self._drop_row(batch, deployment)
            elif item.delivery is not None and item.delivery.tag not in batch.rejected:
                said = said_no(deployment, item.event, detail) if isinstance(item.event, e.OperatorRequest) else ()
                self._rejections.send(batch, item.delivery, Rejection(said, reason, detail))

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

    def _load(self, deployment: str, fresh: bool) -> Work | None:
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
                self._outbox.add(news_messages(state, entry, self._bus.listened))

    def _published(self, state: State) -> int:
        """Number of the last entry of which it is certain that everything that it causes was published."""
        if self._atomic:
            return state.entry
        rows = self._store.rows([state.deployment])
        return min(rows[0].published, state.entry) if rows else 0

    # -- requests ----------------------------------------------------------------------------------

    def _create_all(self, batch: Batch, creations: Sequence[Creation], fresh: bool) -> list[Work]:
        return [work for one in creations if (work := self._create(batch, one, fresh)) is not None]

    def _create(self, batch: Batch, creation: Creation, fresh: bool) -> Work | None:
        """The work of a new deployment, or (`fresh`) of one that was there first; None where that cannot be."""
        try:
            entries = self._store.entries(creation.admission.deployment) if fresh else []
            # looked at again: to admit it took a while, and a core may have been frozen meanwhile
            gone = never_began(entries) or was_taken_back(entries)
            # of a deployment with one entry only it is not decided yet whether it is taken back: a late request has no say in that
            if gone or (len(entries) <= 1 and self._inbox.is_late(creation.delivery)):
                self._rejections.send(batch, creation.delivery, gave_up(creation.message))
                return None
            if entries:
                state = fold(entries)
                self._tell_again(state, filter(is_told, entries), self._published(state))
                return Work.answer_again(creation, state, batch.now)
            return Work.create(creation, batch.now)
        except (StoreUnavailable, BusUnavailable, NewerFormat):
            raise
        except Exception as error:  # one request must not take its batch with it
            self._rejections.send(batch, creation.delivery, unusable(creation.message, error))
            return None


def _told_apart(creations: Sequence[Creation]) -> tuple[list[Creation], list[Creation]]:
    """The first request for each deployment, and the others: one batch writes under one token, so two of them would both win."""
    first: dict[str, Creation] = {}
    again = [one for one in creations if first.setdefault(one.admission.deployment, one) is not one]
    return list(first.values()), again
