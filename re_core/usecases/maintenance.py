"""Forgets what ended long ago, a little at a time. Must not know any store.

What has not ended is never forgotten: the list only proposes, the journal decides.
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.model import View
from re_core.ports import Clock, Store
from re_core.usecases.inspection import read_journal

#: milliseconds of a day
DAY = 24 * 3600 * 1000

#: deployments, and dead letters, of one step: a fraction of a second
STEP = 50

#: milliseconds from the start of a core to its first step
FIRST = 60_000

#: seconds between two steps while there is something to do, and between two looks while there is not
BETWEEN, IDLE = 0.2, 30.0

#: more than any store holds
_ALL = 2**31 - 2


class Pruned(NamedTuple):
    """How many were forgotten."""

    deployments: int = 0
    dead_letters: int = 0

    def plus(self, more: Pruned) -> Pruned:
        return Pruned(self.deployments + more.deployments, self.dead_letters + more.dead_letters)


def would_prune(store: Store, before: int) -> Pruned:
    """How many ended, or were buried, before that time."""
    return Pruned(len(store.ended(before, _ALL)), len(store.old_dead_letters(before, _ALL)))


def prune_some(store: Store, before: int, limit: int = STEP) -> Pruned:
    """One step: forget up to `limit` deployments that ended before that time, and dead letters; all zero at the end.

    Of a deployment everything goes: journal, output, idempotency keys, row of the list.
    """
    over: list[str] = []
    while not over and (proposed := store.ended(before, limit)):
        over, behind = _sorted(store, proposed, before)
        _correct(store, behind)
        if not behind:
            break
    store.forget(over)
    letters = store.old_dead_letters(before, limit)
    for letter in letters:
        store.drop_dead_letter(letter)
    return Pruned(len(over), len(letters))


def _sorted(store: Store, proposed: list[str], before: int) -> tuple[list[str], list[View]]:
    """Those that are over by their journals too, and right rows of those that are not.

    A journal that cannot be read is what a prune that was cut off has left; one of a newer engine is left to that.
    """
    over: list[str] = []
    behind: list[View] = []
    for deployment in proposed:
        read = read_journal(store, deployment, None, before)
        if read is None or (read.expected is None and not read.newer):
            over.append(deployment)
        elif read.expected is not None:
            ended = read.expected.ended
            if ended is not None and ended < before:
                over.append(deployment)
            else:
                behind.append(read.expected)
    return over, behind


def _correct(store: Store, rows: list[View]) -> None:
    """A write alone would not replace a row that is ahead of its journal."""
    store.drop_views([row.id for row in rows])
    store.write_views(rows)


class Pruner:
    """Prunes in small steps, once a day. One thread."""

    def __init__(self, store: Store, clock: Clock, older: float | None) -> None:
        """`older`: days after which what has ended is forgotten; None: never."""
        self._store, self._clock, self._older = store, clock, older
        self._next = clock.now() + FIRST
        #: of the day under way
        self.pruned = Pruned()

    def turn(self) -> float:
        """One step where it is time. Returns how many seconds may pass before the next. Raises StoreUnavailable."""
        now = self._clock.now()
        if self._older is None or 0 < self._next - now <= DAY:
            return IDLE
        some = prune_some(self._store, now - int(self._older * DAY))
        self.pruned = self.pruned.plus(some)
        if any(some):
            return BETWEEN
        self._next, self.pruned = now + DAY, Pruned()
        return IDLE
