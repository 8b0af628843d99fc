"""Which workers are silent, and for how long. Must not know who asks, or what follows from it.

No clock of another machine is believed: a worker is heard when its `seen` in the registry changes, at the time by this
core's own clock at which that was noticed. A core that was itself away, because it has just started, was frozen, lost
the bus or the store or had its clock set, cannot have heard anybody: everybody then has as long again before silence
counts (contract, section 4).
"""

from __future__ import annotations

from typing import NamedTuple

from re_core.model import WorkerRecord
from re_core.ports import Clock, Registry

#: milliseconds after which a worker that says nothing is not counted on
SILENT = 30_000

#: milliseconds between two ticks from which on the core was itself away
GAP = 5_000


class Liveness:
    """One core's own presence. Any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()
        #: since when this core could have heard everybody; milliseconds since the epoch
        self.since = self._last

    def tick(self) -> int:
        """The core is there; the time. Called at least once a second."""
        now = self._clock.now()
        if not 0 <= now - self._last < GAP:
            self.since = now
        self._last = now
        return now

    def interrupt(self) -> None:
        """The core cannot hear anybody just now."""
        self.since = self._clock.now()


class Silence(NamedTuple):
    """A worker, and for how many milliseconds nothing was heard of it."""

    worker: WorkerRecord
    lasts: int


class Roll:
    """Reads the registry, and remembers when it changed. One thread at a time."""

    def __init__(self, registry: Registry, liveness: Liveness) -> None:
        self._registry = registry
        self._liveness = liveness
        #: worker -> (its `seen`, when this core noticed it)
        self._heard: dict[str, tuple[int, int]] = {}

    def call(self) -> list[Silence]:
        """All workers of the registry. Raises StoreUnavailable."""
        workers = self._registry.workers()
        now = self._liveness.tick()
        heard = {}
        for worker in workers:
            seen, at = self._heard.get(worker.id, (None, now))
            heard[worker.id] = (worker.seen, at if worker.seen == seen and at <= now else now)
        self._heard = heard
        since = self._liveness.since
        return [Silence(worker, now - max(heard[worker.id][1], since)) for worker in workers]
