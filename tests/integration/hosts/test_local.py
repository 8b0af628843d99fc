"""Runs on the worker's own machine: recorded as on every host, and confined as programs of steps are."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_workers.hosts.port import BadHost, HostRunner, Put, Run, RunKey, TransferFailed
from re_workers.hosts.runners import open_runner
from re_workers.hosts.surroundings import Surroundings
from re_workers.steps import landlock
from re_workers.steps.confinement import Confinement
from tests.integration.hosts.farm import STOP, run
from tests.integration.hosts.rig import Beside, Heard, carrying
from tests.integration.workers.waiting import until

#: the user that runs the tests, so that it is Landlock alone that keeps anything back
ME = "root" if os.geteuid() == 0 else ""

ROWS = {"here": {"runner": "local"}}

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The engine's own directory."""
    found = tmp_path / "data"
    found.mkdir()
    (found / "token").write_text("the engine's token")
    return found


def _runner(data: Path, confinement: Confinement) -> Iterator[HostRunner]:
    with closing(Surroundings(data, confinement, str(data))) as surroundings:
        yield open_runner("here", ROWS, surroundings)


@pytest.fixture
def confined(data: Path) -> Iterator[HostRunner]:
    yield from _runner(data, Confinement([data], (), ME))


@pytest.fixture
def other(data: Path) -> Iterator[HostRunner]:
    if os.geteuid() != 0:
        pytest.skip("only root can start programs as another user")
    yield from _runner(data, Confinement([data], (), "nobody"))


@pytest.fixture
def free(data: Path) -> Iterator[HostRunner]:
    yield from _runner(data, Confinement(isolation="off"))


def test_a_program_runs_where_and_as_programs_of_steps_do(free: HostRunner) -> None:
    assert run(free, 'pwd; echo "$A"; cat; umask; exit 3', env={"A": "b"}, stdin="in\n") == (
        3,
        f"{Path.cwd()}\nb\nin\n".encode() + subprocess.run(["sh", "-c", "umask"], capture_output=True).stdout,
    )


def test_the_directory_of_a_run_is_its_own_where_it_names_one(free: HostRunner, tmp_path: Path) -> None:
    (tmp_path / "it's here").mkdir()
    assert run(free, "pwd", cwd=f"{tmp_path}/it's here") == (0, f"{tmp_path}/it's here\n".encode())
    code, output = run(free, "pwd", "d/1/1", cwd=f"{tmp_path}/none")
    assert code == 127
    assert b"none" in output


@needs_landlock
def test_neither_the_engine_nor_the_record_is_within_reach_of_the_program(confined: HostRunner, data: Path) -> None:
    record = data / "runs" / RunKey("d/0/1", "here").record
    code, output = run(
        confined, f"cat {data}/token; cat {record}/spec; echo 'end 0 .' >{record}/end; kill -0 $PPID; exit 5", "d/0/1"
    )
    assert code == 5
    assert b"the engine's token" not in output
    assert output.count(b"ermission denied") == 3
    assert confined.look(RunKey("d/0/1", "here")).code == 5


@needs_landlock
def test_variables_of_a_run_have_no_effect_on_what_confines_it(
    confined: HostRunner, data: Path, tmp_path: Path
) -> None:
    """They could have it load code before it has confined itself."""
    (tmp_path / "json.py").write_text(
        f"open({str(tmp_path / 'loaded')!r}, 'w').write(open({str(data / 'token')!r}).read())"
    )
    (tmp_path / "setsid").write_text(f"#!/bin/sh\ncat {data}/token >{tmp_path}/loaded\n")
    (tmp_path / "setsid").chmod(0o755)
    traps = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert run(confined, 'echo "$PYTHONHOME"', env=traps) == (0, b"/nowhere\n")
    assert not (tmp_path / "loaded").exists()


@needs_landlock
def test_a_confined_program_can_open_its_own_output_and_gets_signals_as_usual(confined: HostRunner) -> None:
    program = "echo one >/dev/stderr; echo two >/dev/stdout; yes | head -n 1; kill -PIPE $$; echo not reached"
    assert run(confined, program) == (141, b"one\ntwo\ny\n")


def test_a_program_of_another_user_is_that_users(other: HostRunner, data: Path) -> None:
    program = f"id -un; echo $HOME; cat {data}/token; echo $$ >/dev/stderr"
    code, output = run(other, program)
    lines = output.splitlines()
    assert (code, lines[0]) == (0, b"nobody")
    assert b"the engine's token" not in output


def test_a_program_of_another_user_is_ended_with_all_its_children(other: HostRunner) -> None:
    mark = f"local-{os.getpid()}"
    beside = Beside(other, Run(RunKey("d/0/1", "here"), "(setsid sleep 600 &); echo ready; sleep 600", {"MARK": mark}))
    beside.heard.until(b"ready\n")
    beside.stop.set()
    assert beside.end().code == 143
    until(lambda: carrying("MARK", mark) == [])


@needs_landlock
def test_a_script_of_a_megabyte_runs_confined_too(confined: HostRunner) -> None:
    script = "".join(f": {'x' * 100}\n" for _ in range(10_000)) + "echo end\n"
    assert run(confined, script) == (0, b"end\n")


def test_a_run_that_was_begun_is_gone_on_with_by_another_worker(data: Path) -> None:
    for n in range(2):
        with closing(Surroundings(data, Confinement([data], (), ME), f"worker {n}")) as surroundings:
            heard = Heard()
            ended = open_runner("here", ROWS, surroundings).run(Run(RunKey("d/0/1", "here"), "echo $$"), heard, STOP)
            assert ended.attached is bool(n)


def test_old_records_go_when_a_run_has_ended(data: Path) -> None:
    old = data / "runs" / "old.0.0"
    old.mkdir(parents=True)
    (old / "end").write_text("end 0 .\n")
    os.utime(old, (0, 0))
    with closing(Surroundings(data, Confinement(isolation="off"), "x", tidy_after=0.0)) as surroundings:
        run(open_runner("here", ROWS, surroundings), "true")
    assert not old.exists()


def test_another_user_than_that_of_steps_is_refused(data: Path) -> None:
    with (
        closing(Surroundings(data, Confinement(isolation="off"), "x")) as surroundings,
        pytest.raises(BadHost, match="step_user"),
    ):
        open_runner("here", ROWS, surroundings, user="postgres")


@needs_landlock
def test_files_are_read_and_stored_as_programs_of_steps_could(confined: HostRunner, data: Path, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    assert confined.put(io.BytesIO(b"content"), f"{place}/file", Put(0o600)).changed
    sink = io.BytesIO()
    assert confined.get(f"{place}/file", sink, 100).size == 7
    for path in (data / "token", data / "new"):
        with pytest.raises(TransferFailed, match=r"ermission denied|no such file"):
            confined.get(str(path), sink, 100)
        with pytest.raises(TransferFailed, match=r"ermission denied|no directory"):
            confined.put(io.BytesIO(b"mine"), str(path))
    assert sink.getvalue() == b"content"
    assert (data / "token").read_text() == "the engine's token"


def test_files_are_those_of_the_user_of_programs(other: HostRunner, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    for one in (tmp_path, *tmp_path.parents[:3]):
        one.chmod(one.stat().st_mode | 0o001)
    other.put(io.BytesIO(b"x"), f"{place}/file")
    assert (place / "file").owner() == "nobody"
