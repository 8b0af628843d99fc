"""Command lines with real programs: what they print, how they end, and that all of them end with a cancel."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from re_core.wire.messages import parse_output
from re_core.wire.redaction import REDACTED, Redaction
from re_workers.context import Call, Context
from re_workers.lines import KEPT
from re_workers.outcomes import Outcome
from re_workers.outgoing import MAX_LINE, Origin, Outgoing
from re_workers.perform import perform
from re_workers.steps.command import Command
from re_workers.steps.confinement import Confinement
from re_workers.steps.orphans import ATTEMPT, ENGINE
from re_workers.testing import Result, run
from tests.integration.workers.waiting import until

#: of the engine, in the environment of its programs: other tests run at the same time
NAME = f"engine-of-test-{os.getpid()}"


def _run(cmd: str, **parameters: object) -> Result:
    return run(Command(NAME), "command:Run", {"cmd": cmd, **parameters})


def test_the_line_is_the_shells() -> None:
    result = _run('for i in 1 2 3; do echo $i; done | tac && echo "a b"')
    assert (result.status, result.output, result.message) == ("completed", ["3", "2", "1", "a b"], None)


def test_both_streams_are_one_in_their_order() -> None:
    assert _run("echo a; echo b >&2; echo c; printf d").output == ["a", "b", "c", "d"]


def test_an_exit_code_fails_the_step_with_the_last_words() -> None:
    result = _run("for i in 1 2 3 4 5 6 7; do echo $i; done; exit 3")
    assert (result.status, result.message) == ("failed", "exit code 3: 7")
    assert result.data == {"code": 3, "output": ["3", "4", "5", "6", "7"]}


def test_the_last_words_have_no_part_of_a_secret_that_a_cut_divides() -> None:
    secret = Redaction([re.compile("hunter2")])
    for kept in (MAX_LINE, KEPT):
        cmd = f"head -c {kept - 3} /dev/zero | tr '\\0' x; echo hunter2hunter2; exit 3"
        result = run(Command(NAME), "command:Run", {"cmd": cmd}, redaction=secret)
        assert result.status == "failed" and result.message is not None
        assert not any("h" in line.replace(REDACTED, "") for line in (*result.output, *result.data["output"]))
        assert "h" not in result.message.replace(REDACTED, "")


@pytest.mark.parametrize(
    ("parameters", "output"),
    [
        ({"cmd": "false\necho after"}, []),
        ({"cmd": "false; echo after\n"}, ["after"]),
        ({"cmd": "\nfalse; echo after\n\n"}, ["after"]),
        ({"cmd": "false\necho after", "failfast": False}, ["after"]),
        ({"cmd": "false; echo after", "failfast": True}, []),
        ({"cmd": "false\necho after", "shell": "/bin/bash"}, []),
        ({"cmd": "false\necho after", "shell": ["/bin/bash"]}, ["after"]),
        ({"cmd": "false | true\necho after", "shell": ["/bin/bash", "-eu", "-o", "pipefail"]}, []),
        ({"cmd": "false\necho after", "shell": ["/bin/sh"], "failfast": True}, []),
        ({"cmd": "import sys\nprint('after')", "shell": sys.executable}, ["after"]),
    ],
)
def test_a_script_of_several_lines_ends_with_the_first_that_fails_unless_its_author_says_otherwise(
    parameters: dict[str, object], output: list[str]
) -> None:
    result = run(Command(), "command:Run", parameters)
    assert result.output == output
    assert result.status == ("completed" if output else "failed")


def test_a_script_with_carriage_returns_is_refused_with_the_reason() -> None:
    message = _run("echo a\necho b\r\n").message or ""
    assert "line 2 has a carriage return" in message
    assert "save the file with Unix line ends" in message


def test_a_program_that_was_killed_is_named_so() -> None:
    assert _run("kill -9 $$").message == "killed by signal 9"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert _run(r"printf '\377\000x\n'").output == ["\ufffd\0x"]


def test_directory_and_environment_are_the_steps(tmp_path: Path) -> None:
    result = _run('pwd; echo "$WORD"; echo "$RE_ENGINE $RE_ATTEMPT"', cwd=str(tmp_path), env={"WORD": "a b"})
    assert result.output == [str(tmp_path), "a b", f"{NAME} test/0/1"]


def test_dynamic_values_are_variables() -> None:
    values = {
        "version": "1.4 $(id)",
        "cart-id": 7,
        "häufig": [True, None],
        "PATH": "/evil",
        "a.b": "dot",
    }
    line = r"""printf '%s\n' "$RE_DYNAMIC_VERSION" "$RE_DYNAMIC_CART_ID" "$RE_DYNAMIC_H_UFIG" "$RE_DYNAMIC_A_B"; env"""
    result = run(Command(), "command:Run", {"cmd": line, "dynamic": ["version"]}, dynamic=values)
    assert result.output[:4] == ["1.4 $(id)", "7", "[true,null]", "dot"]
    assert "RE_DYNAMIC_PATH=/evil" in result.output
    assert "PATH=/evil" not in result.output


def test_what_the_playbook_sets_goes_before_what_the_caller_supplied() -> None:
    parameters = {"cmd": 'echo "$RE_DYNAMIC_STAGE"', "env": {"RE_DYNAMIC_STAGE": "fixed"}}
    assert run(Command(), "command:Run", parameters, dynamic={"stage": "theirs"}).output == ["fixed"]


def test_a_dynamic_value_that_no_variable_can_hold_fails_the_step() -> None:
    for value in ("a\0b", "x" * 200_000):
        result = run(Command(), "command:Run", {"cmd": "true"}, dynamic={"v": value})
        assert result.status == "failed"
        assert "the value 'v' cannot be an environment variable of programs" in (result.message or "")


def test_two_values_of_one_variable_fail_the_step() -> None:
    result = run(Command(), "command:Run", {"cmd": "true"}, dynamic={"a-b": 1, "a_b": 2})
    assert result.message is not None
    assert result.message.endswith("'a_b' and 'a-b' would both be RE_DYNAMIC_A_B")


def test_it_inherits_what_programs_need_and_no_other_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"LC_TIME": "C", "TZ": "UTC", "https_proxy": "http://proxy"}
    for name in (
        *kept,
        "RE_TOKEN",
        "RE_BUS_URL",
        "RE_STORE_URL",
        "RE_CONFIG",
        "RE_DATA_DIR",
        "AWS_SECRET",
        "LD_PRELOAD_",
    ):
        monkeypatch.setenv(name, kept.get(name, f"value of {name}"))

    output = run(Command(), "command:Run", {"cmd": "env"}).output

    assert {f"{name}={value}" for name, value in kept.items()} <= set(output)
    assert not [line for line in output if "value of" in line]


def test_further_variables_pass_where_the_settings_name_them_but_none_of_the_engines_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "STAGE", "STAGES", "RE_TOKEN"):
        monkeypatch.setenv(name, f"value of {name}")
    command = Command(confinement=Confinement(isolation="off", passed=["AWS_*", "STAGE", "RE_*"]))

    output = run(command, "command:Run", {"cmd": "env"}).output

    assert sorted(line for line in output if "value of" in line) == [
        "AWS_REGION=value of AWS_REGION",
        "STAGE=value of STAGE",
    ]


def test_it_runs_once_for_each_host_and_stops_at_the_first_failure() -> None:
    command = {"cmd": 'echo "on $RE_HOST"; test "$RE_HOST" != b'}
    result = run(Command(), "command:Run", command, hosts=["a", "b", "c"])
    assert (result.status, result.output) == ("failed", ["on a", "on b"])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cmd": "true", "cwd": "/no/such/place"}, "could not start /bin/sh: "),
        ({"cmd": "true", "shell": "/no/such/shell"}, "could not start /no/such/shell: "),
        ({"cmd": "a\0b"}, "the parameter 'cmd' is wrong: expected a string without NUL"),
        (
            {"cmd": "true", "env": {"A": "a\0b"}},
            "the parameter 'env/A' is wrong: expected a string without NUL",
        ),
        ({"cmd": "true", "env": {"A=B": "a"}}, "the parameter 'env/A=B' is wrong: expected the name of"),
        ({"cmd": "no-such-program-anywhere"}, "exit code 127: "),
    ],
)
def test_what_cannot_be_started_fails_with_the_reason(parameters: dict[str, object], message: str) -> None:
    result = run(Command(), "command:Run", parameters)
    assert result.status == "failed"
    assert result.message is not None
    assert result.message.startswith(message)


def test_a_child_left_behind_on_purpose_neither_hangs_the_step_nor_is_ended(tmp_path: Path) -> None:
    result = _run(f"sleep 300 & echo $! > {tmp_path}/pid; echo done")
    left = psutil.Process(int((tmp_path / "pid").read_text()))
    try:
        assert (result.status, result.output[0]) == ("completed", "done")
        assert result.output[1:] == [f"[left behind: sleep ({left.pid}); further output of it is dropped]"]
        assert left.is_running()
    finally:
        left.kill()


class Running:
    """A command on a thread of its own, as the loop runs it."""

    def __init__(self, cmd: str) -> None:
        self.outgoing = Outgoing(Origin("D", 0, "D/0/1/T"), lambda: None)
        call = Call("D/0/1", "D", 0, 1, "command", "Run", "g", (), {}, None)
        self.context = Context(call, self.outgoing)
        self.outcome: Outcome | None = None
        self.printed = ""
        self._thread = threading.Thread(target=self._perform, args=(cmd,))
        self._thread.start()

    def _perform(self, cmd: str) -> None:
        worker = Command(NAME)
        self.outcome = perform(worker, worker.steps["Run"], self.context, {"cmd": cmd})

    def wait_for(self, text: str) -> None:
        """Until it has printed that."""

        def has_printed() -> bool:
            self.printed += "".join(parse_output(message.body) for message in self.outgoing.drain())
            return text in self.printed

        until(has_printed)

    def cancel(self) -> Outcome | None:
        """Cancel it, and how it ended."""
        self.context.cancel()
        self._thread.join(30)
        return self.outcome


def _marked() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        if (environment.get(ENGINE), environment.get(ATTEMPT)) == (NAME, "D/0/1"):
            found.append(process)
    return found


def test_lines_come_while_the_program_runs() -> None:
    running = Running("echo first; sleep 300")
    running.wait_for("first")
    assert running.outcome is None
    assert running.cancel() == Outcome("failed", {"output": ["first"]}, "cancelled")


CHILDREN: list[tuple[str, str]] = [
    ("one program", "echo up; exec sleep 300"),
    ("a pipe of several", "sh -c 'sleep 300 | sleep 300' & echo up; wait"),
    ("a child in a session of its own", "setsid sleep 300 & sleep 0.2; echo up; wait"),
    ("a child whose parent is gone", "(setsid sh -c 'sleep 300 & sleep 300' &) ; sleep 0.2; echo up; sleep 300"),
    ("one that hides its marks", "env -i sleep 300 & echo up; wait"),
]


@pytest.mark.parametrize("cmd", [cmd for _, cmd in CHILDREN], ids=[name for name, _ in CHILDREN])
def test_a_cancel_ends_all_of_it(cmd: str) -> None:
    running = Running(cmd)
    running.wait_for("up")
    assert running.cancel() == Outcome("failed", {"output": ["up"]}, "cancelled")
    until(lambda: not _marked())


def test_one_that_does_not_want_to_end_is_made_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.steps.orphans.GRACE", 0.3)
    running = Running("trap '' TERM; echo up; while :; do sleep 1; done")
    running.wait_for("up")
    assert running.cancel() == Outcome("failed", {"output": ["up"]}, "cancelled")
    until(lambda: not _marked())


def test_what_it_prints_while_it_is_ended_is_kept() -> None:
    running = Running("trap 'sleep 0.5; echo rolled back; exit 0' TERM; echo up; sleep 300 & wait")
    running.wait_for("up")
    assert running.cancel() == Outcome("failed", {"output": ["up", "rolled back"]}, "cancelled")
    running.wait_for("rolled back")
    assert not _marked()


def test_it_has_ended_only_when_all_of_its_children_have() -> None:
    """The program itself is gone at once; its child takes its time."""
    running = Running("(trap 'sleep 0.5; echo last words; exit' TERM; echo up; sleep 300 & wait) & wait")
    running.wait_for("up")
    assert running.cancel() == Outcome("failed", {"output": ["up", "last words"]}, "cancelled")
    assert not _marked()


def test_nothing_is_begun_on_the_next_host_after_a_cancel() -> None:
    result = run(Command(), "command:Run", {"cmd": "echo here"}, hosts=["a", "b"], cancelled=True)
    assert (result.status, result.message, result.output) == ("failed", "cancelled", [])


#: the shell that knows `> >(...)`
BASH = {"shell": "/bin/bash"}


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, nothing is taken for left behind."""
    monkeypatch.setattr("re_workers.steps.program.QUIET", 300.0)
    monkeypatch.setattr("re_workers.steps.program.LINGER", 300.0)


@pytest.mark.usefixtures("patient")
def test_what_a_filter_prints_after_the_program_is_kept() -> None:
    """`exec > >(...)`: the shell does not wait for it, and it is slower than the shell."""
    slow = 'exec > >(while read -r line; do sleep 0.02; echo "> $line"; done; sleep 0.5; echo end); seq 1 20'
    result = _run(slow, **BASH)
    assert (result.status, result.output) == ("completed", [*(f"> {number}" for number in range(1, 21)), "end"])


@pytest.mark.usefixtures("patient")
def test_a_failure_s_last_words_are_those_of_its_filter() -> None:
    result = _run("exec > >(sed 's/^/> /'); echo broken; exit 3", **BASH)
    assert (result.message, result.output) == ("exit code 3: > broken", ["> broken"])


def test_a_child_that_prints_on_does_not_hold_the_step_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.steps.program.LINGER", 0.3)
    result = _run("(while echo tick; do sleep 0.05; done) & echo $!")
    left = psutil.Process(int(next(line for line in result.output if line != "tick")))
    try:
        assert result.status == "completed"
        assert result.output[-1].startswith("[left behind: ")
        assert f"({left.pid})" in result.output[-1]
    finally:
        left.kill()


#: prints much more than a pipe has room for, counts its lines in a file, and says there when it could not print
CHATTY = (
    "(i=0; while printf '%01000d\\n' 0; do i=$((i+1)); echo $i > {0}/new; mv {0}/new {0}/count; done; touch {0}/dead)"
)


def _run_elsewhere(line: str) -> str:
    """By a worker process that ends with the step; what it printed."""
    code = "import sys; from re_workers.testing import run; from re_workers.steps.command import Command"
    code += f"; print(run(Command({NAME!r}), 'command:Run', {{'cmd': sys.argv[1]}}).output)"
    words = [sys.executable, "-c", code, line]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("dies", [False, True], ids=["the worker lives", "the worker is gone"])
def test_what_a_child_that_was_left_behind_prints_does_not_end_it(tmp_path: Path, dies: bool) -> None:
    line = f"echo $$ > {tmp_path}/session; (while ! test -e {tmp_path}/go; do sleep 0.02; done; {CHATTY.format(tmp_path)}) &"
    count = tmp_path / "count"
    try:
        output = _run_elsewhere(line) if dies else "\n".join(_run(line).output)
        assert "left behind" in output
        (tmp_path / "go").touch()
        until(lambda: count.exists() and int(count.read_text()) > 500)
        assert not (tmp_path / "dead").exists()
    finally:
        os.killpg(int((tmp_path / "session").read_text()), signal.SIGKILL)


@pytest.mark.usefixtures("patient")
def test_a_cancel_while_it_is_read_on_ends_what_is_left() -> None:
    running = Running("sleep 300 & echo up")
    running.wait_for("up")
    assert running.cancel() == Outcome("failed", {"output": ["up"]}, "cancelled")
    assert not _marked()


@pytest.mark.parametrize(
    ("cmd", "parameters", "data"),
    [
        ("echo Applying 0012; echo done", {"changed_if": "Applying"}, {"changed": True, "code": 0}),
        ("echo nothing to do", {"changed_if": "Applying"}, {"changed": False, "code": 0}),
        ("exit 3", {"unchanged": [3]}, {"changed": False, "code": 3}),
        ("exit 0", {"unchanged": [3]}, {"changed": True, "code": 0}),
        ("echo Applying; exit 3", {"unchanged": [3], "changed_if": "Applying"}, {"changed": False, "code": 3}),
        ("exit 2", {"ok": [2], "unchanged": [3]}, {"changed": True, "code": 2}),
        ("true", {}, None),
    ],
)
def test_the_author_says_how_a_change_is_seen(cmd: str, parameters: dict[str, object], data: object) -> None:
    found = _run(cmd, **parameters)
    assert (found.status, found.data) == ("completed", data), found.message


def test_an_exit_code_that_is_none_of_both_fails() -> None:
    assert _run("exit 4", ok=[0], unchanged=[3]).status == "failed"
    script = run(Command(), "command:Script", {"script": "echo Applying", "changed_if": "Applying"})
    assert script.data == {"changed": True, "code": 0}
