"""How fast to send. Pure: time arrives as an argument."""

from __future__ import annotations

#: lines that may be sent at once; servers disconnect a client that floods
BURST = 4

#: seconds per line after that
INTERVAL = 2.0

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
