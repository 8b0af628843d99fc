"""The machine's clock. Must not know what it is asked for."""

from __future__ import annotations

import time


class SystemClock:
    """What the operating system says the time is."""

    def now(self) -> int:
        """Milliseconds since the epoch (UTC)."""
        return time.time_ns() // 1_000_000
