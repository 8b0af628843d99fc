"""A playbook that is after the engine's secrets, on the real engine, as each user that a machine may run it as."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from re_client.api import Client
from re_client.errors import ApiError
from re_workers.steps import landlock
from tests.e2e.deploying import await_line, begin, ended, run_step, steps_book
from tests.e2e.engine_process import EngineProcess, started, wait_until

#: what only the engine may know
IN_SETTINGS, IN_ENVIRONMENT = "secret-of-the-settings-file", "secret-of-the-environment"

#: user and group that own nothing
STRANGER = 65534

#: printed behind all attacks
OVER = "the attacks are over"

#: attack -> its command line, and what it prints where it succeeds; `$TOKEN` is what the token file holds
ATTACKS: Mapping[str, tuple[str, str]] = {
    "reads the token": ("cat $D/token", "$TOKEN"),
    "reads the store": ("head -c 15 $D/release-engine.db | tr -d '\\0'", "SQLite format"),
    "reads what the store will be": (
        "test -s $D/release-engine.db-wal && head -c 4 $D/release-engine.db-wal | od -An -tx1",
        " 37 7f ",
    ),
    "reads the settings": ("cat $C", IN_SETTINGS),
    "asks its own environment": ("env", IN_ENVIRONMENT),
    "asks the engine's environment": ("tr '\\0' '\\n' < /proc/$ENGINE/environ", IN_ENVIRONMENT),
    "asks the master's environment": ("tr '\\0' '\\n' < /proc/$MASTER/environ", IN_ENVIRONMENT),
    "looks at the engine's memory": ("grep -m 1 r-xp /proc/$ENGINE/maps", "r-xp"),
    "looks at the engine's files": ("ls -l /proc/$ENGINE/fd", "release-engine.db"),
    "goes by the engine's root": ("cat /proc/$ENGINE/root$D/token", "$TOKEN"),
    "goes by a symbolic link": ("ln -sf $D/token $FREE/symbolic && cat $FREE/symbolic", "$TOKEN"),
    "goes by a hard link": ("ln -f $D/token $FREE/hard && cat $FREE/hard", "$TOKEN"),
    "moves the directory": ("mv $D $D.moved && cat $D.moved/token && mv $D.moved $D", "$TOKEN"),
    "has git read it": ("git --no-pager -C $D diff --no-index /dev/null token", "$TOKEN"),
    "searches": ("find $D/ -type f -exec grep -h re_ {} + 2>/dev/null", "$TOKEN"),
    "begins a session of its own": ("setsid -w cat $D/token", "$TOKEN"),
    "plants a worker": (
        "mkdir -p $D/workers && echo '# planted' > $D/workers/_x.py && cat $D/workers/_x.py",
        "# planted",
    ),
}


@contextmanager
def _engine(directory: Path, as_stranger: bool, **settings: str) -> Iterator[EngineProcess]:
    engine = EngineProcess(directory, f"# {IN_SETTINGS}\ngroup_commands: {{tests: [command]}}\n")
    engine.environ["RE_TOKEN"] = IN_ENVIRONMENT
    del engine.environ["RE_STEP_ISOLATION"]
    engine.environ |= settings
    if as_stranger:
        engine.command = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", *engine.command]
        for path in (directory, directory / "settings.yaml"):
            os.chown(path, STRANGER, STRANGER)
        engine.log.touch()
    with started(engine):
        yield engine


@pytest.fixture
def free() -> Iterator[Path]:
    """A directory in which everybody may do everything."""
    with tempfile.TemporaryDirectory(prefix="re-free-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture
def place() -> Iterator[Path]:
    """A place for an engine that everybody may go to."""
    with tempfile.TemporaryDirectory(prefix="re-place-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _attack(engine: EngineProcess, free: Path) -> dict[str, str]:
    """Attack -> all that it printed, and what it was after."""
    worker = engine.worker()
    assert worker is not None and engine.process is not None
    names = {
        "D": engine.data,
        "C": engine.directory / "settings.yaml",
        "FREE": free,
        "ENGINE": worker.pid,
        "MASTER": engine.process.pid,
    }
    given = "; ".join(f"{name}={shlex.quote(str(value))}" for name, value in names.items())
    attacks = (run_step(f"{given}; {line} 2>&1; true") for line, _ in ATTACKS.values())
    book = steps_book(*attacks, run_step(f"echo {OVER}"))
    with engine.client() as all_rights:
        group = all_rights.create_token("eve", ["tests"])["token"]
    printed: dict[str, list[str]] = {name: [] for name in ATTACKS}
    with Client((engine.data / "url").read_text().strip(), group) as client:
        id = begin(client, book)
        assert ended(client, id)["status"] == "completed"
        await_line(client, id, OVER)
        for line in client.output(id):
            assert line["step"] is not None
            if line["text"] != OVER:
                printed[list(ATTACKS)[line["step"]]].append(line["text"])
    return {name: "\n".join(lines) for name, lines in printed.items()}


def _succeeded(engine: EngineProcess, printed: Mapping[str, str]) -> set[str]:
    token = (engine.data / "token").read_text().strip()
    return {name for name, (_, prize) in ATTACKS.items() if prize.replace("$TOKEN", token) in printed[name]}


def _is_root() -> bool:
    return os.geteuid() == 0


def _stranger_can_run_it() -> bool:
    """Whether another user may use this interpreter and these files."""
    argv = ["setpriv", f"--reuid={STRANGER}", "--clear-groups", sys.executable, "-c", "import re_up.command"]
    return _is_root() and shutil.which("setpriv") is not None and subprocess.run(argv, check=False).returncode == 0


needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


def test_without_isolation_each_attack_succeeds(place: Path, free: Path) -> None:
    """Else the other tests would show nothing."""
    with _engine(place, False, RE_STEP_ISOLATION="off") as engine:
        printed = _attack(engine, free)
        assert _succeeded(engine, printed) == set(ATTACKS) - {"asks its own environment"}
        assert "step_isolation is off" in engine.log.read_text()


@pytest.mark.skipif(not (_is_root() or landlock.version()), reason="neither root nor Landlock")
def test_by_default_no_attack_succeeds(place: Path, free: Path) -> None:
    with _engine(place, False) as engine:
        printed = _attack(engine, free)
        assert _succeeded(engine, printed) == set()
        assert "Permission denied" in printed["reads the token"]


@needs_landlock
def test_no_attack_succeeds_on_an_engine_of_a_user_without_rights(place: Path, free: Path) -> None:
    if not _stranger_can_run_it():
        pytest.skip("needs root, and an interpreter that others may use")
    with _engine(place, True) as engine:
        printed = _attack(engine, free)
        assert _succeeded(engine, printed) == set()
        assert "Permission denied" in printed["reads the token"]


@needs_landlock
@pytest.mark.skipif(not _is_root(), reason="needs root")
def test_programs_that_run_as_root_cannot_read_secrets_either_and_the_engine_says_that_root_has_ways(
    place: Path, free: Path
) -> None:
    with _engine(place, False, RE_STEP_USER="root") as engine:
        printed = _attack(engine, free)
        assert _succeeded(engine, printed) == set()
        assert "root can circumvent it" in engine.log.read_text()


@needs_landlock
@pytest.mark.parametrize("user", ["", "root"])
def test_what_a_step_left_behind_is_as_confined_as_the_step(user: str, place: Path, free: Path) -> None:
    if user and not _is_root():
        pytest.skip("needs root")
    with _engine(place, False, RE_STEP_USER=user) as engine:
        go, tried = free / "go", free / "tried"
        later = f"until test -e {go}; do sleep 0.05; done; cat {engine.data}/token > {free}/found 2>&1; touch {tried}"
        with engine.client() as client:
            id = begin(client, steps_book(run_step(f'setsid sh -c "{later}" > /dev/null 2>&1 & true')))
            assert ended(client, id)["status"] == "completed"

        go.touch()
        wait_until("what was left behind has tried", tried.exists, 30)

        assert "Permission denied" in (free / "found").read_text()


def test_what_is_required_and_cannot_be_had_keeps_the_engine_from_starting(
    new_engine: Callable[[], EngineProcess],
) -> None:
    engine = new_engine()
    engine.environ["RE_STEP_ISOLATION"] = "required"
    engine.environ["RE_STEP_USER"] = "root" if _is_root() else "no-such-user"
    ran = engine.run("up")
    assert ran.returncode == 2
    assert "step_isolation is required" in ran.stderr or "has no user 'no-such-user'" in ran.stderr


def test_a_token_of_a_group_runs_no_program_unless_the_settings_say_that_its_group_may(place: Path) -> None:
    engine = EngineProcess(place)
    try:
        engine.start()
        with engine.client() as all_rights:
            own = all_rights.apply_playbook(steps_book(run_step("echo still mine")).encode())
            token = all_rights.create_token("eve", ["tests"])["token"]
        with Client((engine.data / "url").read_text().strip(), token) as client:
            with pytest.raises(ApiError, match="may not use 'command:Run': the setting group_commands"):
                begin(client, steps_book(run_step("cat token")))
            with pytest.raises(ApiError, match="may not use 'command:Run': the setting group_commands"):
                client.deploy("tests", own["id"], {})
    finally:
        engine.end()
