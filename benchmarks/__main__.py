"""`make bench`: every figure beside its bare limit, as a table and as JSON in benchmarks/results/.

python -m benchmarks [flow] [http] [flat] [--quick]
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import bare, flat, http
from benchmarks.child import call

RESULTS = Path(__file__).parent / "results"

#: deployments in flight -> deployments in all
LOADS = {1: 100, 100: 2000, 1000: 4000}


def main() -> None:
    """Run what is named, or all of it."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")] or ["flow", "http", "flat"]
    quick = "--quick" in sys.argv
    figures: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "at": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
    console = Console(width=None if sys.stdout.isatty() else 120)
    if "flow" in words:
        figures["flow"] = _flow(quick)
        console.print(_flow_table(figures["flow"]))
    if "http" in words:
        figures["http"] = [http.measure(16, 300 if quick else 3000, steps) for steps in (1, 10)]
        console.print(_http_table(figures["http"]))
    if "flat" in words:
        figures["flat"] = flat.measure(2000 if quick else 100_000, 100, 300 if quick else 2000)
        console.print(_flat_table(figures["flat"]))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


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


def _flow_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Deployments of 10 noop steps, embedded bus and SQLite, every step durable")
    for name in ("steps are", "in flight", "steps/s", "p50 ms", "p99 ms", "docs/step", "CPU µs/step", "peak MiB"):
        table.add_column(name, justify="right")
    table.add_column("bare commits,\nsteps/s", justify="right")
    table.add_column("ratio", justify="right")
    for row in rows:
        table.add_row(
            "repeatable" if row["repeatable"] else "granted",
            str(row["in_flight"]),
            f"{row['steps_per_second']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['documents_per_step']:.2f}",
            f"{row['cpu_us_per_step']:.0f}",
            f"{row['peak_mib']:.0f}",
            f"{row['bare_steps_per_second']:.0f}",
            f"{row['steps_per_second'] / row['bare_steps_per_second']:.2f}",
        )
    return table


def _http_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="POST /api/v1/deployments, answered once durable, while the steps run beside it")
    for name in (
        "noop steps each",
        "ready, s",
        "POST/s",
        "p50 ms",
        "p99 ms",
        "failed",
        "PSS MiB",
        "bare route/s",
        "ratio",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["steps"]),
            f"{row['ready_s']:.1f}",
            f"{row['per_second']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            str(row["failed"]),
            f"{row['pss_mib']:.0f}",
            f"{row['bare']['per_second']:.0f}",
            f"{row['per_second'] / row['bare']['per_second']:.2f}",
        )
    return table


def _flat_table(row: dict[str, Any]) -> Table:
    table = Table(title=f"With {row['past']} finished deployments in the store ({row['store_mib']:.0f} MiB)")
    for name in ("", "empty", "full", "full/empty"):
        table.add_column(name, justify="right")
    pairs = {
        "steps/s": (row["empty_steps_per_second"], row["full_steps_per_second"]),
        "list, ms": (row["list_ms"]["empty"], row["list_ms"]["full"]),
        "status, ms": (row["status_ms"]["empty"], row["status_ms"]["full"]),
    }
    for name, (empty, full) in pairs.items():
        table.add_row(name, f"{empty:.2f}", f"{full:.2f}", f"{full / empty:.2f}")
    return table


if __name__ == "__main__":
    main()
