"""The machine's clock, as calmly as deadlines need it. Must not know what it is asked for.

Every timeout depends on it, so it must not jump when an operator sets the machine's time: an hour ahead would end every step
that runs. It goes by the time since the machine was started, which cannot be set, and follows the time of day slowly.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

#: how much faster or slower than time itself it goes while it follows the time of day
RATE = 0.1

#: seconds that the time of day may be ahead or behind before that is logged
JUMP = 5.0

#: seconds that count as none: what is asked for are milliseconds
NEAR = 0.0005

#: seconds between two looks at the time of day, while it goes as ours does
LOOK = 0.01

#: gives seconds, those included in which the machine slept (CLOCK_BOOTTIME, where there is one)
_SINCE_BOOT = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

_log = logging.getLogger(__name__)


class SystemClock:
    """What the operating system says the time is, without its jumps. Thread-safe."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] | None = None) -> None:
        """Both in seconds: the time of day (UTC, since the epoch), and one that cannot be set."""
        self._wall = wall
        self._steady = steady or _SINCE_BOOT
        self._lock = threading.Lock()
        began = self._steady()
        #: what is added to the steady time to get ours, and the steady time from which on that has to be looked at; replaced
        #: together: no reading may go with an offset that is newer than itself
        self._course = self._wall() - began, began
        self._behind = False

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        offset, until = self._course
        steady = self._steady()
        if steady >= until:
            steady, offset = self._look()
        return int((steady + offset) * 1000)

    def _look(self) -> tuple[float, float]:
        """The steady time now, and the offset after a look at the time of day."""
        with self._lock:
            offset, until = self._course
            steady = self._steady()
            drift = self._wall() - steady - offset
            if abs(drift) < NEAR:
                self._behind = False
                self._course = offset, steady + LOOK
            else:
                # all that was read since the last look is before `until`: nothing goes backwards
                offset += self._step(drift, steady - until)
                self._course = offset, max(steady, until)
            return steady, offset

    def _step(self, drift: float, passed: float) -> float:
        """By how much the offset changes, after so many seconds in which it could have."""
        most = max(0.0, passed) * RATE
        behind = abs(drift) > JUMP
        if behind and not self._behind:
            words = (
                "the machine's clock was changed by %+.0f s; the engine follows it slowly, or at once after a restart"
            )
            _log.warning(words, drift, extra={"action": "clock_set"})
        self._behind = behind
        return max(-most, min(most, drift))
