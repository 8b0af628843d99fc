"""Figures of HTTP that several processes add to: one block of memory, made before the fork, with a row for each of them.

Must not know which routes there are. A row outlives its process, so that no counter falls when one is replaced.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import OTHER, PREFIX, QUICK, cumulated

#: classes of statuses, 1xx to 5xx
_CLASSES = 5

#: of one route: a count for each class, for each bucket and the one above them all, and the sum of seconds
_WIDTH = _CLASSES + len(QUICK) + 1 + 1


class HttpFigures:
    """Requests by route and class of status. Any thread of any process adds."""

    def __init__(self, routes: Sequence[str], processes: int) -> None:
        """`routes` are the labels, as `GET /healthz`; what is none of them is OTHER. `processes`: how many add at once."""
        self._routes = {route: place for place, route in enumerate((*routes, OTHER))}
        self._size = _WIDTH * len(self._routes)
        self._processes = max(1, processes)
        self._memory = mmap.mmap(-1, 8 * self._size * self._processes)
        self._cells = memoryview(self._memory).cast("d")
        self._row = 0
        self._lock = Lock()

    def use_row(self, row: int) -> None:
        """Called by a process after its fork; those beyond the number that was said share the last row."""
        self._row = min(row, self._processes - 1)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered: after so many seconds its answer began."""
        place = self._routes.get(route, len(self._routes) - 1)
        first = self._row * self._size + place * _WIDTH
        group = min(max(status // 100, 1), _CLASSES) - 1
        with self._lock:
            self._cells[first + group] += 1
            self._cells[first + _CLASSES + bisect_left(QUICK, seconds)] += 1
            self._cells[first + _WIDTH - 1] += seconds

    def collect(self) -> Iterator[Metric]:
        """For the registry: the sum of all processes; routes without a request are left out."""
        requests = CounterMetricFamily(
            f"{PREFIX}http_requests", "HTTP requests, by route and class of status", labels=["route", "status"]
        )
        about = "Time from an HTTP request to the first byte of its answer"
        seconds = HistogramMetricFamily(f"{PREFIX}http_request_seconds", about, labels=["route"])
        for route, place in self._routes.items():
            cells = self._sum(place)
            if not any(cells[:_CLASSES]):
                continue
            for group, count in enumerate(cells[:_CLASSES], 1):
                if count:
                    requests.add_metric([route, f"{group}xx"], count)
            seconds.add_metric([route], list(cumulated(QUICK, cells[_CLASSES:-1])), cells[-1])
        yield requests
        yield seconds

    def _sum(self, place: int) -> list[float]:
        rows = [row * self._size + place * _WIDTH for row in range(self._processes)]
        return [sum(self._cells[first + cell] for first in rows) for cell in range(_WIDTH)]
