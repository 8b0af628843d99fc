"""When a connection may be begun: so many at once, so many through one gateway, and not again at once to what just failed.

A server drops connections when many are begun at once (MaxStartups 10:30:100), and what blocks attackers blocks a worker that
tries fifty times. Must not know ssh.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from re_workers.hosts.port import HostError, Unreachable

#: connections that are begun at once: in all, and through one gateway or into one range of addresses
MOST, MOST_OF_CROWD = 32, 8
#: seconds for which a failure is answered without another try, and failures that are remembered
REMEMBERED, MOST_REMEMBERED = 2.0, 4096
#: seconds between two looks at whether it is still wanted
_LOOK = 0.2


class NotWanted(Unreachable):
    """The caller was to stop before the connection was there; this says nothing of the host."""


class _Turn:
    """A caller that waits. It is given its place by what ends, so that of many which wait only those that may begin wake up."""

    def __init__(self, crowd: str) -> None:
        self.crowd, self.has_come = crowd, threading.Event()


class Dials:
    """Of one process. Thread-safe. Callers begin in the order in which they came, but that a full crowd holds up no other."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all = 0
        self._crowds: Counter[str] = Counter()
        self._waiting: list[_Turn] = []
        self._failed: OrderedDict[str, tuple[float, HostError]] = OrderedDict()

    @contextmanager
    def dialling(self, way: str, crowd: str, stop: threading.Event | None = None) -> Iterator[None]:
        """While a connection is begun. Raises what failed a moment ago, and NotWanted when `stop` is set while it waits."""
        with self._lock:
            self._raise_failed(way)
            turn = self._asked(crowd)
        has_begun = False
        try:
            self._wait(turn, stop)
            with self._lock:
                self._raise_failed(way)
            has_begun = True
            yield
        except HostError as error:
            if has_begun and not isinstance(error, NotWanted):
                self._remember(way, error)
            raise
        finally:
            self._leave(turn)

    def _asked(self, crowd: str) -> _Turn:
        """A place, or a turn that waits for one. Nothing waits that could have a place."""
        turn = _Turn(crowd)
        if self._has_room(crowd):
            self._give(turn)
        else:
            self._waiting.append(turn)
        return turn

    @staticmethod
    def _wait(turn: _Turn, stop: threading.Event | None) -> None:
        while not turn.has_come.wait(_LOOK):
            if stop is not None and stop.is_set():
                raise NotWanted("it was to stop while it waited to connect")

    def _has_room(self, crowd: str) -> bool:
        return self._all < MOST and self._crowds[crowd] < MOST_OF_CROWD

    def _give(self, turn: _Turn) -> None:
        self._all += 1
        self._crowds[turn.crowd] += 1
        turn.has_come.set()

    def _leave(self, turn: _Turn) -> None:
        """Its place goes to the first that may have it."""
        with self._lock:
            if not turn.has_come.is_set():
                self._waiting.remove(turn)
                return
            self._all -= 1
            self._crowds[turn.crowd] -= 1
            if (following := next((one for one in self._waiting if self._has_room(one.crowd)), None)) is not None:
                self._waiting.remove(following)
                self._give(following)
            if not self._crowds[turn.crowd]:
                del self._crowds[turn.crowd]

    def _raise_failed(self, way: str) -> None:
        at, error = self._failed.get(way, (0.0, None))
        if error is None:
            return
        if self._clock() - at < REMEMBERED:
            raise type(error)(str(error))
        del self._failed[way]

    def _remember(self, way: str, error: HostError) -> None:
        with self._lock:
            self._failed[way] = self._clock(), error
            self._failed.move_to_end(way)
            while len(self._failed) > MOST_REMEMBERED:
                self._failed.popitem(last=False)
