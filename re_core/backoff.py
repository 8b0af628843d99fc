"""How long to wait before the next try of a connection, a read or a notification. The caller waits. Must not know what is tried."""

from __future__ import annotations

import random
from collections.abc import Callable

#: doublings after which the longest pause is certainly reached
_DOUBLINGS = 30


class Backoff:
    """Pauses that double from `first` to `longest` seconds.

    Each is shortened by a random part of up to one half (jitter), so that many processes do not all come back at the same moment.
    """

    def __init__(self, first: float, longest: float, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives numbers in [0, 1); 1 shortens nothing."""
        self._first, self._longest, self._chance = first, longest, chance
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        self._failures += 1
        return self.after(self._failures)

    def reset(self) -> None:
        """A try succeeded: the next pause is the first again."""
        self._failures = 0

    def after(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row (1 or more)."""
        pause = min(self._longest, self._first * 2.0 ** min(max(failures, 1) - 1, _DOUBLINGS))
        return pause * (0.5 + self._chance() / 2)
