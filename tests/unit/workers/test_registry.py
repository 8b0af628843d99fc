"""Where workers come from, and what is said of one that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

import re_workers
from re_core.errors import BadSettings
from re_core.playbook.dynamic_values import BY_NAME
from re_workers.registry import built_in, installed, load_directory, together
from re_workers.steps.noop import Noop
from re_workers.testing import run

GOOD = """
from __future__ import annotations
from typing import Literal
from re_workers import Context, Worker, step

Size = Literal["small", "large"]

class Base(Worker):
    pass

class Pack(Base):
    @step
    def Box(self, ctx: Context, size: Size = "small") -> object:
        return size
"""


def test_the_built_in_workers_have_commands_of_their_own() -> None:
    workers = together(built_in("engine"))
    assert {worker.command for worker in workers} == {
        *("ansible", "noop", "sleep", "command", "git", "httprequest", "prometheus", "sql", "ticket"),
        *("container", "kubernetes"),
        *("app", "archive", "artifact", "cron", "file", "fileops", "group", "host", "nagios", "package", "puppet"),
        *("service", "user", "wait"),
    }


def test_the_core_knows_which_commands_read_values_by_name_only() -> None:
    """Of the engine's own; the core never sees their code, so that a value that no step uses can be named."""
    passing = {one.command for one in built_in() if any(step.options.environment for step in one.steps.values())}
    assert {one.command for one in built_in()} - passing == BY_NAME
    code = Path(re_workers.__file__).parent
    rooms = ("catalog", "containers", "kubernetes", "steps")
    reading = {path.name for room in rooms for path in (code / room).glob("*.py") if "ctx.dynamic" in path.read_text()}
    assert (passing, reading) == ({"command"}, {"command.py"})


def test_noop_does_nothing_well_or_badly() -> None:
    assert run(Noop(), "noop:Whatever", {"any": ["thing"]}).status == "completed"
    assert run(Noop(), "noop:Fail").status == "failed"


@pytest.mark.parametrize("seconds", [-1, 1e12])
def test_a_sleep_of_no_possible_length_fails(seconds: float) -> None:
    [sleep] = [worker for worker in built_in() if worker.command == "sleep"]
    assert run(sleep, "sleep:Seconds", {"seconds": seconds}).status == "failed"
    assert run(sleep, "sleep:Seconds", {"seconds": 0}).status == "completed"


def test_no_package_of_the_tests_brings_workers() -> None:
    assert installed() == []


def test_a_directory_of_plain_files_makes_workers(tmp_path: Path) -> None:
    (tmp_path / "pack.py").write_text(GOOD)
    (tmp_path / "_helpers.py").write_text("raise SystemExit")
    (tmp_path / "notes.txt").write_text("nothing")
    [worker] = load_directory(tmp_path)
    assert worker.command == "pack"
    assert run(worker, "pack:Box", {"size": "large"}).data == "large"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError"),
        ("def", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (GOOD.replace("size: Size", "hosts: Size"), "'hosts' is a key of the step message"),
        (GOOD + "\n    def __init__(self, needed: int) -> None: ...\n", "cannot be created"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(BadSettings) as caught:
        load_directory(tmp_path)
    assert "bad.py" in str(caught.value)
    assert message in str(caught.value)


def test_a_directory_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="does not exist"):
        load_directory(tmp_path / "none")


def test_two_workers_with_one_command_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD.replace("class Pack", "class Noop"))
    with pytest.raises(BadSettings, match="two workers have the command 'noop'"):
        together([*built_in(), *load_directory(tmp_path)])
