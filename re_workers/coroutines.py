"""Runs steps that are coroutines, all of a process on one loop. Must not know what they do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from functools import cache
from typing import Any

from re_workers.cancellation import Cancellation


class Stopped(Exception):
    """The coroutine ended because of its cancel."""


def run(coroutine: Coroutine[Any, Any, Any], cancelled: Cancellation) -> Any:
    """What it returns, or raises; the caller's thread waits.

    When `cancelled` is set, its task is cancelled, unless the coroutine awaits `cancelled` itself. Raises Stopped where it then ended.
    """
    future = asyncio.run_coroutine_threadsafe(_guarded(coroutine, cancelled), _loop())
    return future.result()


async def _guarded(coroutine: Coroutine[Any, Any, Any], cancelled: Cancellation) -> Any:
    task = asyncio.ensure_future(coroutine)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not cancelled.is_awaited:
            task.cancel()

    def stop_soon() -> None:
        loop.call_soon_threadsafe(stop)

    cancelled.when_set(stop_soon)
    try:
        return await task
    except asyncio.CancelledError:
        if cancelled.is_set():
            raise Stopped from None
        raise RuntimeError("the coroutine was cancelled, and not by the engine") from None


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Of this process; made when the first coroutine comes."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="coroutines", daemon=True).start()
    return loop
