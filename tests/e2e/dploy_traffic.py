"""Clients of an app in zones, and the proxy before each zone, as docs/how-to/run-zones.md has it. Must not know who releases.

The proxy reads the zone's table of addresses again and again, keeps the last good one, takes one address per connection, and tries no
second one: a request that a release could lose is lost. All of it is one thread.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

#: seconds between two requests of the client of a zone
EVERY = 0.05

#: seconds between two looks at a table
LOOK = 0.2

#: seconds after which a request counts as failed, on a busy machine too
PATIENCE = 30.0

#: names of the tasks that end by themselves
_ASKED, _CONNECTED = "asked", "connected"

#: bytes that are passed on at once
_PIECE = 64 * 1024


_T = TypeVar("_T")


class Front:
    """The proxy of one zone, its client, and what that got."""

    def __init__(self, zone: str, table: Path, app: str) -> None:
        self.zone, self.port = zone, 0
        #: requests that were
        self.answered = 0
        #: the newest answer, and all that there were
        self.last = ""
        self.heard: set[str] = set()
        self.failures: list[str] = []
        self._table, self._app = table, app
        self._addresses: tuple[str, ...] = ()
        self._turn = 0

    async def listen(self) -> asyncio.Server:
        """The proxy, open from now on."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        return server

    @property
    def knows_addresses(self) -> bool:
        """The table that it has read has some."""
        return bool(self._addresses)

    async def follow(self) -> None:
        """Read the table again and again."""
        while True:
            with suppress(OSError, ValueError, KeyError):  # the last good one stays
                self._addresses = tuple(json.loads(self._table.read_text())[self._app]["addresses"])
            await asyncio.sleep(LOOK)

    async def poll(self) -> None:
        """Ask at a steady pace, however long answers take."""
        asked: set[asyncio.Task[None]] = set()
        while True:
            task = asyncio.create_task(self._ask(), name=_ASKED)
            asked.add(task)
            task.add_done_callback(asked.discard)
            await asyncio.sleep(EVERY)

    async def _ask(self) -> None:
        began = time.time()
        try:
            async with asyncio.timeout(PATIENCE):
                self.last = await get(self.port)
        except (OSError, ValueError, TimeoutError) as error:
            took = time.time() - began
            table = " ".join(self._addresses)
            self.failures.append(f"{began:.3f} {self.zone} after {took:.3f} s, table {table}: {error!r}")
            return
        self.answered += 1
        self.heard.add(self.last)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection goes to one address; where that cannot be had, it ends without an answer."""
        current = asyncio.current_task()
        assert current is not None
        current.set_name(_CONNECTED)
        try:
            self._turn += 1
            host, _, port = self._addresses[self._turn % len(self._addresses)].rpartition(":")
            theirs, ours = await asyncio.open_connection(host, int(port))
        except (OSError, ZeroDivisionError) as error:
            self.failures.append(f"{time.time():.3f} {self.zone}, proxy: {error!r}")
            writer.close()
            return
        try:
            await asyncio.gather(_pass(reader, ours), _pass(theirs, writer), return_exceptions=True)
        finally:
            ours.close()
            writer.close()


async def get(port: int, path: str = "/") -> str:
    """What a server on this machine answers. Raises OSError, ValueError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await writer.drain()
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    status = head.partition("\r\n")[0]
    if " 200 " not in status:
        raise ValueError(f"answered {status!r}")
    return body


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


class Traffic:
    """Fronts of all zones. `poll` and `rest` are called once each, `stop` at the end in any case."""

    def __init__(self, tables: Mapping[str, Path], app: str) -> None:
        """`tables`: zone -> its routes.json."""
        self.fronts = {zone: Front(zone, table, app) for zone, table in tables.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="traffic", daemon=True)
        self._thread.start()
        self._servers = [self._wait(front.listen()) for front in self.fronts.values()]
        self._following = [self._begin(front.follow()) for front in self.fronts.values()]
        self._polling: list[Future[None]] = []

    def poll(self) -> None:
        """The app runs everywhere, and the tables say so: from now on each request counts."""
        self._polling = [self._begin(front.poll()) for front in self.fronts.values()]

    def knows_addresses(self) -> bool:
        """Every proxy does."""
        return all(front.knows_addresses for front in self.fronts.values())

    def rest(self) -> None:
        """Ask no more; what was asked is answered, or has failed."""
        for one in self._polling:
            one.cancel()
        self._wait(_others())

    def get(self, zone: str, path: str) -> str:
        """One request more. Raises OSError, ValueError."""
        return self._wait(get(self.fronts[zone].port, path))

    def last(self) -> list[str]:
        """The newest answers, one of each zone."""
        return [front.last for front in self.fronts.values()]

    def failures(self) -> list[str]:
        """Of all zones."""
        return [one for front in self.fronts.values() for one in front.failures]

    def heard(self) -> set[str]:
        """Answers, in all zones."""
        return {one for front in self.fronts.values() for one in front.heard}

    def answered(self) -> int:
        """Requests that were, in all zones."""
        return sum(front.answered for front in self.fronts.values())

    def stop(self) -> None:
        """Ask and serve no more."""
        for one in (*self._polling, *self._following):
            one.cancel()
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _begin(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE * 2)

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        await _others()


async def _others() -> None:
    """Wait for requests and connections that are open."""
    ends = [task for task in asyncio.all_tasks() if task.get_name() in (_ASKED, _CONNECTED)]
    if ends:
        await asyncio.wait(ends, timeout=PATIENCE)
