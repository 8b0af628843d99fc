"""Reports lost workers to the deployments that they work for. Must not act itself: it only sends events, as the sweeper does.

A worker that dies may have claimed a step just before, in a message that is still on its way. So it is reported
again when the silence has doubled, and so on. The rows of the list say of which deployments it has claimed a step. A row
follows its journal within a second; where its core died in that second, the sweeper's look at the dispatched step, half a minute
after the dispatch at most, writes it: before the second round. Every core reports it; the ids are the same, and a second event
changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from zlib import crc32

from re_core.core_events import deployment_event, send_events
from re_core.ports import Bus, Clock, Views
from re_core.wire.messages import Message
from re_core.workforce.presence import SILENT, RollCall, Silence

#: how often one lost worker is reported: the last time after eight minutes of silence
ROUNDS = 5

_log = logging.getLogger(__name__)


class FailureDetector:
    """Looks for workers that have become silent. One thread."""

    def __init__(self, bus: Bus, views: Views, clock: Clock, roll: RollCall) -> None:
        self._bus = bus
        self._views = views
        self._clock = clock
        self._roll = roll
        #: worker -> rounds in which it was reported
        self._rounds: dict[str, int] = {}

    def turn(self) -> int:
        """Look once. Returns how many events were sent. Raises StoreUnavailable, BusUnavailable."""
        before = (
            self._clock.now()
        )  # a worker that comes back after this, even while this core is frozen, has claimed nothing before
        silences = self._roll.poll()
        self._rounds = {worker.id: self._rounds.get(worker.id, 0) for worker, lasts in silences if lasts >= SILENT}
        news = [silence.worker.id for silence in silences if self._is_news(silence)]
        return self._report(news, before) if news else 0

    def _is_news(self, silence: Silence) -> bool:
        rounds = self._rounds.get(silence.worker.id, ROUNDS)
        return rounds < ROUNDS and silence.lasts >= SILENT << rounds

    def _report(self, workers: Sequence[str], before: int) -> int:
        """Only deployments of which they have claimed a step get the event, each one event for all of them."""
        for worker in workers:
            if not self._rounds[worker]:
                where = {"action": "worker_silent", "worker": worker}
                _log.warning("no heartbeat of the worker %s for %d s", worker, SILENT // 1000, extra=where)
        claimed = self._views.claimed(workers)
        send_events(self._bus, [self._event(one, gone, before) for one, gone in claimed.items()])
        for worker in workers:
            self._rounds[worker] += 1
        return len(claimed)

    def _event(self, deployment: str, gone: Sequence[str], before: int) -> Message:
        # an older core reads `worker` only, and would take none for all
        body = {"before": before, "worker": gone[0], "workers": list(gone)}
        occasion = ",".join(f"{worker}/{self._rounds[worker]}" for worker in gone)
        short = occasion if len(gone) == 1 else f"{crc32(occasion.encode()):08x}"
        return deployment_event(deployment, "gone", body, short)
