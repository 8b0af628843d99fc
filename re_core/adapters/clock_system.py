"""The machine's clock, as calmly as deadlines need it. Must not know what it is asked for.

Every timeout depends on it, so it must not jump when an operator sets the machine's time: an hour ahead would end every step
that runs. It goes by the time since the machine was started, which cannot be set, and follows the time of day slowly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

#: how much faster or slower than time itself it goes while it follows the time of day
RATE = 0.1

#: seconds that the time of day may be ahead or behind before that is logged
JUMP = 5.0

_log = logging.getLogger(__name__)


class SystemClock:
    """What the operating system says the time is, without its jumps. Thread-safe."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] | None = None) -> None:
        """Both in seconds: the time of day (UTC, since the epoch), and one that cannot be set."""
        self._wall = wall
        self._steady = steady or _since_boot
        self._lock = threading.Lock()
        self._last = self._steady()
        #: what is added to the steady time to get ours
        self._offset = self._wall() - self._last
        self._behind = False

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        with self._lock:
            steady = self._steady()
            drift = self._wall() - steady - self._offset
            if drift:
                self._follow(drift, steady - self._last)
            self._last = steady
            return int((steady + self._offset) * 1000)

    def _follow(self, drift: float, passed: float) -> None:
        step = passed * RATE
        self._offset += max(-step, min(step, drift))
        behind = abs(drift) > JUMP
        if behind and not self._behind:
            words = (
                "the machine's clock was changed by %+.0f s; the engine follows it slowly, or at once after a restart"
            )
            _log.warning(words, drift, extra={"action": "clock_set"})
        self._behind = behind


def _since_boot() -> float:
    """Seconds, those included in which the machine slept (CLOCK_BOOTTIME, where there is one)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
