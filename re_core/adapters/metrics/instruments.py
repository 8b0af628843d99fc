"""Counters and histograms that cost little to add to, and are put into Prometheus' words when it asks. Must not know what is counted.

The library's own take 1 to 2 µs for each addition, these less: a step of a deployment passes seven of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

#: begins every name
PREFIX = "release_engine_"

#: values of one label that are told apart, and what stands for all others
MOST, OTHER = 100, "other"

#: bounds of histograms: seconds of what is quick, seconds of what may take long, and things in one go
QUICK = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class Names:
    """The values of a label that comes from outside: the first MOST of them, the others as OTHER."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: set[str] = set()
        self._lock = Lock()

    def of(self, name: str) -> str:
        """The label for that name."""
        if name in self._known:
            return name
        with self._lock:
            if len(self._known) < self._most:
                self._known.add(name)
        return name if name in self._known else OTHER


class Counter:
    """Rises. Any thread may add."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name, self._about, self._labels = PREFIX + name, about, labels
        self._counts: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        self._lock = Lock()

    def add(self, *values: str, by: float = 1) -> None:
        """`values` of the labels, in their order; the caller bounds them."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0.0) + by

    def metric(self) -> Metric:
        """As it is now."""
        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        with self._lock:
            counts = list(self._counts.items())
        for values, count in counts:
            family.add_metric(values, count)
        return family


class Histogram:
    """How often something was how large. Any thread may add."""

    def __init__(self, name: str, about: str, bounds: Sequence[float], *labels: str) -> None:
        self._name, self._about, self._bounds, self._labels = PREFIX + name, about, tuple(bounds), labels
        #: labels -> how often each bucket, the one above all bounds last
        self._buckets: dict[tuple[str, ...], list[int]] = {} if labels else {(): [0] * (len(bounds) + 1)}
        self._sums: dict[tuple[str, ...], float] = {}
        self._lock = Lock()

    def add(self, size: float, *values: str) -> None:
        """`size` in the unit of the bounds."""
        place = bisect_left(self._bounds, size)
        with self._lock:
            buckets = self._buckets.get(values)
            if buckets is None:
                buckets = self._buckets[values] = [0] * (len(self._bounds) + 1)
            buckets[place] += 1
            self._sums[values] = self._sums.get(values, 0.0) + size

    def metric(self) -> Metric:
        """As it is now."""
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        with self._lock:
            known = [(values, list(one), self._sums.get(values, 0.0)) for values, one in self._buckets.items()]
        for values, buckets, total in known:
            family.add_metric(values, list(cumulated(self._bounds, buckets)), total)
        return family


def cumulated(bounds: Sequence[float], buckets: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Upper bound and how many were not above it, as the format wants it."""
    seen = 0.0
    for bound, count in zip((*map(str, bounds), "+Inf"), buckets, strict=True):
        seen += count
        yield bound, seen


def gauge(name: str, about: str, values: Mapping[str, float], label: str) -> Metric:
    """A gauge with one label."""
    family = GaugeMetricFamily(PREFIX + name, about, labels=[label])
    for value, size in values.items():
        family.add_metric([value], size)
    return family


def single(name: str, about: str, value: float) -> Metric:
    """A gauge without labels."""
    return GaugeMetricFamily(PREFIX + name, about, value=value)
