"""Runs with records on a real SSH server, through the system's client."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from re_workers.hosts.channels import SshChannel
from re_workers.hosts.port import ENDED, NONE, Opened, Run, Unreachable
from re_workers.hosts.runs import HostRuns
from tests.integration.hosts.rig import Beside, Heard, key
from tests.services.recipe import Place
from tests.services.server import free_ports
from tests.services.sshd import SshHost, running

pytestmark = pytest.mark.service("sshd")

NAME = "web1.test.example"


@pytest.fixture(scope="module")
def server(sshd: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshHost]:
    with running(sshd, tmp_path_factory.mktemp("sshd"), NAME) as host:
        yield host


def _argv(server: SshHost, *more: str) -> list[str]:
    return ["ssh", "-F", str(server.client_config), *more, NAME]


@pytest.fixture
def web1(server: SshHost, request: pytest.FixtureRequest) -> HostRuns:
    return HostRuns(SshChannel(NAME, _argv(server)), f"{server.seen}/{request.node.name}")


def test_a_run_goes_through_ssh_with_its_output_variables_and_exit_code(web1: HostRuns) -> None:
    heard = Heard()
    ended = web1.run(Run(key(), 'echo "$A"; cat; exit 6', {"A": "it's\ntwo"}, stdin="in"), heard, threading.Event())
    assert (ended.code, ended.attached, heard.output) == (6, False, b"it's\ntwo\nin")
    assert web1.look(key()).state == ENDED
    assert web1.sweep([key()]) == 1
    assert web1.look(key()).state == NONE


class _Kept(SshChannel):
    """Knows its newest session, to cut it."""

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        self.newest = super().open(command, stop)
        return self.newest


def test_a_run_goes_on_when_its_connection_is_cut_and_is_heard_whole(server: SshHost) -> None:
    channel = _Kept(NAME, _argv(server))
    seen = f"{server.seen}/cut"
    program = f"echo x >>{seen}.ledger; echo first; until [ -e {seen}.go ]; do sleep 0.05; done; seq 1000; exit 3"
    run = Beside(HostRuns(channel, seen), Run(key(), program))
    run.heard.until(b"first\n")
    channel.newest.kill()
    (server.data / "cut.go").touch()
    ended = run.end()
    assert (ended.code, run.heard.output) == (3, b"first\n" + b"".join(b"%d\n" % n for n in range(1, 1001)))
    assert (server.data / "cut.ledger").read_text() == "x\n"


def test_a_run_that_shall_stop_leaves_nothing_on_the_host(web1: HostRuns, server: SshHost) -> None:
    run = Beside(web1, Run(key(), "(setsid sleep 611 &); echo ready; sleep 611"))
    run.heard.until(b"ready\n")
    run.stop.set()
    assert run.end().code == 143
    left = subprocess.run([*_argv(server), "grep -lzx '61[1]' /proc/[0-9]*/cmdline"], capture_output=True, text=True)
    assert left.stdout == ""


def test_a_host_that_cannot_be_reached_is_named_with_what_ssh_says(server: SshHost, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    runs = HostRuns(SshChannel(NAME, _argv(server, "-p", str(port))))
    with pytest.raises(Unreachable, match=rf"{NAME} cannot be reached: .*refused"):
        runs.run(Run(key(), "true"), Heard(), threading.Event())
