"""dploylib beside bare pyzmq: round trips of an echo, a broadcast to many subscribers, and the stop of a service.

Both servers are processes of their own and serve the same bare client, in turn. Round trips are measured one at a time, so each pays for
two changes between processes; the CPU time of the servers is theirs alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import psutil
import zmq

from benchmarks.zeromq_server import Echo
from dploylib.clients.base import BaseRequestClient
from dploylib.services import Service
from dploylib.transport import Context

KINDS = ("bare", "dploylib")
FRAMES = [b"", b"text/plain", b"hello, this is a line of output of a build"]
#: milliseconds after which a benchmark has failed
LONGEST = 60_000

#: round trips with one server before it is the other's turn
HUNDRED = 100


class _Line:
    """What the client of dploylib asks."""

    def serialize(self) -> str:
        return FRAMES[2].decode()


class _Client(BaseRequestClient):
    timeout = LONGEST


class _Server:
    """One of the two, and what it uses."""

    def __init__(self, kind: str, directory: str) -> None:
        self.echo, into, self.out = (f"ipc://{directory}/{kind}-{word}" for word in ("echo", "in", "out"))
        command = [sys.executable, "-m", "benchmarks.zeromq_server", kind, self.echo, into, self.out]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.into = into

    def cpu(self) -> float:
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()


def measure(round_trips: int, rounds: int, subscribers: int, messages: int, stops: int) -> dict[str, Any]:
    """All three; the middle of each figure's rounds, the two servers in turn."""
    with tempfile.TemporaryDirectory() as directory, _servers(directory) as running, Context.new() as context:
        echo = _echoes(running, context, round_trips)
        asked = _asked(running["dploylib"], context, round_trips)
        sent = [
            {kind: _broadcast(running[kind], context, subscribers, messages) for kind in KINDS} for _ in range(rounds)
        ]
    return {
        **echo,
        "asked_per_second": asked,
        "subscribers": subscribers,
        "broadcast": {kind: _middle([one[kind] for one in sent]) for kind in KINDS},
        "broadcast_ratio": median(one["dploylib"]["per_second"] / one["bare"]["per_second"] for one in sent),
        "stop_ms": {"idle": _stops(stops, 0), "under load": _stops(stops, 4)},
    }


@contextmanager
def _servers(directory: str) -> Iterator[dict[str, _Server]]:
    running: dict[str, _Server] = {}
    try:
        for kind in KINDS:
            running[kind] = _Server(kind, directory)
        yield running
    finally:
        for server in running.values():
            server.end()


def _middle(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(row[key] for row in rows) for key in rows[0]}


def _echoes(running: dict[str, _Server], context: Context, count: int) -> dict[str, Any]:
    """Round trips of a bare client in hundreds, the two servers in turn, so that both meet the same other work of the machine.

    Microseconds of one: the middle hundred, and the quickest; µs of the server's CPU. The ratio is the middle one of the pairs.
    """
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    cpu = {kind: server.cpu() for kind, server in running.items()}
    with context.zmq_context.socket(zmq.REQ) as one, context.zmq_context.socket(zmq.REQ) as other:
        sockets = dict(zip(KINDS, (one, other), strict=True))
        for kind, socket in sockets.items():
            socket.connect(running[kind].echo)
            _round_trips(socket, HUNDRED)
        for _ in range(count // HUNDRED):
            for kind, socket in sockets.items():
                began = time.perf_counter()
                _round_trips(socket, HUNDRED)
                took[kind].append((time.perf_counter() - began) / HUNDRED * 1e6)
    return {
        "echo": {
            kind: {
                "per_second": 1e6 / median(took[kind]),
                "quickest_per_second": 1e6 / min(took[kind]),
                "cpu_us": (running[kind].cpu() - cpu[kind]) / (count + HUNDRED) * 1e6,
            }
            for kind in KINDS
        },
        "echo_ratio": median(bare / ours for bare, ours in zip(took["bare"], took["dploylib"], strict=True)),
        "quickest_ratio": min(took["bare"]) / min(took["dploylib"]),
    }


def _round_trips(socket: zmq.Socket[bytes], count: int) -> None:
    for _ in range(count):
        socket.send_multipart(FRAMES)
        assert socket.recv_multipart() == FRAMES


def _asked(server: _Server, context: Context, count: int) -> float:
    """Round trips a second of dploylib's client."""
    with _Client(server.echo, context) as client:
        client.connect()
        line = _Line()
        began = time.perf_counter()
        for _ in range(count):
            client.request(line)
        return count / (time.perf_counter() - began)


def _broadcast(server: _Server, context: Context, subscribers: int, messages: int) -> dict[str, float]:
    """Deliveries a second to all subscribers together, and µs of the server's CPU for each."""
    raw = context.zmq_context
    sockets = [raw.socket(zmq.SUB) for _ in range(subscribers)]
    with raw.socket(zmq.PUSH) as push:
        push.set_hwm(0)
        push.connect(server.into)
        for socket in sockets:
            socket.set_hwm(0)
            socket.subscribe(b"")
            socket.connect(server.out)
        _until_all_hear(push, sockets)
        cpu, began = server.cpu(), time.perf_counter()
        for _ in range(messages):
            push.send_multipart(FRAMES)
        for socket in sockets:
            for _ in range(messages):
                assert socket.recv_multipart() == FRAMES
        seconds, used = time.perf_counter() - began, server.cpu() - cpu
    for socket in sockets:
        socket.close()
    deliveries = subscribers * messages
    return {"per_second": deliveries / seconds, "cpu_us": used / deliveries * 1e6}


def _until_all_hear(push: zmq.Socket[bytes], sockets: list[zmq.Socket[bytes]]) -> None:
    """Every subscription has arrived once one message of the last round reached all; then nothing is on its way."""
    for number in range(1000):
        probe = [b"", b"probe", str(number).encode()]
        push.send_multipart(probe)
        time.sleep(0.02)
        if all(_drained(socket) == probe for socket in sockets):
            return
    raise AssertionError("the subscriptions do not arrive")


def _drained(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    last = None
    while socket.poll(0 if last else 100):
        last = socket.recv_multipart()
    return last


def _stops(count: int, clients: int) -> dict[str, float]:
    """Milliseconds that the stop of a service of ten servers takes, its sockets closed: the middle one and the longest."""
    names = [f"echo{number}" for number in range(10)]
    service, took = Service(), []
    for name in names:
        service.add_server(name, Echo)
    with tempfile.TemporaryDirectory() as directory:
        config = {name: {"request": {"uri": f"ipc://{directory}/{name}"}} for name in names}
        for _ in range(count):
            service.start(config_dict={"servers": config})
            service.wait_ready()
            with _load([config[name]["request"]["uri"] for name in names[:clients]]):
                began = time.perf_counter()
                assert service.stop(LONGEST / 1000)
                took.append((time.perf_counter() - began) * 1000)
    return {"p50": median(took), "longest": max(took)}


@contextmanager
def _load(uris: list[str]) -> Iterator[None]:
    """Clients that ask without a pause, one at each address, while the block runs."""
    ended, asked = threading.Event(), threading.Semaphore(0)

    def ask(uri: str) -> None:
        with zmq.Context() as context, context.socket(zmq.REQ) as socket:
            socket.linger = 0
            socket.connect(uri)
            while not ended.is_set():
                socket.send_multipart(FRAMES)
                while not ended.is_set() and not socket.poll(10):
                    pass
                if not ended.is_set():
                    socket.recv_multipart()
                    asked.release()

    threads = [threading.Thread(target=ask, args=(uri,)) for uri in uris]
    for thread in threads:
        thread.start()
    for _ in uris:
        asked.acquire()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
