"""Deployments accepted per second by re-rest and re-core as processes of their own, beside a constant route of the same gunicorn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.cluster import cluster, memory_of, processes_of
from benchmarks.http import BODY, PATH, constant_route, in_turn
from benchmarks.servers import Servers
from benchmarks.usage import cpu_seconds
from re_core import bootstrap
from tests.cluster.cluster import Cluster


def measure(servers: Servers, connections: int, total: int, steps: int) -> dict[str, Any]:
    """POSTs of a playbook with so many noop steps, and the same number to a constant route, in turn."""
    began = time.perf_counter()
    with cluster(servers, cores=1, repeatable=True, steps=steps) as made, tempfile.TemporaryDirectory() as constant:
        ready = time.perf_counter() - began
        url, token = made.url(), made.token()
        request = load.post(PATH, BODY, token)
        with constant_route(Path(constant), made.settings().http_workers) as bare_url:
            row = in_turn(url, token, bare_url, connections, total)
        used = _cpu(made, lambda: load.drive(url, request, connections, total))
        used_by_one = {name: seconds / total * 1000 for name, seconds in used.items()}
        return {"steps": steps, "ready_s": ready, "pss_mib": memory_of(made), "cpu_ms_per_post": used_by_one, **row}


def _cpu(made: Cluster, do: Callable[[], object]) -> dict[str, float]:
    """CPU seconds by part, also for what goes on after the last answer."""
    members = processes_of(made)
    before = cpu_seconds(members)
    do()
    _await_ends(made)
    after = cpu_seconds(members)
    return {name: after[name] - before.get(name, 0) for name in after}


def _await_ends(made: Cluster) -> None:
    with closing(bootstrap.open_store(made.settings())) as store:
        while store.active():
            time.sleep(0.2)
