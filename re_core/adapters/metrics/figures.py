"""Figures that are read at each scrape: of the store, and of the threads. Must not know what is counted while it happens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock

from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import PREFIX, Names, gauge, single
from re_core.adapters.metrics.waiting import WaitingSteps
from re_core.errors import BadMessage, ReleaseEngineError
from re_core.model import ENDED, DeploymentStatus, StepStatus
from re_core.ports import Clock, LinkFigures, Store, ThreadFigures, ZoneFigures, read_state
from re_core.rows import WorkerRecord
from re_core.wire.messages import parse_attempt

#: seconds for which an answer of the store serves again, so that scraping cannot load it
KEPT = 2.0

#: deployments under way that are counted by their status; what is beyond is `other`
COUNTED = 10_000


class StoreFigures:
    """How much there is of what people wait for."""

    def __init__(
        self, store: Store, clock: Clock, living: Callable[[], Iterable[WorkerRecord]], waiting: WaitingSteps
    ) -> None:
        """`living`: the workers that live. Raises StoreUnavailable, as the store does."""
        self._store, self._clock, self._living, self._waiting = store, clock, living, waiting
        #: commands for which there is, or was, a worker
        self._commands = Names()
        self._served: set[str] = set()
        self._lock = Lock()
        self._made: list[Metric] = []
        self._until = 0.0

    def collect(self) -> Iterator[Metric]:
        """For the registry; of a store that does not answer, only that."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._made = self._look()
                self._until = time.monotonic() + KEPT
            yield from self._made

    def _look(self) -> list[Metric]:
        up = "1 if the store answers, else 0"
        try:
            return [*self._ask(), single("store_up", up, 1)]
        except ReleaseEngineError:  # the callers of the store log why: the figure is what a scrape can show
            return [single("store_up", up, 0)]

    def _ask(self) -> Iterator[Metric]:
        yield gauge("deployments", "Deployments that have not ended, by status", self._statuses(), "status")
        yield single("dead_letters", "Dead letters in the store", self._store.count_dead_letters())
        yield gauge("workers", "Live workers that offer steps of the command", self._workers(), "command")
        ages = self._waiting.ages(self._clock.now(), self._waits)
        about = "Age of the oldest step that this core has sent and no worker has claimed"
        yield gauge("step_queue_age_seconds", about, ages, "command")

    def _statuses(self) -> dict[str, float]:
        found = dict.fromkeys((str(one) for one in DeploymentStatus if one not in ENDED), 0.0)
        active = [id for id in self._store.active() if "/" not in id]  # the others are keys of other kinds
        for status, count in Counter(str(row.status) for row in self._store.rows(active[:COUNTED])).items():
            if status in found:  # one of them may have ended just now
                found[status] += count
        found["other"] = float(max(0, len(active) - COUNTED))
        return found

    def _workers(self) -> dict[str, float]:
        """A command whose last worker is lost stays, with 0, for as long as this process lives, so that its loss can be noticed."""
        serving: Counter[str] = Counter()
        for worker in self._living():
            serving.update({self._commands.of(name.partition(":")[0]) for name in worker.offers})
        self._served |= serving.keys()
        return {command: float(serving[command]) for command in sorted(self._served)}

    def _waits(self, attempt: str) -> bool:
        try:
            deployment, number, count = parse_attempt(attempt)
        except BadMessage:
            return False
        state = read_state(self._store, deployment)
        step = None if state is None else state.steps.get(number)
        return step is not None and step.status is StepStatus.DISPATCHED and step.attempt == count


class ThreadsFigures:
    """Whether the core's threads keep up."""

    def __init__(self, threads: Callable[[], Mapping[str, ThreadFigures]]) -> None:
        self._threads = threads

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        found = self._threads()
        lags = {name: one.lag for name, one in found.items()}
        yield gauge("thread_lag_seconds", "Time since the last successful turn of a thread of the core", lags, "thread")
        about = "Turns that failed because the bus or the store was not available or refused"
        errors = CounterMetricFamily(f"{PREFIX}thread_errors", about, labels=["thread", "error"])
        for name, one in found.items():
            for error, count in one.errors.items():
                errors.add_metric([name, error], count)
        yield errors


class LinksFigures:
    """Whether the pipelines of this core reach their dependencies."""

    def __init__(self, links: Callable[[], LinkFigures | None]) -> None:
        self._links = links

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        found = self._links()
        if found is None:
            return
        states = {"up": float(found.up), "down": float(found.down)}
        yield gauge("cdpm_links", "Links of this core's pipelines to their dependencies, by state", states, "state")
        about = "Time since the oldest vote of this core's pipelines that its dependency has not answered"
        yield single("cdpm_oldest_vote_seconds", about, found.oldest_vote)


class ZonesFigures:
    """Whether the zones of this center answer, and run what they should."""

    def __init__(self, zones: Callable[[], ZoneFigures]) -> None:
        self._zones = zones

    def collect(self) -> Iterator[Metric]:
        """For the registry."""
        found = self._zones()
        states = {"answering": float(found.answering), "silent": float(found.silent)}
        yield gauge("dploy_zones", "Zones of this center, by whether they answer", states, "state")
        about = "Apps that do not run as their journals want, once for each zone"
        yield single("dploy_apps_behind", about, found.behind)
        dropped = CounterMetricFamily(
            f"{PREFIX}dploy_dropped", "What clients sent and the center dropped", labels=["reason"]
        )
        for reason, count in found.dropped.items():
            dropped.add_metric([reason], count)
        yield dropped
