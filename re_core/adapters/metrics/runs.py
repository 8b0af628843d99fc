"""What this process's workers have run. Must not know how it is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from threading import Lock

from prometheus_client.metrics_core import Metric

from re_core.adapters.metrics.instruments import LONG, Buckets, Names, counter, histogram
from re_core.ports import StepRun


class RunFigures:
    """How many runs of steps there were, by how they ended, and how long they took. Any thread may call."""

    def __init__(self) -> None:
        self._names = Names()
        self._lock = Lock()
        #: command and status -> runs
        self._ran: dict[tuple[str, str], int] = defaultdict(int)
        #: command -> seconds
        self._took: dict[str, Buckets] = defaultdict(lambda: Buckets(LONG))

    def ran(self, run: StepRun) -> None:
        """See Observer."""
        command = self._names.of(run.command)
        with self._lock:
            self._ran[command, run.status] += 1
            self._took[command].add(max(0, run.ended - run.began) / 1e9)

    def metrics(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        with self._lock:
            ran, took = list(self._ran.items()), [((command,), one.copy()) for command, one in self._took.items()]
        about = "Steps that the workers of this process ran, by status"
        yield counter("worker_steps", about, ran, "command", "status")
        yield histogram("worker_step_seconds", "Duration of a step in its worker", took, "command")
