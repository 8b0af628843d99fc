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


class Dials:
    """Of one process. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._all = 0
        self._crowds: Counter[str] = Counter()
        self._failed: OrderedDict[str, tuple[float, HostError]] = OrderedDict()

    @contextmanager
    def dialling(self, way: str, crowd: str, stop: threading.Event | None = None) -> Iterator[None]:
        """While a connection is begun. Raises what failed a moment ago, and NotWanted when `stop` is set while it waits."""
        with self._changed:
            self._raise_failed(way)
            while self._all >= MOST or self._crowds[crowd] >= MOST_OF_CROWD:
                if stop is not None and stop.is_set():
                    raise NotWanted("it was to stop while it waited to connect")
                self._changed.wait(_LOOK)
            self._raise_failed(way)
            self._all += 1
            self._crowds[crowd] += 1
        try:
            yield
        except NotWanted:
            raise
        except HostError as error:
            self._remember(way, error)
            raise
        finally:
            with self._changed:
                self._all -= 1
                self._crowds[crowd] -= 1
                if not self._crowds[crowd]:
                    del self._crowds[crowd]
                self._changed.notify_all()

    def _raise_failed(self, way: str) -> None:
        at, error = self._failed.get(way, (0.0, None))
        if error is None:
            return
        if self._clock() - at < REMEMBERED:
            raise type(error)(str(error))
        del self._failed[way]

    def _remember(self, way: str, error: HostError) -> None:
        with self._changed:
            self._failed[way] = self._clock(), error
            self._failed.move_to_end(way)
            while len(self._failed) > MOST_REMEMBERED:
                self._failed.popitem(last=False)
