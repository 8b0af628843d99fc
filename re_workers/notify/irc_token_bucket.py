"""How fast to speak, and how long to wait before trying again. Pure: time and chance arrive as arguments."""

from __future__ import annotations

#: lines that may be sent at once; servers disconnect whoever floods
BURST = 4

#: seconds per line after that
INTERVAL = 2.0

#: seconds between two attempts to connect: the first, and what doubling them stops at
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0


#: of a token: less than that is missing by rounding only, and a wait for it might be too short to move a clock
_ROUNDING = 1e-6


class TokenBucket:
    """A token bucket: `burst` lines at once, one more every `interval` seconds."""

    def __init__(self, burst: int = BURST, interval: float = INTERVAL) -> None:
        self._burst = burst
        self._interval = interval
        self._tokens = float(burst)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next line may be sent; 0 when it may now."""
        missing = 1.0 - self._filled(now)
        return missing * self._interval if missing > _ROUNDING else 0.0

    def spend(self, now: float) -> None:
        """One line was sent."""
        self._tokens = self._filled(now) - 1.0
        self._at = now

    def _filled(self, now: float) -> float:
        return min(float(self._burst), self._tokens + (now - self._at) / self._interval)


def backoff(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row (1 or more); `chance` in [0, 1) spreads the herd."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + chance / 2)
