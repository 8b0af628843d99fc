"""The life of a process of its own: it waits, says whether it is ready, ends in order, and says why it cannot go on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.e2e.engine_process import wait_until

#: seconds for what takes a few milliseconds on an idle machine
PATIENCE = 30.0


class Running:
    """The program, while it runs."""

    def __init__(self, directory: Path, words: tuple[str, ...], environ: dict[str, str]) -> None:
        self._out, self._log = directory / "out", directory / "log"
        path = f"{ROOT}{os.pathsep}{ROOT / 'schemas'}"
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.processes.program", *words],
                env={**os.environ, "PYTHONPATH": path, **environ},
                cwd=ROOT,
                stdout=out,
                stderr=log,
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def await_out(self, text: str) -> None:
        wait_until(f"{text!r} in its output", lambda: text in self.out, PATIENCE)

    def await_log(self, text: str) -> None:
        wait_until(f"{text!r} in its log", lambda: text in self.log, PATIENCE)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self) -> int:
        return self.process.wait(PATIENCE)


Run = Callable[..., Running]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts the program with these words; none outlives the test."""
    made: list[Running] = []

    def start(*words: str, **environ: str) -> Running:
        made.append(Running(tmp_path, words, environ))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


@contextmanager
def systemd(tmp_path: Path) -> Iterator[tuple[str, Callable[[], list[str]]]]:
    """A socket like systemd's: its address, and what was said on it so far."""
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)

        def heard() -> list[str]:
            while True:
                try:
                    said.extend(line.recv(4096).decode().splitlines())
                except BlockingIOError:
                    return said

        yield str(tmp_path / "notify"), heard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whatever_means_end_ends_it_in_order(run: Run, number: signal.Signals) -> None:
    program = run(RE_STOP_TIMEOUT="7.5")
    program.await_log('action="ready"')
    program.send(number)
    assert program.code() == 0
    assert program.out.splitlines() == ["began 1", "stop 7.5"]
    assert 'action="stopped"' in program.log


def test_a_second_term_ends_it_at_once(run: Run) -> None:
    program = run("hang")
    program.await_out("began")
    program.send(signal.SIGTERM)
    program.await_out("stop")
    program.send(signal.SIGTERM)
    assert program.code() == -signal.SIGTERM


def test_it_waits_for_what_is_away_and_says_so_once(run: Run) -> None:
    program = run("away", "4")
    program.await_out("began 5")
    assert program.log.count("nobody answers at this address") == 1
    assert "it continues as soon as" in program.log


def test_term_while_it_waits_is_an_end_at_once(run: Run) -> None:
    program = run("away", "1000000")
    program.await_log('action="wait"')
    program.send(signal.SIGTERM)
    assert program.code() == 0
    assert "began" not in program.out


@pytest.mark.parametrize(("word", "code"), [("refused", 2), ("bug", 1), ("refused-at-start", 2), ("bug-at-start", 1)])
def test_its_exit_code_says_whether_starting_it_again_can_help(run: Run, word: str, code: int) -> None:
    assert run(word).code() == code


def test_a_refusal_at_the_start_is_one_record_and_no_traceback(run: Run) -> None:
    program = run("refused-at-start")
    assert program.code() == 2
    assert program.log.count("\n") == 1
    assert "program cannot run: the store is of another world" in program.log


def test_a_refusal_later_lets_the_rest_end_in_order(run: Run) -> None:
    program = run("refused")
    assert program.code() == 2
    assert "stop" in program.out


def test_a_part_that_died_ends_it_as_a_crash(run: Run) -> None:
    program = run("dead")
    assert program.code() == 1
    assert "stop" not in program.out


def test_wrong_settings_are_told_in_plain_words(run: Run) -> None:
    program = run(RE_HTP="127.0.0.1:1")
    assert program.code() == 2
    assert program.log == "program: environment RE_HTP: no such setting; did you mean 'RE_HTTP'?\n"


def test_the_ready_file_is_there_only_while_it_is_ready(run: Run, tmp_path: Path) -> None:
    trouble, file = tmp_path / "trouble", tmp_path / "ready"
    trouble.touch()
    file.touch()  # what an earlier process left when it was killed
    program = run("trouble", str(trouble), "file", str(file))
    program.await_log("program is not ready: bus: gone fishing")
    assert not file.exists()
    trouble.unlink()
    wait_until("the file is there", file.exists, PATIENCE)
    os.utime(file, (1, 1))
    wait_until("the file is fresh again", lambda: file.stat().st_mtime > 1, PATIENCE)
    trouble.touch()
    wait_until("the file is gone", lambda: not file.exists(), PATIENCE)
    trouble.unlink()
    wait_until("the file is there again", file.exists, PATIENCE)
    program.send(signal.SIGTERM)
    assert program.code() == 0
    assert not file.exists()


def test_a_ready_file_that_cannot_be_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    program = run("file", str(tmp_path / "directory"))
    assert program.code() == 2
    assert f"--ready-file: {tmp_path / 'directory'} cannot be removed" in program.log


def test_systemd_hears_that_it_waits_is_ready_lives_and_stops(run: Run, tmp_path: Path) -> None:
    with systemd(tmp_path) as (address, heard):
        program = run("away", "2", NOTIFY_SOCKET=address, WATCHDOG_USEC="300000")
        wait_until("ready", lambda: "READY=1" in heard(), PATIENCE)
        assert heard().index("STATUS=waits: nobody answers at this address") < heard().index("READY=1")
        wait_until("three signs of life", lambda: heard().count("WATCHDOG=1") > 2, PATIENCE)
        program.send(signal.SIGTERM)
        assert program.code() == 0
        assert heard()[-2:] == ["STOPPING=1", "STATUS=stopping"]


def test_the_log_can_be_json_and_names_its_component(run: Run) -> None:
    program = run(RE_LOG_FORMAT="json")
    program.await_log('"action": "ready"')
    assert '"app_component": "tests"' in program.log
