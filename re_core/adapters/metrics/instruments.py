"""Counters and histograms that cost little to add to, and become Prometheus' metrics at a scrape. Must not know what is counted.

The library's own take 1 to 2 µs for each addition. What every step passes is counted in plain numbers under one lock (`Buckets`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

#: begins every name
PREFIX = "release_engine_"

#: values of one label that are counted separately, and the one for all others
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


class Buckets:
    """How often something was how large. Not locked: the object that adds has a lock of its own."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        #: one for each bound, and the one above all of them last
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, size: float) -> None:
        """Once more."""
        self.counts[bisect_left(self.bounds, size)] += 1
        self.total += size

    def copy(self) -> Buckets:
        """As it is now."""
        copied = Buckets(self.bounds)
        copied.counts, copied.total = list(self.counts), self.total
        return copied


class Counter:
    """Rises. Any thread may add."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._counts: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}
        self._lock = Lock()

    def add(self, *values: str, by: float = 1) -> None:
        """`values` of the labels, in their order; the caller bounds them."""
        with self._lock:
            self._counts[values] = self._counts.get(values, 0.0) + by

    def metric(self) -> Metric:
        """As it is now."""
        with self._lock:
            counts = list(self._counts.items())
        return counter(self._name, self._about, counts, *self._labels)


class Histogram:
    """How often something was how large. Any thread may add."""

    def __init__(self, name: str, about: str, bounds: tuple[float, ...], *labels: str) -> None:
        self._name, self._about, self._bounds, self._labels = name, about, bounds, labels
        self._known: dict[tuple[str, ...], Buckets] = {} if labels else {(): Buckets(bounds)}
        self._lock = Lock()

    def add(self, size: float, *values: str) -> None:
        """`values` of the labels, in their order; the caller bounds them."""
        with self._lock:
            known = self._known.get(values)
            if known is None:
                known = self._known[values] = Buckets(self._bounds)
            known.add(size)

    def metric(self) -> Metric:
        """As it is now."""
        with self._lock:
            known = [(values, one.copy()) for values, one in self._known.items()]
        return histogram(self._name, self._about, known, *self._labels)


def counter(name: str, about: str, counts: Iterable[tuple[Sequence[str], float]], *labels: str) -> Metric:
    """A counter: values of the labels, and how often."""
    family = CounterMetricFamily(PREFIX + name, about, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def histogram(name: str, about: str, known: Iterable[tuple[Sequence[str], Buckets]], *labels: str) -> Metric:
    """A histogram: values of the labels, and how often it was how large."""
    family = HistogramMetricFamily(PREFIX + name, about, labels=labels)
    for values, one in known:
        family.add_metric(values, list(cumulated(one.bounds, one.counts)), one.total)
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
