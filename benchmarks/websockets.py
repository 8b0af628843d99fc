"""Ways to serve many WebSockets from gunicorn's threaded worker, measured side by side (docs/decisions/0030).

python -m benchmarks.websockets [--connections 0,200,500] [--idle 20] [WAY …]

Each way is a small application in a process of its own: `/healthz`, the WebSocket `/cdpm`, and `POST /send`, which signs a text of 2 KiB
for every connection and sends it. The clients live in this process.

    pool      A   a thread of gunicorn's pool for each connection
    asyncio   B   the asyncio server of `websockets` on a port of its own, in a thread of the worker
    thread    C   taken from gunicorn, a thread for each connection
    loop      C'  taken from gunicorn, one thread that waits for all, and four that sign
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import selectors
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import psutil
from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_asyncio

from benchmarks.http import server
from benchmarks.memory import pss
from re_core.adapters.peering.channel import SocketChannel, serve
from re_core.adapters.peering.jws import JoseSignatures, new_key
from re_core.errors import TransientError
from re_core.ports.peering import Claims
from re_rest.cdpm import STILL, TakenOver
from re_rest.gunicorn_master import Master, url_of
from re_rest.pacing import PacedSocket
from re_rest.streaming import StreamingWorker

#: what is signed and sent
TEXT = b"{" + b'"a":"' + b"x" * 2036 + b'"}'

#: rounds of a release, and connections that do not read in the last of them
ROUNDS, LAZY = 5, 20

#: requests by which it is measured whether others are served
PROBES = 300

LONG = 60.0

Way = Callable[["Served"], None]


class Served:
    """One way, in its process."""

    def __init__(self, way: str, directory: Path) -> None:
        self.app = Flask(__name__)
        self.directory = directory
        self.lock = threading.Lock()
        self.signatures, self._key = JoseSignatures(), new_key()
        #: sends to all
        self.send: Callable[[], None] = lambda: None
        self.app.add_url_rule("/healthz", view_func=lambda: "alive", endpoint="healthz")
        self.app.add_url_rule("/send", view_func=self._on_send, methods=["POST"], endpoint="send")
        WAYS[way](self)

    def signed(self) -> str:
        claims = Claims("https://a.example/cdpm.yml", "https://b.example/cdpm.yml", int(time.time() * 1000), "j")
        return self.signatures.sign(TEXT, claims, self._key.private)

    def socket_route(self, view: Callable[[], Response]) -> None:
        self.app.add_url_rule("/cdpm", view_func=view, endpoint="cdpm", websocket=True)

    def _on_send(self) -> str:
        self.send()
        return "sent"


def _taken() -> SocketChannel:
    connection = cast(PacedSocket, request.environ["gunicorn.socket"])
    taken = PacedSocket.of(connection, lambda: STILL)
    return serve(taken, dict(request.headers))


class _Member:
    """A connection with a thread of some kind."""

    def __init__(self, channel: SocketChannel) -> None:
        self.channel, self.due = channel, 0

    def run(self, served: Served) -> None:
        sent = 0
        try:
            while True:
                self.channel.take(LONG)
                while sent < self.due:
                    sent += 1
                    self.channel.send(served.signed())
        except TransientError:
            self.channel.close(1000, "")


def _threads(served: Served, start: Callable[[_Member], None]) -> None:
    members: list[_Member] = []

    def accept() -> Response:
        member = _Member(_taken())
        with served.lock:
            members.append(member)
        start(member)
        return TakenOver(status=101)

    def send() -> None:
        for member in members:
            member.due += 1
            member.channel.wake()

    served.send = send
    served.socket_route(accept)


def pool(served: Served) -> None:
    """A."""
    _threads(served, lambda member: member.run(served))


def thread(served: Served) -> None:
    """C."""
    _threads(served, lambda member: threading.Thread(target=member.run, args=(served,), daemon=True).start())


def loop(served: Served) -> None:
    """C'."""
    selector = selectors.DefaultSelector()
    channels: list[SocketChannel] = []
    pool = ThreadPoolExecutor(4)

    def accept() -> Response:
        channel = _taken()
        with served.lock:
            channels.append(channel)
            selector.register(channel._socket, selectors.EVENT_READ, channel)
        return TakenOver(status=101)

    def run() -> None:
        while True:
            for key, _ in selector.select(0.5):
                try:
                    key.data.take(0)
                except TransientError:
                    selector.unregister(key.fileobj)
                    channels.remove(key.data)

    def send() -> None:
        for channel in list(channels):
            pool.submit(lambda channel=channel: channel.send(served.signed()))  # type: ignore[misc]

    served.send = send
    threading.Thread(target=run, daemon=True).start()
    served.socket_route(accept)


def asyncio_server(served: Served) -> None:
    """B."""
    connections: set[ServerConnection] = set()
    turning = asyncio.new_event_loop()

    async def accept(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            async for _ in connection:
                pass
        finally:
            connections.discard(connection)

    async def listen() -> None:
        logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
        listening = await serve_asyncio(accept, "127.0.0.1", 0, subprotocols=["cdpm"], compression=None)  # type: ignore[list-item]
        port = next(iter(listening.sockets)).getsockname()[1]
        (served.directory / "port").write_text(str(port))

    async def send_all() -> None:
        async def one(connection: ServerConnection) -> None:
            await connection.send(await asyncio.to_thread(served.signed))

        await asyncio.gather(*map(one, list(connections)), return_exceptions=True)

    def run() -> None:
        asyncio.set_event_loop(turning)
        turning.run_until_complete(listen())
        turning.run_forever()

    served.send = lambda: asyncio.run_coroutine_threadsafe(send_all(), turning).result(LONG)
    threading.Thread(target=run, daemon=True).start()


WAYS: dict[str, Way] = {"pool": pool, "asyncio": asyncio_server, "thread": thread, "loop": loop}


class _Server(BaseApplication):
    """gunicorn with one worker of ours."""

    def __init__(self, way: str, directory: Path, threads: int) -> None:
        self._way, self._directory, self._threads = way, directory, threads
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": "127.0.0.1:0",
            "worker_class": StreamingWorker,
            "threads": self._threads,
            "worker_connections": 2000,
            "keepalive": 30,
            "timeout": 0,
            "graceful_timeout": 5,
            "control_socket_disable": True,
            "loglevel": "critical",
            "post_worker_init": self._ready,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return Served(self._way, self._directory).app.wsgi_app

    def _ready(self, worker: Any) -> None:
        if self._way == "asyncio":
            while not (self._directory / "port").exists():
                time.sleep(0.01)
        (self._directory / "url").write_text(url_of(worker.sockets))


# -- the other side ----------------------------------------------------------------------------------


def measure(way: str, connections: int, idle: float) -> dict[str, Any]:
    """One way with so many connections."""
    # the pool has a thread for each, or it would serve only as many as it has
    threads = connections + 16 if way == "pool" else 64
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        command = [sys.executable, "-m", "benchmarks.websockets", "--serve", way, str(directory), str(threads)]
        with server(command, directory) as (url, process, _):
            engine = psutil.Process(process.pid)
            port = directory / "port"
            address = (
                f"ws://127.0.0.1:{port.read_text()}/cdpm" if port.exists() else f"ws{url.removeprefix('http')}/cdpm"
            )
            row = asyncio.run(_drive(url, address, engine, connections, idle))
            began = time.perf_counter()
            process.terminate()
            process.wait(LONG)
            row["stop_s"] = time.perf_counter() - began
    return {"way": way, "connections": connections, **row}


async def _drive(url: str, address: str, engine: psutil.Process, count: int, idle: float) -> dict[str, Any]:
    clients: list[ClientConnection] = []
    for _ in range(count):
        clients.append(await connect(address, subprotocols=["cdpm"], proxy=None, ping_interval=25))  # type: ignore[list-item]
    await asyncio.sleep(1)
    row: dict[str, Any] = {"pss_mib": pss(engine.pid), "threads": _most_threads(engine)}
    before = _cpu(engine)
    await asyncio.sleep(idle)
    row["idle_percent"] = (_cpu(engine) - before) / idle * 100
    row["healthz_p99_ms"] = await asyncio.to_thread(_probe, url)
    row["last_ms"] = sorted([await _round(url, clients) for _ in range(ROUNDS)])[ROUNDS // 2] if count else 0.0
    for client in clients[:LAZY]:
        client.transport.pause_reading()
    row["lazy_ms"] = sorted([await _round(url, clients[LAZY:]) for _ in range(ROUNDS)])[ROUNDS // 2] if count else 0.0
    for client in clients:
        client.transport.abort()
    return row


async def _round(url: str, clients: list[ClientConnection]) -> float:
    """Milliseconds until the last has it."""
    receiving = [asyncio.create_task(client.recv()) for client in clients]
    begun = time.perf_counter()
    await asyncio.to_thread(lambda: urlopen(Request(f"{url}/send", b""), timeout=LONG).close())  # noqa: S310
    await asyncio.wait_for(asyncio.gather(*receiving), LONG)
    return (time.perf_counter() - begun) * 1000


def _probe(url: str) -> float:
    times = []
    for _ in range(PROBES):
        begun = time.perf_counter()
        urlopen(f"{url}/healthz", timeout=LONG).close()  # noqa: S310
        times.append((time.perf_counter() - begun) * 1000)
    return sorted(times)[PROBES * 99 // 100]


def _cpu(engine: psutil.Process) -> float:
    return float(sum(sum(one.cpu_times()[:2]) for one in (engine, *engine.children(recursive=True))))


def _most_threads(engine: psutil.Process) -> int:
    return int(max(one.num_threads() for one in (engine, *engine.children(recursive=True))))


def main() -> None:
    """A table of all ways."""
    if sys.argv[1:2] == ["--serve"]:
        _, _, way, directory, threads = sys.argv
        Master(_Server(way, Path(directory), int(threads))).run()
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", default="0,200,500")
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("ways", nargs="*", default=[*WAYS], metavar="WAY")
    asked = parser.parse_args()
    table = Table(title="WebSockets of one process")
    for name in (
        "",
        "connections",
        "PSS MiB",
        "threads",
        "idle CPU %",
        "/healthz p99 ms",
        "last ms",
        "20 lazy ms",
        "stop s",
    ):
        table.add_column(name, justify="right")
    for way in asked.ways:
        for count in map(int, asked.connections.split(",")):
            row = measure(way, count, asked.idle)
            cells = [f"{row[key]:.1f}" for key in ("idle_percent", "healthz_p99_ms", "last_ms", "lazy_ms", "stop_s")]
            table.add_row(way, str(count), f"{row['pss_mib']:.0f}", str(row["threads"]), *cells)
            print(row, flush=True)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
