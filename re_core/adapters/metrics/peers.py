"""Refused messages of peers, by reason: several processes add, as in http.py. Must not know why they were refused."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import OTHER, counter


class PeerFigures:
    """Any thread of any process adds."""

    def __init__(self, reasons: Sequence[str], processes: int) -> None:
        """`reasons` are the labels; what is none of them is OTHER. `processes`: how many add at once."""
        self._reasons = {reason: place for place, reason in enumerate((*reasons, OTHER))}
        self._processes = max(1, processes)
        self._memory = mmap.mmap(-1, 8 * len(self._reasons) * self._processes)
        self._cells = memoryview(self._memory).cast("q")
        self._row = 0
        self._lock = Lock()

    def use_row(self, row: int) -> None:
        """Called by a process after its fork; those beyond the number that was said share the last row."""
        self._row = min(row, self._processes - 1)

    def refused(self, reason: str) -> None:
        """One message was refused."""
        place = self._reasons.get(reason, len(self._reasons) - 1)
        with self._lock:
            self._cells[self._row * len(self._reasons) + place] += 1

    def collect(self) -> Iterator[Metric]:
        """For the registry: the sum of all processes; reasons that did not occur are left out."""
        width = len(self._reasons)
        counts = {
            reason: sum(self._cells[row * width + place] for row in range(self._processes))
            for reason, place in self._reasons.items()
        }
        about = "Messages of pipelines of other engines that were refused, by reason"
        yield counter(
            "cdpm_refused", about, [((reason,), count) for reason, count in counts.items() if count], "reason"
        )
