"""Tells deployments that workers are gone. Must not act itself: it only sends events, as the sweeper does.

A worker that dies may have claimed a step just before, in a message that is still on its way. So its absence is told
again when the silence has doubled, and so on. Every core tells it; the ids are the same, and hearing it twice is harmless.
"""

from __future__ import annotations

import logging

from re_core.ports import Bus, Clock, Views
from re_core.sequencer.liveness import SILENT, Roll, Silence
from re_core.sequencer.sweeper import deployment_event, send_events

#: how often the absence of one worker is told: the last time after eight minutes of silence
ROUNDS = 5

_log = logging.getLogger(__name__)


class Absence:
    """Looks for workers that have become silent. One thread."""

    def __init__(self, bus: Bus, views: Views, clock: Clock, roll: Roll) -> None:
        self._bus = bus
        self._views = views
        self._clock = clock
        self._roll = roll
        #: worker -> rounds in which its absence was told
        self._told: dict[str, int] = {}

    def turn(self) -> int:
        """Look once. Returns how many events were sent. Raises StoreUnavailable, BusUnavailable."""
        before = (
            self._clock.now()
        )  # whoever comes back after this, even while this core is frozen, has claimed nothing before
        silences = self._roll.call()
        self._told = {worker.id: self._told.get(worker.id, 0) for worker, lasts in silences if lasts >= SILENT}
        return sum(self._tell(silence.worker.id, before) for silence in silences if self._is_news(silence))

    def _is_news(self, silence: Silence) -> bool:
        rounds = self._told.get(silence.worker.id, ROUNDS)
        return rounds < ROUNDS and silence.lasts >= SILENT << rounds

    def _tell(self, worker: str, before: int) -> int:
        rounds = self._told[worker]
        if not rounds:
            where = {"action": "worker_silent", "worker": worker}
            _log.warning("nothing was heard of the worker %s for %d s", worker, SILENT // 1000, extra=where)
        body = {"before": before, "worker": worker}
        active = self._views.active()
        send_events(self._bus, [deployment_event(one, "gone", body, f"{worker}/{rounds}") for one in active])
        self._told[worker] = rounds + 1
        return len(active)
