"""Many forest runners on one engine: what they cost idle, and how fast a completion is answered under a steady load.

Beside it a bare grpc.aio server, with the same runners and the same rate, which answers from constants. A runner loses its release
where the answer to CompleteRelease does not come, so that is the answer that counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil

from benchmarks import forest_watch
from benchmarks.bare_forest import CONTENT
from benchmarks.http import server
from benchmarks.memory import pss
from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.ports import ViewFilter
from re_core.rows import StoredPlaybook
from re_core.usecases.artifact_pushing import Bounds, Wanted, push_files
from re_core.usecases.authorization import Binding, Principal

#: milliseconds within which a completion is to be answered
IN_TIME = 50.0

#: deployments without a release before anything is measured
WARMING = 20

#: seconds that a release takes at its runner
WORK = 0.04

#: seconds after which something is wrong
STUCK = 60.0

#: destination of all releases
DESTINATION = {"name": "dest1", "environment": "dev", "metadata": {"cluster_name": "c1", "namespace": "ns1"}}


class Crowd:
    """The process with the runners."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def report(self) -> dict[str, Any]:
        """What they heard since the last report."""
        assert self._process.stdin
        self._process.stdin.write("report\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._line())
        return found

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


def measure(runners: int, rate: float, seconds: float, idle: float, lines: int) -> dict[str, Any]:
    """So many runners, idle for a while, then so many releases a second for a while; the bare server first.

    And so many lines of one runner until `rectl watch` shows them.
    """
    total = int(rate * seconds)
    return {
        "runners": runners,
        "rate": rate,
        "releases": total,
        "bare": _bare(runners, rate, total, idle),
        **_engine(runners, rate, total, idle),
        "watch": watch(lines),
    }


def watch(lines: int) -> dict[str, Any]:
    """See benchmarks.forest_watch; on an engine of its own with one runner."""
    with _up() as (url, _, directory, address, token):
        return forest_watch.measure(url, directory, address, token, "forest", lines)


def _bare(runners: int, rate: float, total: int, idle: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.bare_forest"]
    with _talking(command) as process:
        assert process.stdin
        assert process.stdout
        address = f"127.0.0.1:{process.stdout.readline().strip()}"
        alone = pss(process.pid)
        with _crowd(address, runners) as crowd:
            found = _idle(process.pid, alone, idle)

            def load() -> None:
                assert process.stdin
                assert process.stdout
                process.stdin.write(f"{total} {rate}\n")
                process.stdin.flush()
                process.stdout.readline()

            return {**found, **_load(process.pid, crowd, total, load)}


def _engine(runners: int, rate: float, total: int, idle: float) -> dict[str, Any]:
    with _up() as (url, pid, directory, address, token):
        _deploy(url, token, "noop", rate, WARMING)  # imports, caches, files
        alone = pss(pid)
        with _crowd(address, runners) as crowd:
            found = _idle(pid, alone, idle)
            found |= _load(pid, crowd, total, lambda: _deploy(url, token, "forest", rate, total))
        return {**found, **_ends(directory, total)}


@contextmanager
def _up() -> Iterator[tuple[str, int, Path, str, str]]:
    """`rectl up` with a gateway: its URL, process and directory, the address for runners, and a token."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _prepare(directory)
        settings = {
            "RE_FOREST_LISTEN": "127.0.0.1:0",
            "RE_FOREST_UNKNOWN_RUNNERS": "accept",
            "RE_MISSING_WORKER": "wait",  # the core hears of a runner a moment after it has registered
        }
        command = [sys.executable, "-m", "re_client", "up", "--quiet"]
        with server(command, directory, settings) as (url, process, _):
            address = (directory / "forest").read_text().strip()
            token = (directory / "token").read_text().strip()
            yield url, process.pid, directory, address, token


def _idle(pid: int, alone: float, seconds: float) -> dict[str, Any]:
    """Memory and CPU of a server whose runners do nothing."""
    before, began = _cpu(pid), time.perf_counter()
    time.sleep(seconds)  # a span of time is what is measured
    took = time.perf_counter() - began
    memory = pss(pid)
    return {
        "idle_cpu_percent": (_cpu(pid) - before) / took * 100,
        "pss_mib": memory,
        "mib_of_the_runners": memory - alone,
    }


def _load(pid: int, crowd: Crowd, total: int, load: Callable[[], None]) -> dict[str, Any]:
    crowd.report()
    before = _cpu(pid)
    load()
    took: list[float] = []
    end = time.monotonic() + STUCK
    while len(took) < total:
        report = crowd.report()
        took += report["completions_ms"]
        if report["dropped"] or report["gone"] or time.monotonic() > end:
            raise RuntimeError(
                f"{len(took)} of {total} releases were completed; {report['dropped']} dropped, {report['gone']} streams ended"
            )
        time.sleep(0.1)
    took.sort()
    return {
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)],
        "max_ms": took[-1],
        "late_percent": sum(one > IN_TIME for one in took) / len(took) * 100,
        "cpu_ms_per_release": (_cpu(pid) - before) / total * 1000,
    }


def _deploy(url: str, token: str, playbook: str, rate: float, total: int) -> None:
    """So many deployments at that rate, whatever becomes of those before."""
    body = {"group": "bench", "playbook_id": playbook}
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(trust_env=False, timeout=STUCK) as http, ThreadPoolExecutor(16) as pool:

        def post() -> None:
            http.post(f"{url}/api/v1/deployments", json=body, headers=headers).raise_for_status()

        began = time.monotonic()
        posts = []
        for number in range(total):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))  # the rate is what is asked for
            posts.append(pool.submit(post))
        for one in posts:
            one.result()


def _ends(directory: Path, total: int) -> dict[str, Any]:
    """From the deployment's beginning to its end, as the store has it."""
    store = SqliteStore(str(directory / "release-engine.db"))
    try:
        rows = store.views(ViewFilter(playbook_id="forest"), total).rows
    finally:
        store.close()
    took = sorted(row.ended - row.created for row in rows if row.status == "completed" and row.ended is not None)
    if len(took) != total:
        raise RuntimeError(f"{len(took)} of {total} deployments are completed")
    return {"whole_p50_ms": took[len(took) // 2], "whole_p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)]}


def _prepare(directory: Path) -> None:
    """An artifact, a playbook with one release of it, and one with a step that does nothing."""
    store, clock = SqliteStore(str(directory / "release-engine.db")), SystemClock()
    files = {
        "deployment": {"dev/dest1/forest/flux@1/a.yaml": CONTENT},
        "spec": {"forest.cue": CONTENT},
    }
    step = {
        "forest:Release": {
            "type": "forest/flux@1",
            "organisation": "acme",
            "project": "shop",
            "destination": DESTINATION,
            "artifact": "shop-1",
        },
        "timeout": 600,
    }
    try:
        root = Principal("bench", (Binding("admin"),))
        push_files(store, clock, root, Wanted("bench", "shop-1", "files", {"slug": "shop-1"}), files, Bounds())
        now = clock.now()
        for name, steps in (("forest", [step]), ("noop", ["noop:A"])):
            document = {"group": "bench", "name": name, "execution": [{"hosts": ["one"], "steps": steps}]}
            store.save_playbook(StoredPlaybook(name, "bench", name, 1, document, now, now, "bench"))
    finally:
        store.close()


@contextmanager
def _crowd(address: str, runners: int) -> Iterator[Crowd]:
    arguments = json.dumps({"address": address, "runners": runners, "seconds": WORK})
    with _talking([sys.executable, "-m", "benchmarks.forest_runners", arguments]) as process:
        assert process.stdout
        if process.stdout.readline().strip() != "connected":
            sys.exit("the runners could not connect")
        yield Crowd(process)


@contextmanager
def _talking(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program that ends with its input."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(STUCK)
            except subprocess.TimeoutExpired:
                process.kill()


def _cpu(pid: int) -> float:
    """Seconds of a process and those under it."""
    process = psutil.Process(pid)
    family = (process, *process.children(recursive=True))
    times = [one.cpu_times() for one in family]
    return sum(one.user + one.system for one in times)
