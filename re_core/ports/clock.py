"""The clock. Must not know any technology."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> int:
        """Milliseconds since the epoch. May jump; nothing may break if it does."""
        ...
