"""Tells deployments that a worker is gone. Must not act itself: it only sends events, as the sweeper does.

A worker that dies may have claimed a step just before, in a message that is still on its way. So its absence is told
again when the silence has doubled, and so on. Every core tells it; the ids are the same, and hearing it twice is harmless.
"""

from __future__ import annotations

import logging

from re_core.errors import TransientError
from re_core.model import WorkerRecord
from re_core.ports import Bus, Clock, Registry, Views
from re_core.sequencer.liveness import SILENT, Liveness, Roll
from re_core.sequencer.sweeper import deployment_event, send_events

#: how often the absence of one worker is told: the last time after eight minutes of silence
ROUNDS = 5

_log = logging.getLogger(__name__)


class Absence:
    """Looks for workers that have become silent. One thread."""

    def __init__(self, bus: Bus, registry: Registry, views: Views, clock: Clock, liveness: Liveness) -> None:
        self._bus = bus
        self._views = views
        self._clock = clock
        self._liveness = liveness
        self._roll = Roll(registry, liveness)
        #: worker -> rounds in which its absence was told
        self._told: dict[str, int] = {}

    def turn(self) -> int:
        """Look once. Returns how many events were sent. Raises StoreUnavailable, BusUnavailable."""
        try:
            self._bus.ping()
            silences = self._roll.call()
        except TransientError:
            self._liveness.interrupt()  # who cannot be heard is not silent
            raise
        self._told = {worker.id: self._told.get(worker.id, 0) for worker, lasts in silences if lasts >= SILENT}
        return sum(self._tell(worker) for worker, lasts in silences if self._is_news(worker, lasts))

    def _is_news(self, worker: WorkerRecord, lasts: int) -> bool:
        rounds = self._told.get(worker.id, ROUNDS)
        return rounds < ROUNDS and lasts >= SILENT << rounds

    def _tell(self, worker: WorkerRecord) -> int:
        rounds = self._told[worker.id]
        if not rounds:
            where = {"action": "worker_silent", "worker": worker.id}
            _log.warning("nothing was heard of the worker %s for %d s", worker.id, SILENT // 1000, extra=where)
        body = {"before": self._clock.now(), "worker": worker.id}
        active = self._views.active()
        send_events(self._bus, [deployment_event(one, "gone", body, f"{worker.id}/{rounds}") for one in active])
        self._told[worker.id] = rounds + 1
        return len(active)
