"""Waits for a condition, not for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds after which a condition will not come about any more
LONGEST = 30.0


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return once it holds."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.005)
