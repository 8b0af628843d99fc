"""Real programs under real shims: their end, what they leave behind, what they print, and how they are found again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from re_dploy.zone import log_reader, shim
from re_dploy.zone.restricted import Restricted
from re_dploy.zone.supervise import LOST, Exit, ShimHandle, Spec, User, find, read_exit, supervise
from re_workers.steps import landlock

#: seconds within which anything here happens, on a busy machine too
ENOUGH = 60.0

#: starts a grandchild in a session of its own, with an empty environment, whose parent ends at once
ESCAPED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], {})
    os._exit(0)
os.wait()
print("escaped", flush=True)
time.sleep(600)
"""


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + ENOUGH
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError(f"did not happen: {what}")


class Place:
    """Starts programs in one directory, and ends what is left of them."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.handles: list[ShimHandle] = []

    def run(self, *argv: str, environ: dict[str, str] | None = None, backend: Any = None, **spec: Any) -> ShimHandle:
        (directory := self.dir / f"i{len(self.handles)}").mkdir()
        given = {"grace": ENOUGH, "cwd": "/", **spec}
        made = supervise(directory, Spec(argv, **given), environ or {"PATH": os.defpath}, backend)
        self.handles.append(made)
        return made

    def python(self, program: str, *arguments: str, **spec: Any) -> ShimHandle:
        return self.run(sys.executable, "-u", "-c", program, *arguments, **spec)

    def texts(self, handle: ShimHandle) -> list[str]:
        return log_reader.tail(handle.dir, 100_000)

    def end(self) -> None:
        for handle in self.handles:
            handle.kill()
            assert handle.wait(ENOUGH)
            handle.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    there = Place(tmp_path)
    yield there
    there.end()


def with_argument(text: str) -> list[int]:
    found = []
    for pid in shim.processes():
        try:
            if text.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                found.append(pid)
        except OSError:
            continue
    return found


def ended(handle: ShimHandle) -> Exit:
    assert handle.wait(ENOUGH)
    return handle.exit()


def test_the_code_and_the_lines_of_a_program_that_ends_are_kept(place: Place) -> None:
    handle = place.run("/bin/sh", "-c", "echo out; echo err >&2; printf last; exit 3")
    assert ended(handle)[:3] == (3, None, "exited")
    assert sorted(place.texts(handle)) == ["err", "last", "out"]
    sources = {line.text: line.source for line in log_reader.read(handle.dir, 0, 0, 10).lines}
    assert sources == {"out": "o", "err": "e", "last": "o"}


def test_a_program_that_a_signal_ends_says_which(place: Place) -> None:
    how = ended(place.run("/bin/sh", "-c", "kill -9 $$"))
    assert (how.code, how.signal, str(how)) == (None, 9, "signal 9")


def test_a_program_that_cannot_be_started_says_why_and_ends_with_127(place: Place) -> None:
    handle = place.run("/nothing/here")
    assert ended(handle).code == 127
    assert "No such file" in place.texts(handle)[0]


def test_a_request_to_end_reaches_the_program_and_it_may_finish(place: Place) -> None:
    handle = place.run("/bin/sh", "-c", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in place.texts(handle), "it is ready")
    handle.terminate()
    assert ended(handle)[:3] == (0, None, "stopped")
    assert "bye" in place.texts(handle)


def test_a_request_to_end_that_comes_before_the_shim_can_listen_waits_for_it(place: Place) -> None:
    handle = place.run("/bin/sleep", "600")
    handle.terminate()
    assert ended(handle).why == "stopped"


def test_what_a_program_begins_in_the_moment_of_its_end_is_asked_to_end_too(place: Place) -> None:
    program = "trap 'sleep 600 & exit 0' TERM; echo ready; while :; do sleep 0.1; done"
    handle = place.run("/bin/sh", "-c", program, grace=10 * ENOUGH)
    until(lambda: "ready" in place.texts(handle), "it is ready")
    handle.terminate()
    assert ended(handle)[:3] == (0, None, "stopped")


def test_a_request_to_end_reaches_a_program_that_has_no_session_of_its_own_yet() -> None:
    program = subprocess.Popen(["/bin/sleep", "600"])
    begun = shim.Shim.__new__(shim.Shim)
    begun._child, begun._asked = SimpleNamespace(pid=program.pid), {}  # type: ignore[assignment]
    try:
        begun._signal(signal.SIGTERM)
        assert program.wait(ENOUGH) == -signal.SIGTERM
    finally:
        program.kill()


def test_room_for_how_a_program_ends_is_taken_from_the_disk_before_it_begins(place: Place) -> None:
    handle = place.run("/bin/sleep", "600")
    until(lambda: b"leader" in (handle.dir / "shim.json").read_bytes(), "it runs")
    assert (handle.dir / "exit.json").stat().st_size == shim.OUTCOME
    assert read_exit(handle.dir) is None
    handle.terminate()
    assert ended(handle).why == "stopped"


def test_a_program_that_ignores_the_request_is_killed_after_its_grace(place: Place) -> None:
    handle = place.run("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done", grace=0.2)
    until(lambda: "ready" in place.texts(handle), "it is ready")
    handle.terminate()
    assert ended(handle)[1:3] == (9, "stopped")


def test_nothing_hides_from_its_end_in_a_session_of_its_own_with_an_empty_environment(place: Place) -> None:
    mark = f"escaped-{os.getpid()}-{place.dir.name}"
    handle = place.python(ESCAPED, mark, grace=0.2)
    until(lambda: "escaped" in place.texts(handle) and len(with_argument(mark)) > 1, "it has a grandchild")
    handle.terminate()
    ended(handle)
    assert with_argument(mark) == []


def test_what_a_program_leaves_behind_when_it_ends_by_itself_is_ended_too(place: Place) -> None:
    mark = f"left-{os.getpid()}-{place.dir.name}"
    handle = place.run("/bin/sh", "-c", f"{sys.executable} -c 'import time; time.sleep(600)' {mark} & exit 0")
    assert ended(handle)[:3] == (0, None, "exited")
    assert with_argument(mark) == []
    assert "put itself into the background" in place.texts(handle)[-1]


def test_a_program_ends_when_its_shim_is_killed_and_its_end_is_known_as_lost(place: Place) -> None:
    mark = f"lost-{os.getpid()}-{place.dir.name}"
    handle = place.python("import time; print('up'); time.sleep(600)", mark)
    until(lambda: "up" in place.texts(handle), "it runs")
    handle.signal(signal.SIGKILL)
    assert ended(handle) == LOST
    until(lambda: not with_argument(mark), "the kernel ends the program of a killed shim")
    assert find(handle.dir).exit == LOST


def test_a_secret_is_in_no_line_and_in_no_list_of_processes(place: Place) -> None:
    secret = "s3cret-value-of-the-config"
    program = (
        "import os, time; print('a', os.environ['TOKEN'], 'b'); "
        "print('x' * 16370 + os.environ['TOKEN'] + 'tail'); time.sleep(600)"
    )
    handle = place.python(program, environ={"TOKEN": secret}, secrets=(secret,))
    lines = until(lambda: len(found := place.texts(handle)) == 2 and found, "it prints")
    assert lines[0] == "a [redacted] b"
    assert lines[1] == "x" * 16370 + "[redacted]tail"[:14]
    for name in ("cmdline", "environ"):
        assert secret.encode() not in Path(f"/proc/{handle.pid}/{name}").read_bytes()
    assert all(secret.encode() not in file.read_bytes() for file in handle.dir.iterdir())


def test_a_long_line_is_cut_and_bytes_that_are_no_text_are_replaced(place: Place) -> None:
    program = "import os; os.write(1, b'y' * 10**6 + b'\\n' + b'a\\0b\\xff\\r\\n' + b'end\\n')"
    handle = place.python(program)
    ended(handle)
    assert place.texts(handle) == ["y" * shim.MAX_LINE, "a\ufffdb\ufffd", "end"]


def test_a_log_is_bounded_and_its_newest_lines_stay_in_their_order(place: Place) -> None:
    handle = place.python("for n in range(20000): print(f'line {n}')", rate=0, log_size=64 * 1024)
    ended(handle)
    lines = place.texts(handle)
    assert lines == [f"line {n}" for n in range(20000 - len(lines), 20000)]
    assert len(lines) > 1000
    assert sum((handle.dir / name).stat().st_size for name in ("log", "log.1")) <= 2 * (64 * 1024 + shim.HEADER_SIZE)


def test_a_reader_that_comes_back_gets_each_line_once(place: Place) -> None:
    handle = place.python("for n in range(3000): print(n)", rate=0)
    ended(handle)
    generation = offset = 0
    found: list[str] = []
    while (piece := log_reader.read(handle.dir, generation, offset, 700)).lines:
        assert len(piece.lines) <= 700
        generation, offset = piece.generation, piece.offset
        assert piece.lines[-1].offset == offset
        found += [line.text for line in piece.lines]
    assert found == [str(n) for n in range(3000)]


def test_lines_are_numbered_through_all_files_and_those_that_were_overwritten_are_said_to_be_lost(place: Place) -> None:
    handle = place.python("for n in range(20000): print(f'line {n}')", rate=0, log_size=64 * 1024)
    ended(handle)
    (number, text), *_ = log_reader.from_start(handle.dir, 0, 5)
    assert text == f"[{number} lines are lost: they were overwritten before they were read]"
    assert number > 10_000
    found: list[tuple[int, str]] = []
    while piece := log_reader.from_start(handle.dir, number, 700):
        assert len(piece) <= 700
        number = piece[-1][0]
        found += piece
    assert [text for _, text in found] == place.texts(handle)
    assert found[-1] == (20000, "line 19999")
    assert all(text == f"line {number - 1}" for number, text in found)


def test_more_lines_than_the_rate_allows_are_dropped_and_counted(place: Place) -> None:
    handle = place.python("print('x\\n' * 50000, end='')", rate=100)
    ended(handle)
    lines = place.texts(handle)
    said = [int(line.split()[0]) for line in lines if line.endswith("or the disk is full")]
    assert said
    assert lines.count("x") + sum(said) == 50000


def test_a_program_that_takes_too_long_is_ended(place: Place) -> None:
    handle = place.run("/bin/sleep", "600", time=0.3)
    assert ended(handle).why == "time"
    assert place.texts(handle) == ["it ran longer than 0.3 s"]


def test_a_program_that_forks_too_much_is_ended_with_all_its_processes(place: Place) -> None:
    mark = f"many-{os.getpid()}-{place.dir.name}"
    program = (
        "import subprocess, sys, time\nwhile True:\n"
        " subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])\n time.sleep(0.02)"
    )
    handle = place.python(program, mark, processes=8)
    assert ended(handle).why == "processes"
    assert with_argument(mark) == []


def test_limits_of_the_kernel_hold_for_the_program(place: Place) -> None:
    handle = place.run("/bin/sh", "-c", "ulimit -n; ulimit -c", rlimits={"RLIMIT_NOFILE": 77})
    ended(handle)
    assert place.texts(handle) == ["77", "0"]


def test_a_living_shim_is_found_again_and_obeys(place: Place) -> None:
    handle = place.run("/bin/sleep", "600")
    until(lambda: (handle.dir / "shim.json").read_bytes().endswith(b"}"), "the shim says who it is")
    again = find(handle.dir).handle
    assert again is not None
    assert again.pid == handle.pid
    again.terminate()
    assert again.wait(ENOUGH)
    assert again.exit().why == "stopped"
    again.close()


def test_a_file_that_names_a_stranger_is_not_believed(place: Place, tmp_path: Path) -> None:
    stranger = subprocess.Popen(["/bin/sleep", "600"])
    try:
        directory = tmp_path / "forged"
        directory.mkdir()
        real = shim.identity(stranger.pid)
        assert real is not None
        for one in (real._replace(start=real.start - 1), real._replace(boot="0")):
            (directory / "shim.json").write_text(json.dumps(one._asdict()))
            assert find(directory) == (None, LOST)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_shim_that_is_late_starts_nothing_once_its_directory_was_looked_at(place: Place) -> None:
    directory = place.dir / "late"
    directory.mkdir()
    assert find(directory) == (None, None)
    handle = supervise(directory, Spec(("/bin/sh", "-c", "echo ran"), "/"), {})
    place.handles.append(handle)
    assert handle.wait(ENOUGH)
    assert read_exit(directory) is None
    assert place.texts(handle) == []


class Late:
    """Starts a shim as soon as a file is gone."""

    def __init__(self, gate: Path) -> None:
        self._gate = gate

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        waits = f'while [ -e {self._gate} ]; do sleep 0.02; done; exec "$@"'
        return subprocess.Popen(["/bin/sh", "-c", waits, "sh", *argv], **how)


def test_a_shim_that_is_so_late_that_its_directory_was_removed_starts_nothing(place: Place) -> None:
    (gate := place.dir / "gate").touch()
    handle = place.run("/bin/sh", "-c", f"touch {place.dir}/ran", backend=Late(gate))
    assert find(handle.dir) == (None, None)
    shutil.rmtree(handle.dir)
    gate.unlink()
    assert handle.wait(ENOUGH)
    assert not (place.dir / "ran").exists()


def test_a_shim_whose_agent_dies_while_it_says_what_to_run_runs_nothing(tmp_path: Path) -> None:
    files = [
        os.open(tmp_path / name, os.O_RDWR | os.O_CREAT) for name in ("lock", "shim.json", "exit.json", "log", "log.1")
    ]
    argv = [sys.executable, "-I", "-S", shim.__file__, str(tmp_path), ",".join(map(str, files))]
    spec = json.dumps(Spec(("/bin/sh", "-c", "echo ran"), "/")._asdict() | {"environ": {}})
    cut = subprocess.run(argv, input=spec.encode(), pass_fds=files, timeout=ENOUGH, check=False)
    for file in files:
        os.close(file)
    assert cut.returncode == 3
    assert find(tmp_path).exit == LOST


@pytest.mark.skipif(landlock.version() == 0, reason="needs Landlock")
def test_a_restricted_program_reads_what_it_is_shown_and_writes_where_it_may_and_reaches_nothing_else(
    place: Place,
) -> None:
    for name in ("release", "tmp", "other"):
        (place.dir / name).mkdir()
        (place.dir / name / "file").write_text(name)
    backend = Restricted([place.dir], [place.dir / "release"], [place.dir / "tmp"])
    program = (
        "cat release/file tmp/file; echo; echo new > tmp/new; cat tmp/new; "
        "cat other/file; echo x > release/x; cat i0/shim.json; cat /proc/$PPID/environ"
    )
    handle = place.run("/bin/sh", "-c", program, cwd=str(place.dir), backend=backend)
    ended(handle)
    lines = place.texts(handle)
    assert [line for line in lines if "ermission" not in line] == ["releasetmp", "new"]
    assert len(lines) == 6
    assert not (place.dir / "release" / "x").exists()


@pytest.mark.skipif(landlock.version() == 0, reason="needs Landlock")
def test_a_restricted_program_reads_no_environment_of_another_one_and_signals_none(place: Place) -> None:
    other = place.run("/bin/sleep", "600", environ={"SECRET": "canary"})
    leader = until(lambda: json.loads((other.dir / "shim.json").read_bytes() or b"{}").get("leader"), "it runs")
    backend = Restricted([place.dir], [], [])
    handle = place.run(
        "/bin/sh", "-c", f"cat /proc/{leader}/environ; kill -0 {leader} && echo signalled", backend=backend
    )
    ended(handle)
    text = "\n".join(place.texts(handle))
    assert "canary" not in text
    assert ("signalled" not in text) == landlock.keeps_signals()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_program_runs_as_its_own_user_and_cannot_signal_its_shim(place: Place) -> None:
    handle = place.run(
        "/bin/sh", "-c", "id -u; id -g; id -G; kill -0 $PPID || echo out of reach", user=User(65534, 65534)
    )
    ended(handle)
    found = [line for line in place.texts(handle) if line and "ermitted" not in line]
    assert found == ["65534", "65534", "65534", "out of reach"]
