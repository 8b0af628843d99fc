"""That a step shall stop: an event for threads, which a coroutine may await. Must not know steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Cancellation(threading.Event):
    """Set once. `await` returns when it is set."""

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._calls: list[Callable[[], None]] = []
        #: a coroutine awaits it, or has: what it does at a cancel is its own affair
        self.is_awaited = False

    def set(self) -> None:
        """As of every event; what waits for it goes on."""
        with self._guard:
            super().set()
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def when_set(self, call: Callable[[], None]) -> None:
        """Have it called once, on the thread that sets the event; at once where it is set."""
        with self._guard:
            if not self.is_set():
                self._calls.append(call)
                return
        call()

    def __await__(self) -> Generator[object, None, None]:
        """In a coroutine: wait until it is set."""
        self.is_awaited = True
        return self._wait().__await__()

    async def _wait(self) -> None:
        import asyncio  # most workers have no coroutine

        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            loop.call_soon_threadsafe(_finish, future)

        self.when_set(wake)
        await future


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
