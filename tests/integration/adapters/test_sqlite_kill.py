"""SqliteStore: kill -9 of a process that writes takes nothing away that was answered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore
from tests.integration.adapters import programs

ROOT = Path(__file__).parents[3]


def _write_and_die(path: Path, lines: int) -> int:
    """The last batch that the process said was stored before it was killed."""
    command = [sys.executable, "-m", programs.__name__, "write", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        process.kill()
        said = process.stdout.read().split("\n")[:-1]
    return int(said[-1]) if said else lines


@pytest.mark.parametrize("lines", [1, 7, 40])
def test_every_acknowledged_batch_is_there_and_whole_after_a_kill(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "store.db"
    acknowledged = _write_and_die(path, lines)
    store = SqliteStore(path)
    lengths = {len(store.entries(f"d-{number}")) for number in range(programs.DEPLOYMENTS)}
    assert len(lengths) == 1, "a batch is there in part"
    assert lengths.pop() in (acknowledged, acknowledged + 1)
    for number in range(programs.DEPLOYMENTS):
        stored = [one.number for one in store.entries(f"d-{number}")]
        assert stored == list(range(1, len(stored) + 1))
    store.close()
