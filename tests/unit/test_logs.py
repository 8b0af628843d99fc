"""Log lines: the form of docs/reference/logs.md, and nothing that a message says can forge another one."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.runtime import logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What `setup` does to the root logger is undone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def _logged(form: str, message: str, **extra: object) -> str:
    stream = io.StringIO()
    logs.setup("recore", form, "info", stream)
    logging.getLogger("some.module").info(message, extra=extra)
    return stream.getvalue()


def test_a_text_line_has_the_form_of_the_contract() -> None:
    line = _logged("text", "hello", deployment_id="01D", user_id="ann", active_step="noop:Do")
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC - app_component="recore" - source_ip="" - log_level="INFO"'
        r' - playbook_id="" - deployment_id="01D" - user_id="ann" - active_step="noop:Do" - deploy_phase=""'
        r' - message="hello"\n',
        line,
    )


def test_what_is_ours_stands_behind_what_is_the_contracts() -> None:
    line = _logged("text", "hello", action="dispatch", step=3, worker="w1")
    assert line.endswith(' - message="hello" - action="dispatch" - step="3" - worker="w1"\n')


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_no_message_makes_two_lines(end: str) -> None:
    line = _logged("text", f"one{end}two", user_id=f"a{end}b")
    assert len(line.splitlines()) == 1


def test_a_quote_in_a_message_forges_no_field() -> None:
    line = _logged("text", 'x" - user_id="root', user_id="ann")
    assert re.findall(r'(?<!\\)" - user_id="([^"]*)"', line) == ["ann"]


def test_a_backslash_before_the_closing_quote_is_escaped_too() -> None:
    assert _logged("text", "end\\").endswith('message="end\\\\"\n')


def test_an_escape_sequence_does_not_reach_the_terminal() -> None:
    assert "\x1b" not in _logged("text", "\x1b[31mred")


def test_a_json_line_has_the_same_names_and_only_what_is_known() -> None:
    document = json.loads(_logged("json", 'say "hi"\nbye', deployment_id="01D", step=0, user_id=""))
    assert document.pop("time").endswith("Z")
    assert document == {
        "app_component": "recore",
        "log_level": "INFO",
        "logger": "some.module",
        "deployment_id": "01D",
        "step": 0,
        "message": 'say "hi"\nbye',
    }


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_stays_on_the_line_of_its_record(form: str) -> None:
    stream = io.StringIO()
    logs.setup("recore", form, stream=stream)
    try:
        raise ValueError("broken\nhalf")
    except ValueError:
        logging.getLogger().exception("it failed")
    (line,) = stream.getvalue().splitlines()
    assert "it failed\\nTraceback" in line
    assert "ValueError: broken\\nhalf" in line


def test_a_second_setup_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.setup("recore", stream=first)
    logs.setup("recore", stream=second)
    logging.getLogger().warning("once")
    assert not first.getvalue()
    assert second.getvalue().count("once") == 1


def test_records_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.setup("recore", level="warning", stream=stream)
    logging.getLogger().info("quiet")
    assert not stream.getvalue()


def test_each_deployment_gets_a_file_of_its_own(tmp_path: Path) -> None:
    logs.setup("recore", stream=io.StringIO(), deployment_log_dir=tmp_path / "logs")
    logger = logging.getLogger("any")
    logger.info("of a", extra={"deployment_id": "A"})
    logger.info("of b", extra={"deployment_id": "B"})
    logger.info("of none")
    logger.info("again", extra={"deployment_id": "A"})
    written = {file.name: file.read_text().count("message=") for file in (tmp_path / "logs").iterdir()}
    assert written == {"A.log": 2, "B.log": 1}


def test_a_deployments_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    handler = logs.DeploymentFiles(directory)
    handler.emit(logging.makeLogRecord({"msg": "hi", "deployment_id": "01M8"}))
    handler.close()

    [file] = directory.iterdir()
    assert (directory.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_few_files_are_open_and_none_loses_a_line(tmp_path: Path) -> None:
    handler = logs.DeploymentFiles(tmp_path, max_open=2)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for number in range(12):
        handler.handle(logging.makeLogRecord({"msg": str(number), "deployment_id": f"D{number % 4}"}))
        assert len(handler._files) <= 2
    handler.close()
    assert (tmp_path / "D1.log").read_text() == "1\n5\n9\n"


@pytest.mark.parametrize("id", ["../../etc/passwd", "a/b", "", ".", "a" * 300, "nul\0", "ö", "CON.txt", "\ud800"])
def test_an_id_of_any_shape_names_a_file_inside_the_directory(id: str) -> None:
    name = logs.file_name(id)
    assert re.fullmatch(r"x\.[0-9a-f]{32}\.log", name)


def test_an_id_of_ours_names_its_file_as_it_is() -> None:
    assert logs.file_name("01JDEADBEEF") == "01JDEADBEEF.log"


def test_a_directory_that_cannot_be_written_does_not_stop_who_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    logs.setup("recore", stream=io.StringIO(), deployment_log_dir=in_the_way)
    logging.getLogger().info("hello", extra={"deployment_id": "A"})
    assert "FileExistsError" in capsys.readouterr().err


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_short_lines_and_a_pipe_the_contracts_form() -> None:
    stream = _Terminal()
    logs.setup("recore", "auto", "info", stream)
    logging.getLogger("some.module").info(
        'check "all is well" failed', extra={"deployment_id": "01D", "action": "failed"}
    )
    assert re.fullmatch(r'\d\d:\d\d:\d\d 01D check "all is well" failed\n', stream.getvalue())
    assert 'app_component="recore"' in _logged("auto", "hello")


def test_a_terminal_can_be_given_the_contracts_form_by_the_setting() -> None:
    stream = _Terminal()
    logs.setup("recore", "text", "info", stream)
    logging.getLogger("some.module").info("hello")
    assert 'app_component="recore"' in stream.getvalue()


def test_a_short_line_shows_what_is_wrong_with_its_traceback_and_no_control_character() -> None:
    stream = _Terminal()
    logs.setup("recore", "short", "info", stream)
    try:
        raise ValueError("a\x1b[2Jb\r\nc")
    except ValueError:
        logging.getLogger("some.module").exception("it\x1b[31m broke\nforged")
    first, *others = stream.getvalue().splitlines()
    assert first[8:] == " error: it\\x1b[31m broke\\nforged"
    assert others[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") for line in others)
    assert "\x1b" not in stream.getvalue()


def test_the_file_of_a_deployment_keeps_the_contracts_form_where_a_person_sees_the_short_one(tmp_path: Path) -> None:
    logs.setup("recore", "short", "info", _Terminal(), tmp_path)
    logging.getLogger("some.module").info("hello", extra={"deployment_id": "01D"})
    assert 'app_component="recore"' in (tmp_path / "01D.log").read_text()


@pytest.mark.parametrize("form", ["text", "json", "short"])
def test_what_is_redacted_is_in_no_message_and_no_traceback(form: str, tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.setup("recore", form, "info", stream, tmp_path, [re.compile('say "s3cr3t"'), re.compile("hunter2")])
    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("some.module").exception('they say "s3cr3t"', extra={"deployment_id": "01D"})
    told = stream.getvalue() + (tmp_path / "01D.log").read_text()
    assert told.count("[redacted]") >= 4
    assert "s3cr3t" not in told and "hunter2" not in told.replace('ValueError("hunter2")', "")


def test_a_deployment_s_file_ends_when_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_FILE", 2000)
    logs.setup("recore", "text", "info", io.StringIO(), tmp_path)
    for number in range(50):
        logging.getLogger("some.module").info("line %d", number, extra={"deployment_id": "01D"})
    lines = (tmp_path / "01D.log").read_text().splitlines()
    assert lines[-1] == logs.FULL
    assert 3 < len(lines) < 20
    logs.setup("recore", "text", "info", io.StringIO(), tmp_path)
    logging.getLogger("some.module").info("after a start", extra={"deployment_id": "01D"})
    assert (tmp_path / "01D.log").read_text().splitlines() == lines


def test_files_to_which_nothing_was_written_for_long_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, days in (("old.log", 11), ("new.log", 9), ("other.txt", 99)):
        (tmp_path / name).write_text(f'deployment_id="{name.removesuffix(".log")}"')
        os.utime(tmp_path / name, (time.time() - days * 86_400,) * 2)
    logs.setup("recore", "text", "info", io.StringIO(), tmp_path)
    logging.getLogger("some.module").info("kept", extra={"deployment_id": "01A"})
    assert {one.name for one in tmp_path.iterdir()} == {"old.log", "new.log", "other.txt", "01A.log"}
    logs.setup("recore", "text", "info", io.StringIO(), tmp_path, keep_days=10)
    logging.getLogger("some.module").info("swept", extra={"deployment_id": "01B"})
    assert {one.name for one in tmp_path.iterdir()} == {"new.log", "other.txt", "01A.log", "01B.log"}
    os.utime(tmp_path / "01B.log", (0, 0))  # it is open, and nothing was written to it for long
    monkeypatch.setattr(logs, "SWEEP", 0.0)
    logging.getLogger("some.module").info("open another", extra={"deployment_id": "01C"})
    assert not (tmp_path / "01B.log").exists()
    logging.getLogger("some.module").info("it is written again", extra={"deployment_id": "01B"})
    assert "written again" in (tmp_path / "01B.log").read_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_old_files_of_other_programs_in_the_same_directory_stay(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "syslog.log").write_text("another program's syslog\n")
    monkeypatch.setattr(logs, "SWEEP", 0.0)
    logs.setup("recore", form, "info", io.StringIO(), tmp_path, keep_days=10)
    for id in ("01A", "an id of another shape"):
        logging.getLogger("some.module").info("begins", extra={"deployment_id": id})
    for one in tmp_path.iterdir():
        os.utime(one, (0, 0))
    logging.getLogger("some.module").info("swept", extra={"deployment_id": "01B"})
    assert {one.name for one in tmp_path.iterdir()} == {"syslog.log", "01B.log"}
