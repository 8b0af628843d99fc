"""Deployments accepted per second over HTTP, durable when answered, beside a constant route of the same gunicorn."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks import load
from benchmarks.memory import pss

#: seconds until a server must be ready
READY = 20.0

#: how often each is measured
ROUNDS = 3

#: what is posted
BODY = b'{"group": "bench", "playbook_id": "noop"}'

PATH = "/api/v1/deployments"


def measure(connections: int, total: int, steps: int) -> dict[str, Any]:
    """POSTs of a playbook with so many noop steps, and the same number to a constant route, in turn."""
    with tempfile.TemporaryDirectory() as engine, tempfile.TemporaryDirectory() as constant:
        _prepare(Path(engine), steps)
        with (
            server([sys.executable, "-m", "re_client", "up", "--quiet"], Path(engine)) as (url, process, ready),
            constant_route(Path(constant), 1) as bare_url,
        ):
            token = (Path(engine) / "token").read_text().strip()
            row = in_turn(url, token, bare_url, connections, total)
            memory = pss(process.pid)
    return {"steps": steps, "ready_s": ready, "pss_mib": memory, **row}


@contextmanager
def constant_route(directory: Path, workers: int) -> Iterator[str]:
    """The URL of the bare server, with so many processes."""
    with server([sys.executable, "-m", "benchmarks.bare", str(directory), str(workers)], directory) as (url, _, _):
        yield url


def in_turn(url: str, token: str, bare_url: str, connections: int, total: int) -> dict[str, Any]:
    """So many requests to the engine, as many with an Idempotency-Key (as `rectl` sends one), and to the constant route."""
    request, keyed_request = load.post(PATH, BODY, token), load.post(PATH, BODY, token, keyed=True)
    bare_request = load.post(PATH, BODY)
    ours, keyed, bare = [], [], []
    for count in (100, *[total] * ROUNDS):
        ours.append(load.drive(url, request, connections, count))
        keyed.append(load.drive(url, keyed_request, connections, count))
        bare.append(load.drive(bare_url, bare_request, connections, count))
    return {
        "connections": connections,
        "posts": total,
        **_middle(ours[1:]),
        "failed": sum(one["failed"] for one in ours + keyed),
        "keyed": _middle(keyed[1:]),
        "bare": _middle(bare[1:]),
    }


def _middle(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The round whose rate is the median."""
    return sorted(rounds, key=lambda one: float(one["per_second"]))[len(rounds) // 2]


def _prepare(directory: Path, steps: int) -> None:
    from benchmarks.flow import store_playbook
    from re_core.adapters.sqlite import SqliteStore

    store = SqliteStore(str(directory / "release-engine.db"))
    store_playbook(store, "noop", True, steps)
    store.close()


@contextmanager
def server(
    command: list[str], directory: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[str, subprocess.Popen[bytes], float]]:
    """Its URL, its process, and the seconds after which it was ready."""
    environ = {
        "RE_DATA_DIR": str(directory),
        "RE_HTTP": "127.0.0.1:0",
        "RE_LOG_LEVEL": "warning",
        "PATH": "/usr/bin:/bin",
        **settings,
    }
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ)
    try:
        yield _await(directory / "url", process), process, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _await(path: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + READY
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the server did not become ready (exit code {process.poll()})")
        time.sleep(0.02)
    return path.read_text().strip()
