"""How long a deployment that prints much keeps those who wait for it or read it.

python -m benchmarks.readers [--lines 200000]

On `rectl up` without load, each command as a process of its own, its start included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.http import server
from re_client.api import Client

_BOOK = "group: bench\nname: printing\nexecution:\n  - hosts: [localhost]\n    steps:\n      - command:Run: {cmd: seq 1 %d}\n"


def measure(directory: Path, lines: int) -> dict[str, float]:
    """What was measured -> seconds."""
    with server([sys.executable, "-m", "re_client", "up", "--quiet"], directory) as (url, _, _):
        with Client(url, (directory / "token").read_text().strip()) as client:
            playbook = client.create_playbook((_BOOK % lines).encode())["id"]
            began = datetime.now(UTC)
            _run(directory, ["deploy", playbook, "--wait"])
            back = datetime.now(UTC)
            found = client.deployment(client.deployments(1)[0]["id"])
        ended = datetime.fromisoformat(found["ended"] or "")
        readers = {f"rectl {word}": _run(directory, [word, found["id"]]) for word in ("logs", "watch")}
        return {
            "from the request to the end": (ended - began).total_seconds(),
            "from the end to rectl deploy --wait": (back - ended).total_seconds(),
            **readers,
            "rectl logs --follow": _run(directory, ["logs", "--follow", found["id"]]),
        }


def _run(directory: Path, words: Sequence[str]) -> float:
    """Seconds that `rectl` takes."""
    environ = {**os.environ, "RE_DATA_DIR": str(directory)}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "re_client", *words], env=environ, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print a row for each reader."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readers", description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        for what, seconds in measure(Path(directory), wanted.lines).items():
            print(f"{what:<36} {seconds:>6.2f} s")


if __name__ == "__main__":
    main()
