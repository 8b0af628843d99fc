"""Runs with records, on this machine: real shells, real processes, real signals."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from re_workers.hosts import agent
from re_workers.hosts.channels import LocalChannel
from re_workers.hosts.port import (
    ENDED,
    NEVER,
    NONE,
    REBOOTED,
    RUNS,
    HostLost,
    Killed,
    NotBegun,
    Opened,
    OtherRun,
    Run,
    RunKey,
    ShellSilent,
)
from re_workers.hosts.runs import MOST_TURNS, HostRuns
from tests.integration.hosts.rig import Beside, Heard, Prefixed, carrying, key
from tests.integration.workers.waiting import until

STOP = threading.Event()


def _run(runs: HostRuns, run: Run) -> tuple[int, bytes]:
    heard = Heard()
    return runs.run(run, heard, STOP).code, heard.output


def test_output_and_exit_code_are_those_of_the_program(shell: HostRuns) -> None:
    assert _run(shell, Run(key(), "cat; echo out; echo err >&2; printf end; exit 7", stdin="in\n")) == (
        7,
        b"in\nout\nerr\nend",
    )


def test_a_program_that_a_signal_ended_says_which(shell: HostRuns) -> None:
    assert _run(shell, Run(key(), "kill -9 $$"))[0] == 128 + signal.SIGKILL


def test_every_byte_arrives_as_it_was(shell: HostRuns) -> None:
    program = f"exec {sys.executable} -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 2000)'"
    assert _run(shell, Run(key(), program)) == (0, bytes(range(256)) * 2000)


def test_output_comes_while_the_program_runs(shell: HostRuns, tmp_path: Path) -> None:
    run = Beside(shell, Run(key(), f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo second"))
    run.heard.until(b"first\n")
    (tmp_path / "go").touch()
    assert run.end().code == 0
    assert run.heard.output == b"first\nsecond\n"


def test_variables_are_on_no_disk_and_in_no_process_list(local: HostRuns, records: Path) -> None:
    secret = 'it\'s $(a) `secret`\nof "two" lines \\'
    run = Beside(local, Run(key(), 'printf %s "$TOKEN"; sleep 0.3; exec sleep 600', {"TOKEN": secret}))
    run.heard.until(b"lines \\")
    assert run.heard.output.decode() == secret
    files = [one for one in records.rglob("*") if one.is_file() and one.name != "out"]
    assert len(files) > 5
    assert not [one for one in files if b"secret`" in one.read_bytes()]
    assert "secret`" not in subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True).stdout
    run.stop.set()
    run.end()


def test_records_are_for_their_owner_alone(local: HostRuns, records: Path) -> None:
    _run(local, Run(key(), "true"))
    assert {path.stat().st_mode & 0o077 for path in records.rglob("*")} == {0}


@pytest.mark.parametrize("size", [1, 1400, 1600, 200_000])
def test_texts_of_every_size_arrive_whole(shell: HostRuns, size: int) -> None:
    """A host's shell reads short ones by itself, and has a program read long ones."""
    value = ("é \\n' \n" * size)[:size]
    variable = value[:50_000]  # a variable has no more than 128 KiB
    script = f"printf '%s|' {agent.quote(value)}; cat; printf %s \"|$VALUE\""
    expected = f"{value}|{value}|{variable}".encode()
    assert _run(shell, Run(key(), script, {"VALUE": variable}, stdin=value)) == (0, expected)


def test_two_that_begin_the_same_run_at_once_share_one(local: HostRuns, tmp_path: Path) -> None:
    run = Run(key(), f"echo x >>{tmp_path}/ledger; sleep 0.2; echo done")
    several = [Beside(local, run) for _ in range(4)]
    ends = [one.end() for one in several]
    assert (tmp_path / "ledger").read_text() == "x\n"
    assert sorted(end.attached for end in ends) == [False, True, True, True]
    assert {one.heard.output for one in several} == {b"done\n"}


def test_a_run_that_has_ended_is_answered_from_its_record(local: HostRuns, tmp_path: Path) -> None:
    run = Run(key(), f"echo x >>{tmp_path}/ledger; echo done; exit 3")
    assert _run(local, run) == _run(local, run) == (3, b"done\n")
    assert (tmp_path / "ledger").read_text() == "x\n"


def test_each_attempt_host_and_number_is_a_run_of_its_own(local: HostRuns, tmp_path: Path) -> None:
    keys = [key(), key("d/0/2"), key(n=1), RunKey("d/0/1", "web2"), RunKey("x" * 300, "web1"), RunKey("é /ü\n", "web1")]
    for one in keys:
        _run(local, Run(one, f"echo x >>{tmp_path}/ledger"))
    assert (tmp_path / "ledger").read_text() == "x\n" * len(keys)


@pytest.mark.parametrize(
    "other", [Run(key(), "echo b"), Run(key(), "echo a", {"X": "1"}), Run(key(), "echo a", stdin="x")]
)
def test_another_run_under_the_same_key_is_refused(local: HostRuns, other: Run) -> None:
    _run(local, Run(key(), "echo a"))
    with pytest.raises(OtherRun):
        _run(local, other)


def test_the_value_of_a_variable_may_change(local: HostRuns) -> None:
    _run(local, Run(key(), "echo $A", {"A": "old"}))
    assert _run(local, Run(key(), "echo $A", {"A": "new"})) == (0, b"old\n")


class _Cutting(LocalChannel):
    """Its sessions are cut after some milliseconds, the first ones."""

    def __init__(self, seed: int, cuts: int) -> None:
        super().__init__()
        self._chance, self._cuts = random.Random(seed), cuts

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        process = super().open(command, stop)
        if self._cuts:
            self._cuts -= 1
            threading.Timer(self._chance.uniform(0, 0.12), process.kill).start()
        return process


@pytest.mark.parametrize("seed", range(6))
def test_a_connection_that_is_cut_again_and_again_loses_and_repeats_nothing(seed: int, records: Path) -> None:
    ledger = records.parent / "ledger"
    program = f"echo x >>{ledger}; for one in 1 2 3 4 5 6 7 8; do seq 2000; sleep 0.05; done; exit 9"
    runs = HostRuns(_Cutting(seed, 5), str(records))
    while True:
        try:
            assert _run(runs, Run(key(), program)) == (9, b"".join(b"%d\n" % n for n in range(1, 2001)) * 8)
            break
        except ShellSilent:  # cut before it was there: nothing of it has begun
            assert not ledger.exists()
    assert ledger.read_text() == "x\n"


def test_another_worker_goes_on_where_one_was_killed(local: HostRuns, records: Path, tmp_path: Path) -> None:
    script = (
        f"echo x >>{tmp_path}/ledger; echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo second; exit 5"
    )
    worker = (
        "import sys, threading\n"
        "from re_workers.hosts.channels import LocalChannel\n"
        "from re_workers.hosts.port import Run, RunKey\n"
        "from re_workers.hosts.runs import HostRuns\n"
        "say = lambda piece: print(piece.decode(), end='', flush=True)\n"
        f"HostRuns(LocalChannel(), {str(records)!r}).run(Run(RunKey('d/0/1', 'web1'), {script!r}), say, threading.Event())"
    )
    with subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "first\n"
        first.kill()
    assert local.look(key()).state == RUNS
    second = Beside(local, Run(key(), script))
    second.heard.until(b"first\n")
    (tmp_path / "go").touch()
    assert second.end()[:1] == (5,)
    assert second.end().attached
    assert second.heard.output == b"first\nsecond\n"
    assert (tmp_path / "ledger").read_text() == "x\n"


def test_a_run_that_shall_stop_is_ended_with_all_its_children(shell: HostRuns) -> None:
    mark = f"run-{os.getpid()}-{random.random()}"
    program = "sleep 600 & (setsid sleep 600 &) ; nohup sleep 600 & echo ready; sleep 600"
    run = Beside(shell, Run(key(), program, {"MARK": mark}))
    run.heard.until(b"ready\n")
    assert len(carrying("MARK", mark)) >= 4
    run.stop.set()
    assert run.end().code == 128 + signal.SIGTERM
    assert carrying("MARK", mark) == []


def test_a_program_that_tidies_up_ends_by_itself(local: HostRuns) -> None:
    run = Beside(local, Run(key(), "trap 'echo tidy; exit 0' TERM; sleep 600 & echo ready; wait"))
    run.heard.until(b"ready\n")
    run.stop.set()
    assert run.end().code == 0
    assert run.heard.output == b"ready\ntidy\n"


def test_a_program_that_does_not_end_is_killed(local: HostRuns) -> None:
    run = Beside(local, Run(key(), "trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    run.heard.until(b"ready\n")
    run.stop.set()
    assert run.end().code == 128 + signal.SIGKILL


def test_a_run_that_shall_stop_as_it_begins_does_nothing(local: HostRuns, tmp_path: Path) -> None:
    run = Beside(local, Run(key(), f"sleep 600; touch {tmp_path}/happened"))
    run.stop.set()
    with contextlib.suppress(NotBegun):
        assert run.end().code == 128 + signal.SIGTERM
    assert not (tmp_path / "happened").exists()


def test_the_host_ends_a_run_whose_time_is_over_without_being_asked(shell: HostRuns) -> None:
    mark = f"limit-{os.getpid()}-{random.random()}"
    run = Run(key(), "sleep 600 & sleep 600", {"MARK": mark}, limit=1)
    assert _run(shell, run)[0] == 128 + signal.SIGTERM
    assert carrying("MARK", mark) == []


def test_a_child_that_is_left_behind_does_not_hold_the_run(local: HostRuns) -> None:
    mark = f"left-{os.getpid()}-{random.random()}"
    assert _run(local, Run(key(), "sleep 600 & echo done", {"MARK": mark})) == (0, b"done\n")
    left = carrying("MARK", mark)
    assert len(left) == 1
    os.kill(left[0], signal.SIGKILL)


def test_output_that_a_busy_host_has_not_taken_yet_is_waited_for(
    local: HostRuns, records: Path, tmp_path: Path
) -> None:
    record = records / key().record
    run = Beside(local, Run(key(), f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo second"))
    run.heard.until(b"first\n")
    (sink,) = (one for one in psutil.process_iter() if _takes_output(one, record))
    sink.suspend()
    (tmp_path / "go").touch()
    run.join(4.0)  # twice as long as what is left behind is waited for
    assert run.is_alive()
    sink.resume()
    assert run.end().code == 0
    assert run.heard.output == b"first\nsecond\n"


def _takes_output(process: psutil.Process, record: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == "cat" and process.cwd() == str(record)
    return False


@pytest.mark.parametrize("script", ["true", "sleep 0.5"])
def test_nothing_of_a_run_stays_when_it_has_ended(shell: HostRuns, records: Path, script: str) -> None:
    """Neither its watchdog, whose time is not over, nor what that sleeps by."""
    _run(shell, Run(key(), script))
    until(lambda: _at(records / key().record) == [])


def _at(directory: Path) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if one.cwd() == str(directory):
                found.append(one)
    return found


def test_output_beyond_the_cap_is_dropped_and_nothing_waits_for_it(shell: HostRuns) -> None:
    heard = Heard()
    ended = shell.run(Run(key(), "yes | head -c 3000000; echo over >&2; exit 4", cap=100_000), heard, STOP)
    assert ended.code == 4
    assert len(heard.output) == ended.size
    assert 100_000 <= ended.size < 100_000 + 512 + 1
    assert ended.size + ended.dropped <= 3_000_000 + len("over\n")


def test_a_supervisor_that_is_killed_takes_what_it_watched_over_with_it(local: HostRuns, records: Path) -> None:
    mark = f"killed-{os.getpid()}-{random.random()}"
    run = Beside(local, Run(key(), "sleep 600 & echo ready; sleep 600", {"MARK": mark}))
    run.heard.until(b"ready\n")
    os.kill(int((records / key().record / "pid").read_text().split()[0]), signal.SIGKILL)
    with pytest.raises(Killed):
        run.end()
    until(lambda: carrying("MARK", mark) == [])


def test_a_host_that_was_booted_again_says_so(local: HostRuns, records: Path, tmp_path: Path) -> None:
    run = Run(key(), "sleep 600")
    beside = Beside(local, run)
    until(lambda: local.look(key()).state == RUNS)
    (tmp_path / "boot").write_text("another\n")
    again = HostRuns(LocalChannel(), str(records), boot=str(tmp_path / "boot"))
    assert again.look(key()).state == REBOOTED
    with pytest.raises(HostLost, match="was booted again"):
        again.run(run, Heard(), STOP)
    beside.stop.set()
    beside.end()
    assert again.look(key()).state == ENDED  # it was written before that


def test_without_a_record_the_host_says_for_how_long_it_has_been_up(local: HostRuns) -> None:
    standing = local.look(key())
    assert standing.state == NONE
    assert standing.boot.startswith(Path(agent.BOOT).read_text().strip())
    assert standing.uptime


@pytest.mark.parametrize("files", [{}, {"starter": "999999999 1\n"}, {"starter": "1 1\n", "boot": ""}])
def test_what_died_before_it_began_the_run_never_does(local: HostRuns, records: Path, files: dict[str, str]) -> None:
    record = records / key().record
    record.mkdir(parents=True)
    for name, text in files.items():
        (record / name).write_text(text)
    assert local.look(key()).state == NEVER
    assert (record / "void").is_dir()
    assert _run(local, Run(key(), "echo now")) == (0, b"now\n")
    assert local.look(key()).state == ENDED
    assert local.sweep([key()]) == 2
    assert list(records.glob("*[!r]")) == [], "but for the mark that it is over"


def test_what_always_dies_before_it_begins_the_run_is_not_tried_for_ever(local: HostRuns, records: Path) -> None:
    for turn in range(MOST_TURNS):
        record = records / key()._replace(turn=turn).record
        record.mkdir(parents=True)
        (record / "starter").write_text("999999999 1\n")
    with pytest.raises(NotBegun, match="was killed before it did"):
        _run(local, Run(key(), "true"))


def test_a_supervisor_that_comes_late_finds_that_it_must_not_begin(records: Path, tmp_path: Path) -> None:
    """It was started, and stood still before it had written who it is; by then the run had been given up."""
    (tmp_path / "bin").mkdir()
    setsid = tmp_path / "bin" / "setsid"
    late = f": >{tmp_path}/came; until [ -d {records / key().record}/void ]; do sleep 0.02; done"
    setsid.write_text(f'#!/bin/sh\nPATH={os.environ["PATH"]}\n{late}\nexec setsid "$@"\n')
    setsid.chmod(0o755)

    def start(argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(argv, env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}, **how)

    slow = HostRuns(LocalChannel(start=start), str(records))
    process = LocalChannel(start=start).open(
        agent.begin(Run(key(), f"touch {tmp_path}/happened"), str(records), "n")[0]
    )
    assert process.stdin is not None
    process.stdin.write(agent.begin(Run(key(), f"touch {tmp_path}/happened"), str(records), "n")[1])
    process.stdin.close()
    until((tmp_path / "came").exists)
    process.kill()  # the starter
    process.wait()
    assert slow.look(key()).state in (NEVER, RUNS)  # it comes now, and finds that
    until(lambda: b"void" in (records / key().record / "end").read_bytes())
    assert slow.look(key()).state == NEVER
    assert not (tmp_path / "happened").exists()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


@pytest.mark.parametrize("how", ["exit 1", "kill -9 $$"])
def test_a_supervisor_that_dies_before_it_is_one_is_not_waited_for(how: str, records: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    setsid = tmp_path / "bin" / "setsid"
    setsid.write_text(f"#!/bin/sh\n{how}\n")
    setsid.chmod(0o755)
    runs = HostRuns(LocalChannel(env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}), str(records))
    with pytest.raises(NotBegun, match="was killed before it did"):
        _run(runs, Run(key(), "true"))


def test_where_no_record_can_be_made_nothing_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotBegun, match=r"did not begin: .*Not a directory"):
        _run(HostRuns(LocalChannel(), str(tmp_path / "file" / "records")), Run(key(), "true"))


@pytest.mark.parametrize(
    "before",
    [
        "echo Welcome; echo 'RE1 x here'; echo again >&2",
        "cd /; set -e; alias cat=false; IFS=x; PATH=/nowhere",
        "printf 'no line end'",
    ],
)
def test_what_a_login_shell_does_first_changes_nothing(before: str, records: Path) -> None:
    assert _run(HostRuns(Prefixed(before), str(records)), Run(key(), "echo hi")) == (0, b"hi\n")


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("echo 'This account is not available'; exit 1", "it printed: This account is not available"),
        ("exit 0", "it printed nothing"),
        ("echo 'Which project?'; exec sleep 600", "it printed: Which project?"),
        ("while :; do echo noise; done", "it printed: "),
    ],
)
def test_a_login_shell_that_does_not_come_to_it_is_shown(before: str, said: str, records: Path) -> None:
    runs = HostRuns(Prefixed(before), str(records), shell_timeout=1.0)
    with pytest.raises(ShellSilent) as refusal:
        _run(runs, Run(key(), "echo hi"))
    assert said in str(refusal.value)
    assert "login shell of web1" in str(refusal.value)


def test_a_login_shell_that_reads_its_input_gets_none_of_ours(records: Path, tmp_path: Path) -> None:
    runs = HostRuns(Prefixed(f"cat >{tmp_path}/read & sleep 0.2; kill $!"), str(records))
    assert _run(runs, Run(key(), "echo hi", {"TOKEN": "hunter2"})) == (0, b"hi\n")
    assert (tmp_path / "read").read_bytes() == b""


def test_what_was_swept_begins_nothing_more(shell: HostRuns, records: Path, tmp_path: Path) -> None:
    """A worker that stood still may not know that the attempt is over, and go on with its next run."""
    for n in range(3):
        _run(shell, Run(key(n=n), "true"))
    assert shell.sweep([key(), key("d/0/11")]) == 3
    for n in (0, 3):
        with pytest.raises(NotBegun, match="or this one was over"):
            _run(shell, Run(key(n=n), f"touch {tmp_path}/happened"))
    assert not (tmp_path / "happened").exists()
    for mark in records.iterdir():
        os.utime(mark, (0, 0))
    assert shell.tidy() == 0
    assert list(records.iterdir()) == [], "marks go when they are old"


def test_records_of_what_has_ended_are_swept_and_no_others(local: HostRuns, records: Path) -> None:
    _run(local, Run(key(), "true"))
    running = Beside(local, Run(key("d/1/1"), "sleep 600"))
    until(lambda: local.look(key("d/1/1")).state == RUNS)
    assert local.sweep([key(), key("d/1/1"), key("d/2/1")]) == 1
    assert [one.name for one in records.glob("*[!r]")] == [key("d/1/1").record]
    assert local.look(key()).state == NONE
    running.stop.set()
    running.end()


def test_records_that_ended_long_ago_are_tidied_up_and_no_others(shell: HostRuns, records: Path) -> None:
    for name in ("d/0/1", "d/1/1"):
        _run(shell, Run(key(name), "true"))
    running = Beside(shell, Run(key("d/2/1"), "sleep 600"))
    until(lambda: shell.look(key("d/2/1")).state == RUNS)
    (records / ".gone-0123").mkdir()
    for name in (key("d/0/1").record, key("d/2/1").record, ".gone-0123"):
        os.utime(records / name, (0, 0))
    assert shell.tidy() == 1
    assert {one.name for one in records.iterdir()} == {key("d/1/1").record, key("d/2/1").record}
    running.stop.set()
    running.end()


def test_a_text_that_no_shell_can_carry_is_refused(local: HostRuns) -> None:
    with pytest.raises(ValueError, match="NUL"):
        _run(local, Run(key(), "echo \0"))


@settings(max_examples=15)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12), max_size=6))
def test_arguments_reach_a_program_as_they_are(arguments: list[str]) -> None:
    line = agent.line(["printf", "<%s>", "", *arguments])
    found = subprocess.run(["/bin/sh", "-c", line], capture_output=True, check=True).stdout
    assert found == "".join(f"<{one}>" for one in ["", *arguments]).encode()
