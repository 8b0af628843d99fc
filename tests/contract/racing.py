"""Several of a kind at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable


def at_once(race: Callable[[int], None], count: int = 2) -> None:
    """Run it so often, on a thread each, with the numbers from 0 on; waits for all."""
    threads = [threading.Thread(target=race, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
