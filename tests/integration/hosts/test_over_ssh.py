"""Hosts over real ssh servers: connections that stay, sessions over them, and every way in which a host cannot be reached."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from re_workers.hosts.channels import SshChannel
from re_workers.hosts.facts import HostFacts
from re_workers.hosts.port import (
    RUNS,
    BadHost,
    HostError,
    HostKeyRefused,
    LoginRefused,
    Run,
    RunKey,
    ShellSilent,
    Unreachable,
)
from re_workers.hosts.remote import way_of
from re_workers.hosts.runs import HostRuns
from re_workers.hosts.ssh import sockets
from re_workers.hosts.ssh.way import client
from re_workers.machine_slot import MachineSlot
from tests.e2e.deploying import living
from tests.integration.hosts.farm import STOP, Farm, run
from tests.integration.hosts.rig import Beside, Heard
from tests.integration.workers.waiting import until
from tests.network_link import NetworkLink
from tests.services.recipe import Place
from tests.services.server import free_ports
from tests.services.sshd import SshHost, running

pytestmark = pytest.mark.service("sshd")


def _row(host: SshHost, request: pytest.FixtureRequest, **more: Any) -> dict[str, Any]:
    return host.row(records=f"{host.seen}/{request.node.name}", **more)


def test_sessions_share_a_connection_and_need_no_process_of_the_worker(
    farm: Farm, web1: SshHost, request: pytest.FixtureRequest
) -> None:
    runner = farm.runner({"web1": _row(web1, request)})
    assert run(runner, "echo out; echo err >&2; cat; exit 7", stdin="in\n") == (7, b"out\nerr\nin\n")
    before = farm.clients()
    running_ = [Beside(runner, Run(RunKey(f"d/{n}/1", "web1"), "echo ready; sleep 600")) for n in range(1, 5)]
    for one in running_:
        one.heard.until(b"ready\n")
    assert farm.clients() == before
    assert len(before) == 1
    for one in running_:
        one.stop.set()
    assert [one.end().code for one in running_] == [143] * 4


def test_more_runs_than_a_server_allows_sessions_all_end_well(
    farm: Farm, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with running(sshd, tmp_path, "web1", "MaxSessions 2") as host:
        runner = farm.runner({"web1": _row(host, request)})
        several = [Beside(runner, Run(RunKey(f"d/{n}/1", "web1"), f"echo {n}; sleep 0.2")) for n in range(12)]
        assert [one.end().code for one in several] == [0] * 12
        assert [one.heard.output for one in several] == [b"%d\n" % n for n in range(12)]
        assert len(farm.clients()) <= 2


def test_a_run_is_looked_at_and_ended_where_the_server_allows_one_session(
    farm: Farm, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with running(sshd, tmp_path, "web1", "MaxSessions 1") as host:
        runner = farm.runner({"web1": _row(host, request)})
        beside = Beside(runner, Run(RunKey("d/0/1", "web1"), "echo ready; sleep 600"))
        beside.heard.until(b"ready\n")
        assert runner.look(RunKey("d/0/1", "web1")).state == RUNS
        beside.stop.set()
        assert beside.end().code == 143


def test_a_server_without_sessions_says_where_to_look(
    farm: Farm, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with running(sshd, tmp_path, "web1", "MaxSessions 0") as host, pytest.raises(LoginRefused, match="see MaxSessions"):
        run(farm.runner({"web1": _row(host, request)}), "true")


def test_a_run_goes_on_when_its_connection_dies(farm: Farm, web1: SshHost, request: pytest.FixtureRequest) -> None:
    runner = farm.runner({"web1": _row(web1, request)})
    seen = f"{web1.seen}/{request.node.name}"
    program = f"echo x >>{seen}.ledger; echo first; until [ -e {seen}.go ]; do sleep 0.05; done; seq 1000; exit 3"
    beside = Beside(runner, Run(RunKey("d/0/1", "web1"), program))
    beside.heard.until(b"first\n")
    (master,) = farm.clients()
    master.kill()
    (web1.data / f"{request.node.name}.go").touch()
    assert beside.end().code == 3
    assert beside.heard.output == b"first\n" + b"".join(b"%d\n" % n for n in range(1, 1001))
    assert (web1.data / f"{request.node.name}.ledger").read_text() == "x\n"


class _Cutting(NetworkLink):
    """Its connections are cut after some bytes, the first ones."""

    def __init__(self, url: str, seed: int, cuts: int) -> None:
        self._chance, self.cuts = random.Random(seed), cuts
        super().__init__(url)

    def _carries(self, client: socket.socket, server: socket.socket) -> None:
        super()._carries(client, server)
        if self.cuts:
            self.cuts -= 1
            threading.Timer(self._chance.uniform(0.05, 0.6), self.cut).start()


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_is_cut_at_any_time_loses_and_repeats_nothing(
    seed: int, farm: Farm, web1: SshHost, request: pytest.FixtureRequest
) -> None:
    with closing(_Cutting(f"tcp://127.0.0.1:{web1.port}", seed, 4)) as link:
        port = int(link.url.rpartition(":")[2])
        name = f"cut-{seed}"
        row = web1.row(port=port, records=f"{web1.seen}/{name}")
        ledger = f"{web1.seen}/{name}.ledger"
        program = f"echo x >>{ledger}; for one in 1 2 3 4 5 6 7 8; do seq 2000; sleep 0.05; done; exit 9"
        while True:
            try:
                assert run(farm.runner({"web1": row}), program) == (
                    9,
                    b"".join(b"%d\n" % n for n in range(1, 2001)) * 8,
                )
                break
            except (Unreachable, ShellSilent):  # cut before anything was begun
                assert not (web1.data / f"{name}.ledger").exists()
                assert link.cuts < 4
        assert (web1.data / f"{name}.ledger").read_text() == "x\n"


def _kill(host: SshHost) -> None:
    """The server with all its sessions, and nothing that runs in them."""
    # by its pid: servers of other tests have the same arguments
    listener = psutil.Process(host.server.pid)
    servers = [one for one in (*listener.children(recursive=True), listener) if _is_server(one)]
    for one in servers:
        one.kill()
    # what ran in them is then no longer of the tree that `Server.kill` ends
    until(lambda: not any(map(_is_server, servers)))


def _is_server(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("sshd") and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_server_that_is_killed_and_comes_back_is_gone_on_with(
    farm: Farm, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with running(sshd, tmp_path, "web1") as host:
        program = f"echo first; until [ -e {host.seen}/go ]; do sleep 0.05; done; echo second"
        beside = Beside(farm.runner({"web1": _row(host, request)}), Run(RunKey("d/0/1", "web1"), program))
        beside.heard.until(b"first\n")
        _kill(host)
        (tmp_path / "go").touch()
        host.server.kill()
        host.server.start()
        assert beside.end().code == 0
        assert beside.heard.output == b"first\nsecond\n"


# hosts that cannot be reached


def _refusal(farm: Farm, row: dict[str, Any], kind: type[HostError]) -> str:
    with pytest.raises(kind) as refusal:
        run(farm.runner({"web1": row}), "true")
    assert type(refusal.value) is kind
    assert "web1" in str(refusal.value)
    return str(refusal.value)


def test_a_port_where_nothing_listens_is_said(farm: Farm, web1: SshHost) -> None:
    assert "no ssh server listens there" in _refusal(farm, web1.row(port=free_ports(1)[0]), Unreachable)


def test_a_host_that_does_not_answer_is_given_up_in_time(farm: Farm, web1: SshHost) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        row = web1.row(port=silent.getsockname()[1], connect_timeout=1)
        assert "timed out" in _refusal(farm, row, Unreachable)


def test_a_name_that_is_unknown_is_said(farm: Farm, web1: SshHost) -> None:
    said = _refusal(farm, web1.row(address="no-such-host.invalid"), Unreachable)
    assert "its name is not known here (no-such-host.invalid" in said


def test_a_key_that_is_not_the_pinned_one_is_refused_and_named(farm: Farm, web1: SshHost, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    said = _refusal(farm, web1.row(host_keys=[other]), HostKeyRefused)
    actual = subprocess.run(["ssh-keygen", "-lf", web1.data / "host_key.pub"], capture_output=True, text=True).stdout
    assert actual.split()[1] in said
    assert "none of the `host_keys` that the inventory has of it" in said


def test_a_key_that_was_never_seen_is_refused_unless_the_first_is_trusted(
    farm: Farm, web1: SshHost, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config = tmp_path / "config"
    config.write_text(f"UserKnownHostsFile {tmp_path}/known\nGlobalKnownHostsFile /dev/null\n")
    with closing(Farm(tmp_path / "strict", ssh_config=config)) as strict:
        row = _row(web1, request, host_key="strict", host_keys=[])
        assert "its host key is not known" in _refusal(strict, row, HostKeyRefused)
        trusting = _row(web1, request, host_key="trust-first", host_keys=[])
        assert run(strict.runner({"web1": trusting}), "echo hi") == (0, b"hi\n")
        assert web1.key.split()[1] in (tmp_path / "known").read_text()
    with closing(Farm(tmp_path / "again", ssh_config=config)) as again:
        assert run(again.runner({"web1": row}), "echo hi", "d/1/1") == (0, b"hi\n")


def test_keys_that_came_with_the_plan_are_trusted_beside_those_of_ssh_config(
    farm: Farm, web1: SshHost, request: pytest.FixtureRequest
) -> None:
    row = _row(web1, request, host_key="strict")
    assert run(farm.runner({"web1": row}), "echo hi") == (0, b"hi\n")


def test_a_login_key_that_the_host_does_not_know_is_said_with_what_it_takes(
    farm: Farm, web1: SshHost, tmp_path: Path
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    config = tmp_path / "config"
    config.write_text("IdentitiesOnly yes\n")
    with closing(Farm(tmp_path / "other-worker", ssh_config=config)) as other:
        said = _refusal(other, web1.row(identity=str(tmp_path / "other")), LoginRefused)
    assert "does not let the user root in (it takes: publickey" in said
    assert "authorized_keys" in said
    assert "ssh -v -F" in said
    said = _refusal(farm, web1.row(identity=str(tmp_path / "missing")), LoginRefused)
    assert f"this worker has no key {tmp_path}/missing" in said


def test_a_mistake_in_ssh_config_is_shown_with_its_line(web1: SshHost, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Port 22\nPorty 23\n")
    with closing(Farm(tmp_path / "worker", ssh_config=config)) as farm:
        assert f"{config}: line 2: Bad configuration option: porty" in _refusal(farm, web1.row(), BadHost)


@pytest.mark.parametrize(
    "row", [{"address": "-oProxyCommand=id"}, {"address": "a b"}, {"user": "-x"}, {"host_keys": []}]
)
def test_what_would_be_an_option_to_ssh_is_no_host(farm: Farm, web1: SshHost, row: dict[str, Any]) -> None:
    with pytest.raises(BadHost):
        farm.runner({"web1": web1.row(**row)})


def test_a_host_without_a_row_never_means_this_machine(farm: Farm) -> None:
    with pytest.raises(BadHost, match="web1: the plan says nothing of this host"):
        farm.runner({})


def test_one_dead_host_harms_no_other_and_is_dialled_once(
    farm: Farm, web1: SshHost, request: pytest.FixtureRequest
) -> None:
    with closing(NetworkLink("tcp://127.0.0.1:1")) as dead:
        row = web1.row(port=int(dead.url.rpartition(":")[2]), connect_timeout=2)
        dead.pull()
        rows = {"web1": _row(web1, request), "dead": row}
        runs = [
            Beside(farm.runner(rows, name), Run(RunKey(f"d/{n}/1", name), "echo hi")) for n in range(6) for name in rows
        ]
        for number, one in enumerate(runs):
            if number % 2:
                with pytest.raises(Unreachable):
                    one.end()
            else:
                assert one.end().code == 0


# through another host


def test_a_jump_host_sees_one_connection_for_all_that_is_behind_it(
    farm: Farm, web1: SshHost, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    data = tmp_path / "bastion"
    data.mkdir()
    with running(sshd, data, "bastion", "LogLevel VERBOSE") as bastion:
        rows = {
            "bastion": bastion.row(),
            "web1": _row(web1, request, jump="bastion"),
            "web2": _row(web1, request, jump="bastion", user="root", connect_timeout=9),
        }
        assert run(farm.runner(rows, "web1"), "echo hi") == (0, b"hi\n")
        assert run(farm.runner(rows, "web2"), "echo $SSH_CONNECTION", "d/1/1")[0] == 0
        assert (data / "log").read_text().count("Accepted publickey") == 1
        assert farm.surroundings.masters().masters() == 3


def test_a_jump_host_that_cannot_be_reached_is_named(farm: Farm, web1: SshHost) -> None:
    rows = {"bastion": web1.row(port=free_ports(1)[0]), "web1": web1.row(jump="bastion")}
    with pytest.raises(Unreachable, match=r"web1 is reached through bastion, and that fails: bastion: no ssh server"):
        run(farm.runner(rows), "true")


def test_a_host_that_its_jump_host_cannot_reach_is_said(farm: Farm, web1: SshHost) -> None:
    rows = {"bastion": web1.row(), "web1": web1.row(jump="bastion", port=free_ports(1)[0])}
    with pytest.raises(Unreachable, match=r"web1 \(through bastion\): no ssh server listens there"):
        run(farm.runner(rows), "true")


# connections that stay


def test_an_idle_connection_ends(web1: SshHost, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with closing(Farm(tmp_path / "worker", ssh_idle=0.2)) as farm:
        run(farm.runner({"web1": _row(web1, request)}), "true")
        until(lambda: not farm.surroundings.masters().masters() and not farm.clients())


def test_a_client_for_masters_of_another_version_uses_the_connection_and_makes_none(
    sshd: Place, tmp_path: Path, farm: Farm
) -> None:
    with running(sshd, tmp_path, "web1", "LogLevel VERBOSE") as host:
        runner = farm.runner({"web1": host.row(records=f"{host.seen}/records")})
        assert run(runner, "true")[0] == 0
        (socket_of,) = [one for one in sockets.make(str(tmp_path / "worker")).iterdir() if one.is_socket()]
        way = way_of(HostFacts.of("web1", {"web1": host.row()}))
        runs = HostRuns(SshChannel("web1", client(way, str(socket_of))), f"{host.seen}/records")
        heard = Heard()
        assert runs.run(Run(RunKey("d/1/1", "web1"), "echo hi"), heard, STOP).code == 0
        assert heard.output == b"hi\n"
        farm.close()
        with pytest.raises(Unreachable):
            runs.look(RunKey("d/1/1", "web1"))
        assert (tmp_path / "log").read_text().count("Accepted publickey") == 1


def test_no_connection_is_left_when_the_worker_ends(farm: Farm, web1: SshHost, request: pytest.FixtureRequest) -> None:
    run(farm.runner({"web1": _row(web1, request)}), "true")
    (master,) = farm.clients()
    farm.close()
    assert not master.is_running()


_WORKER = """
import sys, threading
from pathlib import Path
from re_workers.machine_slot import MachineSlot
from tests.integration.hosts.farm import Farm, run
directory = Path({directory!r})
farm = Farm(directory, MachineSlot(directory).identity)
run(farm.runner({{'web1': {row!r}}}), 'true')
print(farm.clients()[0].pid, flush=True)
threading.Event().wait()
"""


def _end(master: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        master.kill()


def test_connections_that_a_killed_worker_left_are_ended_at_the_next_start_and_no_others(
    web1: SshHost, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    code = _WORKER.format(directory=str(tmp_path), row=_row(web1, request))
    with ExitStack() as stack:
        workers, masters = [], []
        for _ in range(3):
            worker = stack.enter_context(
                subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
            )
            stack.callback(worker.kill)
            assert worker.stdout is not None
            masters.append(psutil.Process(int(worker.stdout.readline())))
            stack.callback(_end, masters[-1])
            workers.append(worker)
        for number in (0, 2):
            workers[number].kill()
            workers[number].wait()
        assert [living(one.pid) for one in masters] == [True] * 3
        slot = MachineSlot(tmp_path)
        assert [living(one.pid) for one in masters] == [False, True, False]
        with closing(Farm(tmp_path, slot.identity)) as farm:
            assert run(farm.runner({"web1": _row(web1, request)}), "true")[0] == 0


# login shells


@pytest.mark.parametrize("noise", ["echo Welcome; echo to web1 >&2; ", "printf 'no line end'; "])
def test_what_a_login_shell_prints_is_dropped_and_said_once(
    noise: str, farm: Farm, sshd: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with running(sshd, tmp_path, "web1", f'ForceCommand {noise}eval "$SSH_ORIGINAL_COMMAND"') as host:
        runner = farm.runner({"web1": host.row(records=f"{host.seen}/records")})
        for n in range(3):
            assert run(runner, "echo hi", f"d/{n}/1") == (0, b"hi\n")
        (said,) = [one for one in farm.said if "session takes" not in one]  # a busy machine
        assert said.startswith("web1: the login shell prints")
        assert "case $- in *i*)" in said
        assert runner.facts().noise


def test_a_login_shell_that_hangs_is_shown_with_what_to_look_at(farm: Farm, sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, "web1", "ForceCommand echo Which project?; exec sleep 600") as host:
        said = _refusal(farm, host.row(shell_timeout=1), ShellSilent)
        assert "does not start `sh`" in said
        assert "Which project?" in said
        assert "~/.bashrc" in said


def test_an_account_without_a_shell_is_shown_with_its_own_words(farm: Farm, sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, "web1", "ForceCommand echo This account is currently not available.; exit 1") as host:
        assert "This account is currently not available." in _refusal(farm, host.row(), ShellSilent)


def test_a_slow_login_shell_is_said_once(farm: Farm, sshd: Place, tmp_path: Path) -> None:
    with running(sshd, tmp_path, "web1", 'ForceCommand sleep 0.6; eval "$SSH_ORIGINAL_COMMAND"') as host:
        runner = farm.runner({"web1": host.row(records=f"{host.seen}/records")})
        run(runner, "true")
        (said,) = farm.said
        assert "each session takes" in said


def test_a_host_says_what_it_is(farm: Farm, web1: SshHost) -> None:
    facts = farm.runner({"web1": web1.row()}).facts()
    assert facts.user == "root"
    assert facts.uid == 0
    assert facts.kernel.startswith("Linux")
    assert {"setsid", "sha256sum"} <= facts.tools
    assert facts.free > 0
    assert farm.runner({"web1": web1.row()}).facts() is facts


def test_ten_thousand_lines_a_second_arrive_in_order(farm: Farm, web1: SshHost, request: pytest.FixtureRequest) -> None:
    runner = farm.runner({"web1": _row(web1, request)})
    program = "n=0; while [ $n -lt 20 ]; do seq $((n * 1000)) $((n * 1000 + 999)); n=$((n + 1)); sleep 0.1; done"
    several = [Beside(runner, Run(RunKey(f"d/{n}/1", "web1"), program)) for n in range(4)]
    for one in several:
        assert one.end().code == 0
        assert one.heard.output == b"".join(b"%d\n" % n for n in range(20_000))
