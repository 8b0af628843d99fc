"""The lanes of one worker in one process: opens, resizes and closes their consumers. Must not know what steps do.

A lane is open while the worker says that it has capacity for it, and for a while after that; what runs in one that has no capacity
any more goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from re_core.errors import ReleaseEngineError
from re_core.ports import Bus
from re_core.wire.messages import lane_queue
from re_workers.forwarder import Forwarder, lane_problem
from re_workers.lane_consumer import LaneConsumer
from re_workers.polling_thread import PollingThread
from re_workers.sdk import Worker

#: lanes that a process serves at once, each with a thread
MOST = 256

#: attempts of one lane at once
MOST_CAPACITY = 1_000

#: seconds after which a lane without capacity is closed, so that one that comes and goes costs no consumer each time
CLOSE_AFTER = 120.0

#: seconds in which the consumer of an idle lane stops
CLOSING = 1.0

#: makes the consumer of a lane with a capacity
Make = Callable[[str, int], LaneConsumer]

_log = logging.getLogger(__name__)


class _Lane:
    def __init__(self, consumer: LaneConsumer, loop: PollingThread) -> None:
        self.consumer = consumer
        self.loop = loop
        #: seconds of the monotonic clock since which it has neither capacity nor work
        self.idle_since: float | None = None


class Lanes:
    """Of one worker. Any thread calls; `look` and `stop` exclude each other."""

    def __init__(self, bus: Bus, worker: Worker, make: Make) -> None:
        self._bus, self._worker, self._make = bus, worker, make
        self._open: dict[str, _Lane] = {}
        self._lock = threading.Lock()
        self._stopped = False
        #: lanes of which was said that they cannot be had
        self._reported: set[str] = set()
        #: what brings them their steps; it asks `serves`, so that it is made after this
        self.forwarder: Forwarder | None = None

    def serves(self, lane: str) -> bool:
        """Whether this process takes steps of the lane now."""
        found = self._open.get(lane)
        return found is not None and found.consumer.capacity > 0

    @property
    def capacity(self) -> int:
        """Attempts that all of them together take at once."""
        return sum(one.consumer.capacity for one in list(self._open.values()))

    def consumers(self) -> list[LaneConsumer]:
        """Of all open lanes."""
        return [one.consumer for one in list(self._open.values())]

    def look(self) -> None:
        """Ask the worker which lanes it has, and serve those."""
        with self._lock:
            if self._stopped:
                return
            wanted = self._wanted()
            for name, lane in list(self._open.items()):
                self._fit(name, lane, wanted.pop(name, 0))
            for name, capacity in wanted.items():
                self._begin(name, capacity)
        for consumer in self.consumers():
            consumer.reconsider()
        if self.forwarder is not None:
            self.forwarder.reconsider()

    def stop(self, deadline: float) -> list[PollingThread]:
        """Open none any more; end in `deadline` seconds those that are. Returns their threads, which end by then."""
        with self._lock:
            self._stopped = True
            loops = [one.loop for one in self._open.values()]
        for loop in loops:
            loop.stop(deadline)
        return loops

    def _wanted(self) -> dict[str, int]:
        """Lane -> capacity above 0, of those that can be had; of more than MOST those that are open come first."""
        found = dict(self._worker.lanes() or {})
        wanted: dict[str, int] = {}
        for name in sorted(found, key=lambda one: one not in self._open):
            capacity = min(found[name], MOST_CAPACITY)
            if capacity > 0 and self._can_be_had(name, len(wanted)):
                wanted[name] = capacity
        return wanted

    def _can_be_had(self, name: str, others: int) -> bool:
        problem = lane_problem(name, "" if self.forwarder is None else self.forwarder.control)
        if not problem and others < MOST:
            return True
        if name not in self._reported and len(self._reported) < MOST:
            self._reported.add(name)
            why = problem or f"the lane {name} is not served: a process serves {MOST} lanes at most"
            _log.error("%s: %s", self._worker.command, why, extra={"action": "lane_refused"})
        return False

    def _begin(self, name: str, capacity: int) -> None:
        try:
            consumer = self._make(name, capacity)
        except ReleaseEngineError as error:
            _log.warning("cannot serve the lane %s yet: %s", name, error, extra={"action": "bus_away"})
            return
        loop = PollingThread(f"worker.{self._worker.command}.{name}", consumer)
        loop.start()
        self._open[name] = _Lane(consumer, loop)

    def _fit(self, name: str, lane: _Lane, capacity: int) -> None:
        lane.consumer.resize(capacity)
        if capacity or lane.consumer.running() or not lane.consumer.idle:
            lane.idle_since = None
            return
        now = time.monotonic()
        lane.idle_since = now if lane.idle_since is None else lane.idle_since
        if now - lane.idle_since >= CLOSE_AFTER:
            self._end(name, lane)

    def _end(self, name: str, lane: _Lane) -> None:
        lane.loop.stop(CLOSING)
        lane.loop.join()
        del self._open[name]
        for queue in (lane_queue(self._worker.command, name), lane.consumer.control):
            self._bus.release(queue)
