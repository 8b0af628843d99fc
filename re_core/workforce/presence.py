"""Which workers are silent, and for how long. Must not know its callers, or what follows from it.

The silence of one worker means nothing while no heartbeat could arrive: a store that takes no writes, a queue
that is not read, a core that is frozen. So each core sends a heartbeat of its own, by the way that those of workers take (bus,
the heartbeats' consumer of any core, registry), and silence is counted in these: a worker is silent for as many of them as were
sent since its last heartbeat *and have arrived*. No clock is compared with another, and none that can be set is read. Decision
0014 has the reasons.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

from re_core.ports import Registry
from re_core.rows import WorkerRecord
from re_core.wire import messages as m
from re_core.wire.messages import APP, Message

#: milliseconds after which a worker that says nothing is not counted on
SILENT = 30_000

#: milliseconds from one heartbeat of a core to the next, at least: what a worker's arrival is measured by
BEAT = 5_000

#: seconds without an arrival of its own heartbeats after which a core is not ready
UNPROVEN = 20.0

#: milliseconds after which a heartbeat says nothing any more, as with those of workers
LIFE = 30_000

#: heartbeats of its own that a core remembers: enough for the longest silence that is reported (failure_detector.ROUNDS)
_REMEMBERED = 128


class Presence:
    """The heartbeats that this core sends, and when it sent them. Any thread."""

    def __init__(self, identity: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`identity` must be new at every start. `monotonic` in seconds."""
        self.identity = identity
        self._monotonic = monotonic
        self._number = 0
        #: number -> when it was about to be sent
        self._sent: dict[int, float] = {}

    def now(self) -> float:
        """Seconds of a clock that cannot be set."""
        return self._monotonic()

    def next(self) -> Message | None:
        """The next heartbeat, where it is time for one; it counts as sent."""
        now = self._monotonic()
        if self._number and now - self._sent[self._number] < BEAT / 1000:
            return None
        self._sent[self._number + 1] = now
        self._number += 1
        self._sent.pop(self._number - _REMEMBERED, None)
        about = {"worker": self.identity, "slots": 1, "offers": {}, "running": [], "beat": self._number}
        id = f"{self.identity}/heartbeat/{self._number}"
        return Message("heartbeat", m.encode(about), id, app_id=APP, expires=LIFE, once=True)

    def sent_at(self, number: int) -> float | None:
        """When that one was sent; None for one that it did not send, or long ago."""
        return self._sent.get(number)


class Silence(NamedTuple):
    """A worker, and for how many milliseconds it is known that nothing came from it."""

    worker: WorkerRecord
    lasts: int


class RollCall:
    """Reads the registry, and remembers what changed. Any thread; to be called at least once between two heartbeats."""

    def __init__(self, registry: Registry, presence: Presence) -> None:
        self._registry = registry
        self._presence = presence
        self._lock = threading.Lock()
        #: worker -> (its `seen`, when this core noticed it)
        self._noticed: dict[str, tuple[int, float]] = {}
        #: number of the last own heartbeat that arrived
        self._arrived = 0
        #: when that was seen
        self._arrived_at = presence.now()
        #: when those own heartbeats were sent whose arrival was seen, in order
        self._proofs: list[float] = []

    def poll(self) -> list[Silence]:
        """All workers of the registry. Raises StoreUnavailable."""
        # what arrives by this reading proves something of the next: this one may meet a worker's row before its heartbeat does
        proofs = self._proofs
        rows = self._registry.workers()
        now = self._presence.now()
        workers = [row for row in rows if not row.beat]
        with self._lock:
            self._notice(workers, now)
            silences = [Silence(worker, _lasts(proofs, self._noticed[worker.id][1])) for worker in workers]
            self._note_own(rows)
        return silences

    def now(self) -> float:
        """See Presence.now."""
        return self._presence.now()

    def unproven(self) -> float:
        """Seconds since the last own heartbeat was seen to have arrived, or since this was made."""
        return self._presence.now() - self._arrived_at

    def proven(self, since: float) -> int:
        """Milliseconds after `since` (seconds, see Presence.now) in which heartbeats are known to have arrived."""
        return _lasts(self._proofs, since)

    def _notice(self, workers: Sequence[WorkerRecord], now: float) -> None:
        noticed = {}
        for worker in workers:
            seen, at = self._noticed.get(worker.id, (None, now))
            noticed[worker.id] = (worker.seen, at if worker.seen == seen else now)
        self._noticed = noticed

    def _note_own(self, rows: Sequence[WorkerRecord]) -> None:
        """One arrival, however many were sent since the last: of the others nothing is known."""
        number = next((row.beat for row in rows if row.id == self._presence.identity), 0)
        sent = self._presence.sent_at(number)
        if number > self._arrived and sent is not None:
            self._arrived, self._arrived_at = number, self._presence.now()
            self._proofs = [*self._proofs[1 - _REMEMBERED :], sent]


def _lasts(proofs: Sequence[float], since: float) -> int:
    """The first own heartbeat after `since` proves nothing of the time before it."""
    after = len(proofs) - bisect_right(proofs, since)
    return max(0, after - 1) * BEAT
