"""The second stage of a turn: what the batch's events and requests make of their aggregates. Must not write to a journal.

An aggregate that is in the cache is judged there; what that does not settle is judged on what the journal says (`advance_all`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from re_core.admission.job_create import Creation, gave_up, refusal, unusable
from re_core.admission.replies import Rejection
from re_core.deployment.feed import has_events
from re_core.deployment.records import Entry, Void, never_began, was_taken_back
from re_core.deployment.state import fold
from re_core.errors import BusUnavailable, NewerFormat, StoreRefused, StoreUnavailable
from re_core.ports import Append, Appended, Bus, EntryRef, Store
from re_core.sequencer.aggregate import Aggregate, Kinds, TimerFired, WorkerLost
from re_core.sequencer.batch import Batch
from re_core.sequencer.cache import Cache, CachedAggregate, Sightings
from re_core.sequencer.deployments import Deployments
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
        kinds: Kinds,
        deployments: Deployments,
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
        self._kinds = kinds
        self._deployments = deployments
        self._sightings = Sightings(monotonic)
        self._atomic = atomic
        #: journals read so far, new deployments and those that this core goes on with
        self.reads = 0

    def decide(self, batch: Batch) -> list[Work]:
        """Of the first request for each new deployment, and of all events."""
        first, _ = _first_and_repeated(batch.creations)
        works = self._create_all(batch, first, fresh=False)
        for key, items in batch.groups.items():
            work = self._advance(batch, key, items, fresh=False)
            if work is not None:
                works.append(work)
        return works

    def decide_repeated(self, batch: Batch) -> list[Work]:
        """Of further requests for the same deployments, once the first ones are in the journal."""
        _, again = _first_and_repeated(batch.creations)
        return self._create_all(batch, again, fresh=True)

    def redo(self, batch: Batch, work: Work) -> Work | None:
        """Another core was faster: judge again on what it wrote."""
        key = work.known.key
        self._cache.drop(key)
        self._rows.forget([key])
        creation = work.creation or work.adopts
        if creation is None:
            return self._advance(batch, key, work.items, fresh=True)
        return self._create(batch, creation, fresh=True)

    # -- events ------------------------------------------------------------------------------------

    def _advance(self, batch: Batch, key: str, items: list[Item], fresh: bool) -> Work | None:
        """The work of one aggregate; None where it has no journal, and its deliveries are dead letters."""
        kind = self._kinds.of(key)

        def broken(item: Item, error: Exception) -> None:
            _log.error("the core failed on an event", exc_info=error, extra={"action": "event_error"})
            if item.delivery is not None:
                said = Rejection((), "error", f"{type(error).__name__}: {error}")
                self._rejections.send(batch, item.delivery, said)

        try:
            items = [_permitted(kind, key, one, batch.now) if type(one.event) in kind.guarded else one for one in items]
            work = advance_all(items, lambda again: self._load(kind, key, fresh or again, batch.now), batch.now, broken)
            reason, detail = f"unknown-{kind.kind}", f"no {kind.kind} has the id {key[:100]!r}"
        except NewerFormat:
            raise
        except StoreRefused as error:
            work, reason, detail = None, error.reason, str(error)
        if work is None:
            self._give_up(batch, kind, key, items, reason, detail)
        elif work.idle and work.timed:
            # a core died after it wrote the row and before it wrote the entry; where it was only slow, it finds this one
            work.records.append(Void("the core stopped before it wrote the first entry"))
        return work

    def _give_up(
        self, batch: Batch, kind: Aggregate, key: str, items: Sequence[Item], reason: str, detail: str
    ) -> None:
        """No state can handle these events. What a core sent because of a row of the list shows that the row is wrong."""
        for item in items:
            if isinstance(item.event, TimerFired | WorkerLost):
                if reason == f"unknown-{kind.kind}":
                    self._drop_row(batch, kind, key)
            elif item.delivery is not None and item.delivery.tag not in batch.rejected:
                said = kind.rejected(key, item.event, detail)
                self._rejections.send(batch, item.delivery, Rejection(said, reason, detail))

    def _drop_row(self, batch: Batch, kind: Aggregate, key: str) -> None:
        """A core died after it wrote the row and before it wrote the entry; where it was only slow, it must not write it now."""
        if any(creation.admission.deployment == key for creation in batch.creations):
            return  # it begins in this very batch
        # under a token of its own: a creation that fails in this batch and comes again must not take it for its own entry
        writer = f"{batch.writer}.void"
        void = Entry(key, 1, batch.now, writer, (Void("the core stopped before it wrote the first entry"),), kind.kind)
        entries = self._store.entries(key, limit=1)
        if never_began(entries) or self._store.append([Append(void)]) == [Appended.STORED]:
            _log.warning("deleting a row of the list that has no deployment", extra={"action": "drop_row"})
            self._store.drop_views([key])

    def _load(self, kind: Aggregate, key: str, fresh: bool, now: int) -> Work | None:
        known = None if fresh else self._cache.get(key)
        if known is not None:
            return Work(known, fresh=False)
        before = self._cache.get(key)
        self._cache.drop(key)
        self.reads += 1
        entries_with_events: list[Entry] = []
        state = kind.load(self._store, key, now, entries_with_events)
        if state is None:
            return None
        retired = self._cache.has_retired(key)
        published = state.entry if retired else self._published(key, state) if before is None else before.published
        self._republish_events(kind, state, entries_with_events, published)
        strange = not fresh and not retired
        settled = published >= state.entry or (strange and self._sightings.age(key, state.entry) >= WRITER_GRACE)
        return Work(CachedAggregate(kind, key, state, published), fresh=True, strange=strange, settled=settled)

    def _republish_events(
        self, kind: Aggregate, state: Any, entries_with_events: Iterable[Entry], published: int
    ) -> None:
        """The core that wrote these may have died before it added them to the feed, or adds them just now."""
        for entry in entries_with_events:
            if entry.number > published:
                self._outbox.feed_again(EntryRef(entry.deployment, entry.number, entry.at))
                self._outbox.add(kind.news(state, entry, self._bus.listened))

    def _published(self, key: str, state: Any) -> int:
        """Number of the last entry of which it is certain that everything that it causes was published."""
        if self._atomic:
            return int(state.entry)
        rows = self._store.rows([key])
        return min(rows[0].published, state.entry) if rows else 0

    # -- requests ----------------------------------------------------------------------------------

    def _create_all(self, batch: Batch, creations: Sequence[Creation], fresh: bool) -> list[Work]:
        return [work for one in creations if (work := self._create(batch, one, fresh)) is not None]

    def _create(self, batch: Batch, creation: Creation, fresh: bool) -> Work | None:
        """The work of a new deployment, or (`fresh`) of one that was there first; None where that cannot be."""
        key = creation.admission.deployment
        if (kind := self._kinds.of(key)) is not self._deployments:
            why = f"{key[:100]!r} is the id of a {kind.kind}"
            self._rejections.send(batch, creation.delivery, Rejection(refusal(creation.message, "refused", why)))
            return None
        try:
            entries = self._store.entries(key) if fresh else []
            # looked at again: to admit it took a while, and a core may have been frozen meanwhile
            gone = never_began(entries) or was_taken_back(entries)
            # of a deployment with one entry only it is not decided yet whether it is taken back: a late request has no say in that
            if gone or (len(entries) <= 1 and self._inbox.is_late(creation.delivery)):
                said = gave_up(creation.message) if gone else Rejection(())
                self._rejections.send(batch, creation.delivery, said)
                return None
            if entries:
                state = fold(entries)
                self._republish_events(kind, state, filter(has_events, entries), self._published(key, state))
                return self._deployments.answer_again(creation, state, batch.now)
            return self._deployments.create(creation, batch.now)
        except (StoreUnavailable, BusUnavailable, NewerFormat):
            raise
        except Exception as error:  # one request must not take its batch with it
            self._rejections.send(batch, creation.delivery, unusable(creation.message, error))
            return None


def _permitted(kind: Aggregate, key: str, item: Item, now: int) -> Item:
    event = kind.permit(key, item.event, now)
    return item if event is item.event else item._replace(event=event)


def _first_and_repeated(creations: Sequence[Creation]) -> tuple[list[Creation], list[Creation]]:
    """The first request for each deployment, and the others: one batch writes under one token, so two of them would both win."""
    first: dict[str, Creation] = {}
    again = [one for one in creations if first.setdefault(one.admission.deployment, one) is not one]
    return list(first.values()), again
