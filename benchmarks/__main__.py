"""`make bench`: every figure beside its bare limit, as a table and as JSON in benchmarks/results/.

python -m benchmarks [flow] [http] [flat] [hosts] [forest] [dploylib] [cdpm] [cluster] [cluster-http] [--quick]

The last two need RabbitMQ and a MongoDB server, `hosts` an OpenSSH server, `forest` needs gRPC, `dploylib` pyzmq and `cdpm` its extra;
what cannot be had is left out with a word.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import bare, cluster, cluster_http, flat, hosts, http, tables
from benchmarks.child import call
from benchmarks.servers import Servers, servers
from tests.services.unavailable import Unavailable

RESULTS = Path(__file__).parent / "results"

#: deployments in flight -> deployments in all
LOADS = {1: 100, 100: 2000, 1000: 4000}

#: cores, deployments in flight, deployments of each round
CLUSTERS = ((1, 1, 30), (1, 100, 500), (2, 100, 500))

#: forest runners, releases a second, seconds of that, seconds of doing nothing, lines until `rectl watch` shows them
FOREST = (300, 20.0, 60.0, 30.0, 20)
QUICK_FOREST = (50, 20.0, 5.0, 5.0, 5)

#: round trips of an echo, rounds, subscribers, messages to each, stops of a service
DPLOYLIB = (10_000, 5, 100, 1000, 100)
QUICK_DPLOYLIB = (1000, 3, 100, 100, 10)

#: dependents of a pipeline, seconds of doing nothing, and how many of them do not read
CDPM = (200, 60.0, 20)
QUICK_CDPM = (50, 5.0, 5)

#: commands, connections, commands at once, rounds
HOSTS = (200, 50, 50, 5)
QUICK_HOSTS = (50, 10, 25, 1)

EMBEDDED = ("flow", "http", "flat", "hosts", "forest", "dploylib", "cdpm")
SEPARATE = ("cluster", "cluster-http")


def main() -> None:
    """Run what is named, or all of it."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")] or [*EMBEDDED, *SEPARATE]
    if unknown := [word for word in words if word not in (*EMBEDDED, *SEPARATE)]:
        sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join((*EMBEDDED, *SEPARATE))}")
    quick = "--quick" in sys.argv
    figures: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "at": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "load_before": os.getloadavg()[0],
    }
    console = Console(width=None if sys.stdout.isatty() else 160)
    _embedded(words, quick, figures, console)
    if any(word in SEPARATE for word in words):
        try:
            with servers() as found:
                _separate(words, quick, figures, console, found)
        except Unavailable as reason:
            console.print(f"left out: {', '.join(word for word in words if word in SEPARATE)} ({reason})")
    if figures["load_before"] > 1:
        console.print(
            f"other work ran on this machine: its load was {figures['load_before']:.1f} before the first benchmark"
        )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _embedded(words: Iterable[str], quick: bool, figures: dict[str, Any], console: Console) -> None:
    if "flow" in words:
        figures["flow"] = _flow(quick)
        console.print(tables.flow(figures["flow"]))
    if "http" in words:
        figures["http"] = [http.measure(16, 300 if quick else 3000, steps) for steps in (1, 10)]
        console.print(tables.http(figures["http"]))
    if "flat" in words:
        figures["flat"] = flat.measure(2000 if quick else 100_000, 100, 300 if quick else 2000)
        console.print(tables.flat(figures["flat"]))
    if "hosts" in words:
        _hosts(quick, figures, console)
    if "forest" in words:
        _forest(quick, figures, console)
    if "dploylib" in words:
        _dploylib(quick, figures, console)
    if "cdpm" in words:
        _cdpm(quick, figures, console)


def _hosts(quick: bool, figures: dict[str, Any], console: Console) -> None:
    try:
        figures["hosts"] = hosts.measure(*(QUICK_HOSTS if quick else HOSTS))
    except Unavailable as reason:
        console.print(f"left out: hosts ({reason})")
        return
    console.print(tables.hosts(figures["hosts"]))


def _forest(quick: bool, figures: dict[str, Any], console: Console) -> None:
    if find_spec("grpc") is None:
        console.print("left out: forest (pip install 'release-engine[forest]')")
        return
    from benchmarks import forest

    figures["forest"] = forest.measure(*(QUICK_FOREST if quick else FOREST))
    for table in tables.forest(figures["forest"]):
        console.print(table)


def _dploylib(quick: bool, figures: dict[str, Any], console: Console) -> None:
    if find_spec("zmq") is None:
        console.print("left out: dploylib (pip install 'release-engine[dploy]')")
        return
    from benchmarks import zeromq

    figures["dploylib"] = zeromq.measure(*(QUICK_DPLOYLIB if quick else DPLOYLIB))
    for table in tables.dploylib(figures["dploylib"]):
        console.print(table)


def _cdpm(quick: bool, figures: dict[str, Any], console: Console) -> None:
    if find_spec("joserfc") is None:
        console.print("left out: cdpm (pip install 'release-engine[cdpm]')")
        return
    from benchmarks import cdpm

    figures["cdpm"] = cdpm.measure(*(QUICK_CDPM if quick else CDPM))
    for table in tables.cdpm(figures["cdpm"]):
        console.print(table)


def _separate(words: Iterable[str], quick: bool, figures: dict[str, Any], console: Console, found: Servers) -> None:
    if "cluster" in words:
        figures["cluster"] = [
            cluster.run(found, cores, in_flight, max(in_flight, total // 10) if quick else total, repeatable)
            for repeatable in (True, False)
            for cores, in_flight, total in CLUSTERS
        ]
        for table in tables.cluster(figures["cluster"]):
            console.print(table)
    if "cluster-http" in words:
        total = 200 if quick else 2000
        figures["cluster-http"] = [cluster_http.measure(found, 16, total, steps) for steps in (1, 10)]
        console.print(tables.cluster_http(figures["cluster-http"]))


def _flow(quick: bool) -> list[dict[str, Any]]:
    rows = []
    for repeatable in (True, False):
        for in_flight, total in LOADS.items():
            with tempfile.TemporaryDirectory() as directory:
                total = max(in_flight, total // 10) if quick else total
                row = call(
                    "benchmarks.flow", directory=directory, in_flight=in_flight, total=total, repeatable=repeatable
                )
            batches = row.pop("batches")
            row["commits"] = len(batches)
            row["bare_steps_per_second"] = row["deployments"] * 10 / bare.commits(batches, row["entry_bytes"])
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
