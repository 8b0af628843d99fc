"""Holds the changes of a watched deployment for a moment, to print them in order of time. Must not know how they look.

States and output come on different ways: a line may arrive before the start of its step, and the end of one step behind
the first line of the next.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from re_client.view import Change

#: seconds for which a change is held
HOLD = 0.6
#: seconds between two looks at what has been held for long enough
LOOK = 0.1
#: changes that are held at most
MOST = 2_000


class Holding:
    """Gives changes on, some at a time, from a thread of its own; all of them at the end of its `with`."""

    def __init__(self, give: Callable[[Sequence[Change]], None], hold: float = HOLD) -> None:
        """`give` is called by one thread at a time; what it raises, the next `put` or the end of the `with` raises."""
        self._give, self._hold = give, hold
        self._held: list[tuple[float, Change]] = []
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="holding", daemon=True)

    def __enter__(self) -> Holding:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._failed is None:
            self._flush(0.0)
        elif kind is None:
            raise self._failed

    def put(self, changes: Sequence[Change]) -> None:
        """Take them in."""
        if self._failed is not None:
            raise self._failed
        now = time.monotonic()
        with self._lock:
            self._held.extend((now, change) for change in changes)
            full = len(self._held) > MOST
        if full:
            self._flush(0.0)

    def _run(self) -> None:
        while not self._done.wait(LOOK):
            try:
                self._flush(self._hold)
            except BaseException as error:
                self._failed = error
                return

    def _flush(self, hold: float) -> None:
        """Pass all of them on, once the first has been held for `hold` seconds: what came later may belong before it."""
        with self._lock:
            if not self._held or time.monotonic() - self._held[0][0] < hold:
                return
            given = [change for _, change in self._held]
            self._held.clear()
            self._give(given)
