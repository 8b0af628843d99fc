"""Waits for what another thread or process does. Must not know what that is."""

from __future__ import annotations

import time
from collections.abc import Callable

#: seconds after which it will not happen any more
PATIENCE = 20.0


def until(condition: Callable[[], object]) -> None:
    """Return as soon as `condition` holds; fail where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
