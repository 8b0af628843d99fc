"""The feed under load: how many of the events reach every listener, how late, and what listeners cost the engine.

python -m benchmarks.feed [--listeners 50] [--rate 1000] [--seconds 10]

`rectl up` carries out deployments of noop steps at a paced rate. Each listener is a connection of its own that reads the whole feed, and is
cut once at a random moment: it goes on behind the last event that it has read. The same load without listeners comes first.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from benchmarks.flow import store_playbook
from benchmarks.http import BODY, PATH, server
from re_core.adapters.sqlite import SqliteStore

#: steps of each deployment; it tells of its acceptance and its end besides
STEPS = 10
EVENTS = STEPS + 2

#: connections that post, and seconds after the last post in which the last event must come
POSTERS, LAST = 8, 60.0

#: bytes that a connection reads at once
_READ = 256 * 1024


class Listener:
    """One connection, and what has come over it."""

    def __init__(self, address: tuple[str, int], token: str, cut: float) -> None:
        """`cut`: when it is cut, seconds of the monotonic clock."""
        self._address, self._token = address, token
        self.cut = cut
        self.cuts = 0
        self.last = ""
        self.ids: list[str] = []
        self.late: list[float] = []
        self._rest = b""
        self.socket = self._connect()

    def again(self) -> None:
        """Cut, in the middle of whatever was on its way, and go on."""
        self.socket.close()
        self.cut, self.cuts = float("inf"), self.cuts + 1
        self.socket = self._connect()

    def read(self) -> None:
        """What has come."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("the engine has closed a stream")
        now = time.time()
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if b": " in line and line[:1] != b":")
            # a chunk of HTTP may begin before the id; what is cut in two waits for its end
            if b"id" in fields:
                self.last = fields[b"id"].decode()
            if b"data" in fields and b"event" not in fields:
                event = json.loads(fields[b"data"])
                self.ids.append(event["id"])
                self.late.append(now - datetime.fromisoformat(event["time"]).timestamp())

    def _connect(self) -> socket.socket:
        self._rest = b""
        connection = socket.create_connection(self._address)
        lines = ["GET /api/v1/events HTTP/1.0", "Host: bench", f"Authorization: Bearer {self._token}"]
        if self.last:
            lines.append(f"Last-Event-ID: {self.last}")
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        # the first event says where the stream begins
        while b"\n\n" not in self._rest:
            self._rest += connection.recv(_READ)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(head.decode())
        return connection


def measure(listeners: int, rate: int, seconds: float) -> dict[str, Any]:
    """One run with so many listeners, at so many events a second."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        store = SqliteStore(str(directory / "release-engine.db"))
        store_playbook(store, "noop", True, STEPS)
        store.close()
        threads = {"RE_HTTP_THREADS": str(max(64, listeners * 2))}
        with server([sys.executable, "-m", "re_client", "up", "--quiet"], directory, threads) as (url, process, _):
            token = (directory / "token").read_text().strip()
            parts = urlsplit(url)
            address = (parts.hostname or "", parts.port or 80)
            begin = time.monotonic()
            ears = [Listener(address, token, begin + random.uniform(0.2, 0.8) * seconds) for _ in range(listeners)]
            engine = psutil.Process(process.pid)
            before = _cpu(engine)
            total = max(1, int(rate * seconds / EVENTS))
            with _posting(address, token, total, rate / EVENTS) as posted:
                _listen(ears, total * EVENTS, posted)
            took = time.monotonic() - begin
            used = _cpu(engine) - before
    return _row(ears, total * EVENTS, took, used)


def _row(ears: list[Listener], events: int, took: float, used: float) -> dict[str, Any]:
    late = sorted(one for ear in ears for one in ear.late) or [0.0]
    everything = set(ears[0].ids) if ears else set()
    return {
        "listeners": len(ears),
        "events": events,
        "per_second": events / took,
        "delivered_per_second": sum(len(ear.ids) for ear in ears) / took,
        "missing": sum(len(everything - set(ear.ids)) + events - len(everything) for ear in ears),
        "doubles": sum(len(ear.ids) - len(set(ear.ids)) for ear in ears),
        "out_of_order": sum(ear.ids != ears[0].ids for ear in ears),
        "cuts": sum(ear.cuts for ear in ears),
        "p50_ms": late[len(late) // 2] * 1000,
        "p99_ms": late[len(late) * 99 // 100] * 1000,
        "cpu_us_per_event": used / events * 1e6,
    }


def _listen(ears: list[Listener], wanted: int, posted: threading.Event) -> None:
    """Until every listener has all of it, or nothing more can be expected; without listeners, until all is posted."""
    selector = selectors.DefaultSelector()
    for ear in ears:
        selector.register(ear.socket, selectors.EVENT_READ, ear)
    end = float("inf")
    while any(len(ear.ids) < wanted for ear in ears) and time.monotonic() < end:
        if posted.is_set() and end == float("inf"):
            end = time.monotonic() + LAST
        for key, _ in selector.select(0.1):
            key.data.read()
        for ear in ears:
            if time.monotonic() >= ear.cut:
                selector.unregister(ear.socket)
                ear.again()
                selector.register(ear.socket, selectors.EVENT_READ, ear)
    posted.wait()
    for ear in ears:
        ear.socket.close()


@contextmanager
def _posting(address: tuple[str, int], token: str, total: int, per_second: float) -> Iterator[threading.Event]:
    """Posts at that pace meanwhile; the event is set when all were answered."""
    done, numbers, lock = threading.Event(), iter(range(total)), threading.Lock()
    begin, answered = time.monotonic(), 0

    def run() -> None:
        nonlocal answered
        connection = HTTPConnection(*address)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            connection.request("POST", PATH, BODY, headers)
            connection.getresponse().read()
            with lock:
                answered += 1
                if answered == total:
                    done.set()
        connection.close()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(POSTERS)]
    for thread in threads:
        thread.start()
    yield done
    for thread in threads:
        thread.join()


def _cpu(process: psutil.Process) -> float:
    family = (process, *process.children(recursive=True))
    return sum(sum(one.cpu_times()[:2]) for one in family)


def main() -> None:
    """Measure without listeners and with them, and print both."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feed", description=__doc__)
    parser.add_argument("--listeners", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0)
    wanted = parser.parse_args()
    rows = [measure(count, wanted.rate, wanted.seconds) for count in (0, wanted.listeners)]
    for name in rows[0]:
        print(f"{name:<22}", *(f"{row[name]:>12,.1f}".replace(",", " ") for row in rows))
    ratio = rows[1]["cpu_us_per_event"] / rows[0]["cpu_us_per_event"]
    print(f"{'CPU, ratio':<22} {'':>12} {ratio:>12.2f}")
    if rows[1]["missing"] or rows[1]["doubles"] or rows[1]["out_of_order"]:
        sys.exit("the feed has lost, repeated or reordered events")


if __name__ == "__main__":
    main()
