"""Time that passes only when the world says so, and the clocks that show it. Must not know who looks at them."""

from __future__ import annotations

#: milliseconds since the epoch at which every world begins
START = 1_700_000_000_000


class Time:
    """What time it really is, in milliseconds, and by how much every clock is wrong."""

    def __init__(self) -> None:
        self.now = START
        #: what somebody who set the clocks has added to all of them
        self.shift = 0

    @property
    def since(self) -> float:
        """Seconds since the world began."""
        return (self.now - START) / 1000

    def monotonic(self) -> float:
        """Seconds; nobody can set it."""
        return self.since

    def seconds(self) -> float:
        """Seconds since the epoch."""
        return self.now / 1000


class ProcessClock:
    """See ports.Clock: that of one machine, which goes a little wrong."""

    def __init__(self, time: Time, skew: int) -> None:
        self._time = time
        self._skew = skew

    def now(self) -> int:
        return self._time.now + self._time.shift + self._skew
