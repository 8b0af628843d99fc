"""Two of a kind at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable


def at_once(race: Callable[[int], None]) -> None:
    """Run it twice, on a thread each, with the numbers 0 and 1; waits for both."""
    threads = [threading.Thread(target=race, args=(core,)) for core in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
