"""What a killed engine left running is found and ended; nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from re_workers.steps.orphans import ATTEMPT, ENGINE, end_orphans
from tests.integration.workers.waiting import until

#: an engine with one step: runs the command line, for the attempt that it is told
ENGINE_CODE = """
import sys, threading
from re_workers.context import Call, Context
from re_workers.outgoing import Origin, Outgoing
from re_workers.steps.command import Command
engine, attempt, cmd = sys.argv[1:]
call = Call(attempt, "D", 0, 1, "command", "Run", "g", (), {}, None)
worker = Command(engine)
worker.steps["Run"].call(worker, Context(call, Outgoing(Origin("D", 0, attempt))), cmd=cmd)
"""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that end with the test, whatever becomes of it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def _killed_engine(engine: str, attempt: str, cmd: str, pids: Path) -> list[psutil.Process]:
    """Run a step in an engine of its own, kill -9 the engine, and return what is left."""
    parent = subprocess.Popen([sys.executable, "-c", ENGINE_CODE, engine, attempt, cmd])
    until(lambda: pids.exists() and pids.read_text().endswith("end\n"))
    left = [psutil.Process(int(pid)) for pid in pids.read_text().split()[:-1]]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert all(one.is_running() for one in left)
    return left


def _gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_what_a_killed_engine_left_running_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    cmd = f"env -i sleep 300 & echo $! >> {pids}; setsid sleep 300 & echo $$ >> {pids}; echo end >> {pids}; wait"
    left = _killed_engine("engine-a", "D/0/1", cmd, pids)
    found = end_orphans("engine-a")
    assert {one.pid for one in left} <= set(found)
    assert len(found) == 3
    assert _gone(left)
    assert end_orphans("engine-a") == []


def test_one_that_does_not_want_to_end_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.steps.orphans.GRACE", 0.3)
    pids = tmp_path / "pids"
    cmd = f"trap '' TERM; echo $$ >> {pids}; echo end >> {pids}; while :; do sleep 1; done"
    left = _killed_engine("engine-b", "D/0/1", cmd, pids)
    end_orphans("engine-b")
    assert _gone(left)


def test_only_the_attempts_that_are_asked_for_are_ended(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    kept = _killed_engine("engine-c", "D/0/1", f"echo $$ end >> {first}; exec sleep 300", first)
    ended = _killed_engine("engine-c", "D/1/1", f"echo $$ end >> {second}; exec sleep 300", second)
    assert end_orphans("engine-c", {"D/1/1"}) == [one.pid for one in ended]
    assert not _gone(kept)
    assert end_orphans("engine-c") == [one.pid for one in kept]


def test_another_engines_programs_and_this_ones_own_children_are_spared(
    started: list[subprocess.Popen[bytes]],
) -> None:
    """The own children carry the very marks that orphans are found by."""
    for engine in ("engine-d", "engine-e"):
        environment = {**os.environ, ENGINE: engine, ATTEMPT: "D/0/1"}
        started.append(subprocess.Popen(["sleep", "300"], env=environment, start_new_session=True))
    started.append(subprocess.Popen(["sleep", "300"]))
    assert end_orphans("engine-d") == []
    assert end_orphans("") == []
    assert [process.poll() for process in started] == [None, None, None]


def test_an_engine_started_from_one_of_its_own_steps_does_not_end_itself() -> None:
    environment = {**os.environ, ENGINE: "engine-f", ATTEMPT: "D/0/1"}
    code = "from re_workers.steps.orphans import end_orphans; print(end_orphans('engine-f'))"
    shell = ["/bin/sh", "-c", f'{sys.executable} -c "{code}"; echo alive']
    result = subprocess.run(shell, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\nalive\n"
