"""The rows of the list: what each says, and when it is written: with its entry, before it, after its effects, or later.

Must not know what an event leads to. A row that is behind its aggregate is written with all others once a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from re_core.ports import Append, Store
from re_core.rows import View
from re_core.sequencer.cache import CachedAggregate
from re_core.sequencer.work import Work

#: milliseconds that a row may be behind, so that a list is at most a second late (interfaces: REST)
BEHIND = 800

#: milliseconds between two writings of one row of the list, while nothing in it is news
VIEW_EVERY = 1_000


class Rows:
    """One sequencer's. One thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: aggregates whose row does not say what their journal says
        self._behind: dict[str, CachedAggregate] = {}
        #: when the first of them fell behind
        self._since = 0

    # -- of one work -------------------------------------------------------------------------------

    def row_now(self, work: Work, now: int) -> View | None:
        """The row, where it has to be written now; None where it can wait."""
        if work.premature:
            return None
        known, state = work.known, work.known.state
        ended = state.ended is not None
        # in the order of what it costs to ask
        wanted = (work.records and not 0 <= now - known.view_at < VIEW_EVERY) or (ended and work.records)
        if not (wanted or work.begins or work.timed or work.urgent or _is_sooner(work, now)):
            return None
        due = _look(known, now)
        known.view_at, known.view_due, known.view_entry, known.view_published = now, due, state.entry, known.published
        row = known.kind.row(known.key, state, due, known.published)
        # where no message brings this about again, a look at the row must find out what was not published
        return row._replace(due=now + VIEW_EVERY) if ended and work.only_once else row

    def write_ahead(self, works: Iterable[Work], now: int) -> None:
        """The rows before the entries, where no transaction holds both: a crash in between must leave a row to look at.

        They still say that they summarise the entries before, so that the first look mends them where the new ones never came.
        Raises StoreUnavailable.
        """
        if self._store.transactional:
            return
        ahead = [_ahead(work.known, now) for work in works if work.urgent and not work.begins]
        if ahead:
            self._store.write_views(ahead)

    @staticmethod
    def closing_row(work: Work) -> View | None:
        """Of what has ended, once everything was published: the sweeper has nothing more to look for."""
        known = work.known
        if not work.only_once:
            return None
        return known.kind.row(known.key, known.state, None, known.published)

    @staticmethod
    def defer(appended: Sequence[Append], works: Sequence[Work]) -> None:
        """The rows that were not committed with their entries are written after the effects are out."""
        for row, work in zip(appended, works, strict=True):
            if row.entry.number > 1 and work.overdue is None:
                work.overdue = row.view

    def write_deferred(self, works: Iterable[Work]) -> None:
        """What the entries cause was published. Raises StoreUnavailable."""
        overdue = [work.overdue for work in works if work.overdue is not None]
        if overdue:
            self._store.write_views(overdue)

    # -- of those that are behind ------------------------------------------------------------------

    def note(self, known: CachedAggregate, now: int) -> None:
        """The aggregate was handled at `now`; what its row says is not known where this core has not written it."""
        key = known.key
        if known.view_entry == known.state.entry and known.view_published >= known.published:
            self._behind.pop(key, None)
        else:
            if not self._behind:
                self._since = now
            self._behind[key] = known

    def patience(self, timeout: float) -> float:
        """Seconds that may be waited for news, `timeout` at most."""
        return min(timeout, BEHIND / 1000) if self._behind else timeout

    def write_overdue(self, now: int) -> None:
        """Write them all, once the first has been behind for long enough. Raises StoreUnavailable."""
        if not self._behind or 0 <= now - self._since < BEHIND:
            return
        rows = [
            known.kind.row(known.key, known.state, _look(known, now), known.published)
            for known in self._behind.values()
        ]
        self._store.write_views(rows)
        for known, row in zip(self._behind.values(), rows, strict=True):
            known.view_at, known.view_due, known.view_entry, known.view_published = (
                now,
                row.due,
                row.entry,
                row.published,
            )
        self._behind.clear()

    def forget(self, keys: Iterable[str]) -> None:
        """What is in memory of these may be ahead of the journal: they are noted again when their events come again."""
        for key in keys:
            self._behind.pop(key, None)


def _look(known: CachedAggregate, now: int) -> int | None:
    return known.kind.due(known.state, now)


def _ahead(known: CachedAggregate, now: int) -> View:
    row = known.kind.row(known.key, known.state, now + VIEW_EVERY, known.published)
    return row._replace(due=now + VIEW_EVERY, entry=known.state.entry - 1)


def _is_sooner(work: Work, now: int) -> bool:
    """Whether something is due before the row says so: the sweeper must not come too late."""
    known = work.known
    return known.kind.is_sooner(known.state, work.records, known.view_due, now)
