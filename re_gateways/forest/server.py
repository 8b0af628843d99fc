"""The gRPC server and its event loop, on a thread of their own. Must not know the service that it serves.

Runners speak plaintext HTTP/2 and never ping: a frozen one is noticed by the pings of this server.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc

from re_core.errors import BadSettings

#: milliseconds without anything from a connection before it is pinged, and within which that is to be answered
KEEPALIVE, PING_TIMEOUT = 5_000, 3_000

#: calls of one connection at once: a runner has one stream, and one of logs and one call per release
MOST_STREAMS = 64

#: bytes of one message: a plan may be long, and a completion that is refused for its size is lost
MAX_MESSAGE = 8 * 1024 * 1024

#: seconds that one of its calls may take at a stop
GRACE = 2.0

#: seconds between two readings of the clock, and without any above which this process has paused
PULSE, PAUSED = 0.5, 2.0

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", MOST_STREAMS),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.keepalive_time_ms", KEEPALIVE),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Server:
    """One server. `start` and `stop` are called once each."""

    def __init__(self, listen: str, most_calls: int, time: Callable[[], float], pulse: float = PULSE) -> None:
        """`most_calls`: of all connections at once. `time`: seconds of a steady clock."""
        self._listen, self._most, self._time, self._pulse = listen, most_calls, time, pulse
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="forest", daemon=True)
        self._server: grpc.aio.Server | None = None
        self._pulses: asyncio.Task[None] | None = None
        self._beat = self._calm = time()

    def start(self, handlers: grpc.GenericRpcHandler) -> int:
        """Listen and serve; the port. Raises BadSettings where that cannot be."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        try:
            return self.run(self._start(handlers))
        except BaseException:
            self._end()
            raise

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Take no more calls, give those that are open a little time, run `last`, end."""
        try:
            self.run(self._stop(last))
        finally:
            self._end()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """On the loop; from another thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @property
    def alive(self) -> bool:
        """The loop turns."""
        return self._thread.is_alive()

    def calm(self) -> float:
        """Since when the loop has turned without a pause: what arrives has been read since then."""
        now = self._time()
        return now if now - self._beat > PAUSED else self._calm

    async def _start(self, handlers: grpc.GenericRpcHandler) -> int:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=self._most)
        server.add_generic_rpc_handlers((handlers,))
        try:
            port = server.add_insecure_port(self._listen)
        except RuntimeError as error:
            raise BadSettings(f"the gateway of forest cannot listen on {self._listen}: {error}") from None
        if not port:
            raise BadSettings(f"the gateway of forest cannot listen on {self._listen}: is the address in use?")
        self._server = server
        await server.start()
        self._pulses = asyncio.ensure_future(self._beats())
        return port

    async def _stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._server is not None:
            await last()
            await self._server.stop(GRACE)
        if self._pulses is not None:
            self._pulses.cancel()

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._pulse)
            now = self._time()
            if now - self._beat > PAUSED:
                self._calm = now
                _log.debug("the gateway paused", extra={"action": "paused"})
            self._beat = now

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._close()

    def _close(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _end(self) -> None:
        self._server = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
