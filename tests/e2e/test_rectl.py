"""rectl as people use it: the shipped command, a real engine, and where it matters a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.engine_process import EngineProcess, wait_until

#: seconds for what takes one or two
PATIENCE = 60.0

#: becomes the rest of its command line, with standard input as the terminal that Ctrl-C comes from
CONTROLLED = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execvp(sys.argv[1], sys.argv[1:])"

BOOK = """
group: inception
name: Two hosts
execution:
  - description: greet from both
    hosts: [a.example.com, b.example.com]
    steps:
      - command:Run: {cmd: 'echo "hello from $RE_HOST"'}
      - noop:Do: {dynamic: [cart]}
"""


def _on_one_host(name: str, *steps: str | dict[str, dict[str, object]]) -> str:
    """A playbook of these steps: JSON, which is YAML too."""
    document = {"group": "inception", "name": name, "execution": [{"hosts": ["a.example.com"], "steps": list(steps)}]}
    return json.dumps(document)


FAILING = _on_one_host("Failing", {"command:Run": {"cmd": "echo all is lost; exit 3"}}, "noop:Do")
SLOW = _on_one_host("Slow", {"command:Run": {"cmd": "echo it has begun; sleep 600"}})
NAP = _on_one_host("Nap", {"sleep:Seconds": {"seconds": 1}})


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, engine: EngineProcess, *words: str) -> None:
        leader, follower = pty.openpty()
        environ = {**engine.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", "LINES": "30"}
        self._leader = leader
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTROLLED, "rectl", *words],
            env=environ,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self.shown = ""

    def shows(self, text: str) -> bool:
        """Whether it has shown this by now."""
        while select.select([self._leader], [], [], 0)[0]:
            try:
                self.shown += os.read(self._leader, 65536).decode(errors="replace")
            except OSError:  # how Linux says that nobody has the other end open any more
                break
        return text in self.shown

    def press(self, key: bytes) -> None:
        """Type."""
        os.write(self._leader, key)

    def end(self) -> int:
        """Wait for its end; the exit code."""
        wait_until("the command has ended", self._ended, PATIENCE)
        os.close(self._leader)
        return self.process.wait()

    def _ended(self) -> bool:
        # what nobody reads blocks who writes; what was written last is read after the end
        ended = self.process.poll() is not None
        self.shows("")
        return ended


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """One engine for all tests of this file that do not restart it."""
    found = EngineProcess(tmp_path_factory.mktemp("engine"))
    found.start()
    for name, text in (("book", BOOK), ("failing", FAILING), ("slow", SLOW)):
        (found.directory / f"{name}.yaml").write_text(text)
        applied = found.run("playbook", "apply", str(found.directory / f"{name}.yaml"))
        assert applied.returncode == 0, applied.stderr
    yield found
    assert found.stop() == 0


@pytest.fixture
def terminal(engine: EngineProcess) -> Iterator[Callable[..., Terminal]]:
    """Makes terminals, and ends what still runs on one."""
    made: list[Terminal] = []

    def make(*words: str) -> Terminal:
        made.append(Terminal(engine, *words))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()


def test_from_a_file_to_a_finished_deployment(engine: EngineProcess) -> None:
    plan = engine.run("playbook", "plan", "inception/Two hosts", "--set", "cart=x")
    assert [line.split()[2:4] for line in plan.stdout.splitlines()[1:]] == [
        ["command:Run", "a.example.com"],
        ["noop:Do", "a.example.com"],
        ["command:Run", "b.example.com"],
        ["noop:Do", "b.example.com"],
    ]
    watched = engine.run("deploy", "inception/Two hosts", "--set", "cart=x", "--watch")
    assert watched.returncode == 0, watched.stderr
    assert "step 2 | hello from b.example.com" in watched.stdout
    assert watched.stdout.splitlines()[-1].endswith("4 steps: 4 completed")
    id = watched.stderr.split()[-1]
    shown = engine.run("logs", id).stdout
    assert shown == "a.example.com | hello from a.example.com\nb.example.com | hello from b.example.com\n"
    assert engine.run("status", id).returncode == 0
    assert json.loads(engine.run("status", id, "--json").stdout)["counts"] == {"completed": 4, "total": 4}
    assert id in engine.run("deployments", "--status", "completed").stdout


def test_one_key_starts_one_deployment(engine: EngineProcess) -> None:
    ids = {engine.run("deploy", "inception/Two hosts", "--set", "cart=x", "--key", "once").stdout for _ in range(2)}
    assert len(ids) == 1
    other = engine.run("deploy", "inception/Two hosts", "--set", "cart=other", "--key", "once")
    assert (other.returncode, other.stdout) == (2, "")


def test_missing_values_are_all_named(engine: EngineProcess) -> None:
    ran = engine.run("deploy", "inception/Two hosts")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "/dynamic/cart" in ran.stderr


def test_a_failure_on_a_terminal_is_explained_and_exits_1(terminal: Callable[..., Terminal]) -> None:
    watching = terminal("deploy", "inception/Failing", "--watch")
    assert watching.end() == 1
    assert "exit code 3" in watching.shown
    assert "| \x1b[0mall is lost" in watching.shown


def test_ctrl_c_leaves_the_deployment_alone_and_cancel_ends_it(
    engine: EngineProcess, terminal: Callable[..., Terminal]
) -> None:
    watching = terminal("deploy", "inception/Slow", "--watch")
    wait_until("the step's output is shown", lambda: watching.shows("it has begun"), PATIENCE)
    watching.press(b"\x03")
    assert watching.end() == 130
    id = watching.shown.rpartition("rectl cancel ")[2].split()[0]
    assert json.loads(engine.run("status", id, "--json").stdout)["status"] == "running"
    cancelled = engine.run("cancel", id, "--reason", "enough", "--wait")
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    assert engine.run("status", id).returncode == 1


def test_a_token_reaches_its_groups_and_no_other(engine: EngineProcess) -> None:
    made = engine.run("token", "create", "--user", "ann", "--group", "elsewhere", "--json")
    token = json.loads(made.stdout)
    hers = {"RE_TOKEN": token["token"]}
    assert json.loads(engine.run("playbook", "list", "--json", more=hers).stdout) == []
    assert engine.run("token", "list", more=hers).returncode == 3
    assert engine.run("token", "revoke", token["id"]).returncode == 0
    assert engine.run("playbook", "list", more=hers).returncode == 3


def test_watching_goes_on_over_a_restart_of_the_engine(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        engine.environ["RE_HTTP"] = f"127.0.0.1:{free.getsockname()[1]}"
    engine.start()
    (tmp_path / "nap.yaml").write_text(NAP)
    engine.run("playbook", "apply", str(tmp_path / "nap.yaml"))
    watching = subprocess.Popen(
        ["rectl", "deploy", "inception/Nap", "--watch"], env=engine.environ, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    told = ""
    while "running" not in told:
        told += watching.stdout.readline()
    engine.kill_everything()
    engine.start()
    rest, _ = watching.communicate(timeout=PATIENCE)
    assert engine.stop() == 0
    assert "connection lost" in rest
    assert (watching.returncode, rest.splitlines()[-1].endswith("1 step: 1 completed")) == (0, True)


def test_a_scaffolded_worker_is_loaded_and_its_steps_are_checked(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path)
    assert engine.run("worker", "new", "greet").returncode == 0
    engine.start()
    book = tmp_path / "greet.yaml"
    start = "group: g\nname: n\nexecution:\n  - hosts: [a]\n    steps:\n      - "
    wait_until("the worker lives", lambda: "greet:Hello" in engine.run("workers").stdout, PATIENCE)
    book.write_text(start + "greet:Helo: {name: Ann}\n")
    wrong = engine.run("playbook", "apply", str(book))
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(f"{book}:6:9: /execution/0/steps/0")
    book.write_text(start + "greet:Hello: {name: Ann}\n")
    assert engine.run("playbook", "apply", str(book)).returncode == 0
    watched = engine.run("deploy", "g/n", "--watch")
    assert (watched.returncode, "| Hello Ann" in watched.stdout) == (0, True), watched.stderr
    assert engine.stop() == 0
