"""When a core deletes old deployments: once a day, in small steps; and what is bounded in any case. Must not know any store.

Which deployments it deletes: re_core/usecases/maintenance.py; which artifacts: re_core/usecases/artifact_pruning.py; what of apps:
re_core/usecases/apps/tidying.py.
"""

from __future__ import annotations

from re_core.ports import Clock, Store
from re_core.ports.feed import KEPT_CHUNKS
from re_core.usecases import artifact_pruning
from re_core.usecases.apps import tidying
from re_core.usecases.maintenance import DAY, Pruned, prune_some

#: milliseconds from the start of a core to its first step
FIRST = 60_000


#: seconds between two steps while there is something to do, and between two looks while there is not
BETWEEN, IDLE = 0.2, 30.0

#: milliseconds between two looks at what is bounded in any case: the feed, releases that are over, files of peers
TRIM = 30_000

#: milliseconds that a release is kept after its creation, once it is over; what people read of it stands in the journal
KEPT_RELEASES = DAY

#: releases that one look deletes: more than end between two of them
RELEASES = 2000

#: milliseconds that a pipeline's file is kept after its source last had it: a day longer than it may be trusted without that
KEPT_PEER_FILES = 8 * DAY

#: milliseconds between two looks for what pushes that were cut off left behind, and for what apps need no more
TIDY = 3_600_000


class Pruner:
    """Prunes in small steps, once a day. One thread."""

    def __init__(self, store: Store, clock: Clock, older: float | None, keep: float) -> None:
        """`older`: days after which what has ended is deleted; None: never. `keep`: days that a used artifact stays."""
        self._store, self._clock, self._older, self._keep = store, clock, older, int(keep * DAY)
        self._next = clock.now() + FIRST
        #: when the feed and the releases were trimmed last
        self._trimmed = clock.now()
        #: when artifacts were tidied last; a store that was just opened is tidied soon
        self._tidied = clock.now() - TIDY + FIRST
        #: of the day under way
        self.pruned = Pruned()

    def turn(self) -> float:
        """One step where it is time. Returns how many seconds may pass before the next. Raises StoreUnavailable."""
        now = self._clock.now()
        if not 0 <= now - self._trimmed < TRIM:
            self._store.trim_feed(KEPT_CHUNKS)
            self._store.forget_releases(now - KEPT_RELEASES, RELEASES)
            self._store.forget_peer_files(now - KEPT_PEER_FILES)
            self._trimmed = now
        if not 0 <= now - self._tidied < TIDY:
            artifact_pruning.tidy(self._store, now, self._keep)
            tidying.tidy(self._store, now)
            self._tidied = now
        if self._older is None or 0 < self._next - now <= DAY:
            return IDLE
        some = prune_some(self._store, now - int(self._older * DAY))
        self.pruned = self.pruned.plus(some)
        if any(some):
            return BETWEEN
        old = max(int(self._older * DAY), self._keep)
        for _ in artifact_pruning.deletions(self._store, None, now, old, self._keep):
            pass
        self._next, self.pruned = now + DAY, Pruned()
        return IDLE
