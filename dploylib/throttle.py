"""Log lines about peers: however many messages a peer sends, its log stays small. Must not know what is logged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

#: seconds between two lines of one throttle
BETWEEN = 1.0


class Throttle:
    """At most one line a second; the next one says how many there were between."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._next = clock()
        self._left_out = 0
        self._lock = threading.Lock()

    def warning(self, message: str, *args: object, error: BaseException | None = None) -> None:
        """Log a warning, with the traceback of the error if there is one."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                self._left_out += 1
                return
            left_out, self._left_out, self._next = self._left_out, 0, now + BETWEEN
        more = f" (and {left_out} others since the last line)" if left_out else ""
        self._log.warning(message + more, *args, exc_info=error)
