"""Connections to a real ssh server, without runners: which of them stay, and the clients and masters that make them."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path

import pytest

from re_workers.hosts.port import Unreachable
from re_workers.hosts.ssh import mux, sockets
from re_workers.hosts.ssh.masters import Masters
from re_workers.hosts.ssh.way import Way
from tests.integration.hosts.farm import clients
from tests.services.sshd import SshHost

pytestmark = pytest.mark.service("sshd")


def _way(host: SshHost) -> Way:
    return Way("web1", "127.0.0.1", host.port, "root", str(host.data / "client_key"), "pinned", (host.key,))


def _use(masters: Masters, way: Way, command: str = "true") -> int:
    session = masters.session(way, command)
    try:
        return session.wait(20)
    finally:
        for pipe in (session.stdin, session.stdout, session.stderr):
            pipe.close()


def test_the_connection_that_was_idle_for_longest_gives_way(web1: SshHost, tmp_path: Path) -> None:
    ways = [_way(web1)]
    ways += [ways[0]._replace(connect_timeout=8.0 + n) for n in range(2)]
    place = sockets.make(str(tmp_path))
    with closing(Masters(place, os.environ, most=2)) as masters:
        assert [_use(masters, ways[0]), _use(masters, ways[1])] == [0, 0]
        first, second = sorted(clients(place), key=lambda one: one.create_time())
        assert _use(masters, ways[0]) == 0
        assert _use(masters, ways[2]) == 0
        assert masters.masters() == 2
        assert first.is_running()
        assert not second.is_running()


def test_a_client_that_moves_or_says_nothing_of_its_login_is_used_all_the_same(web1: SshHost, tmp_path: Path) -> None:
    real, quiet = shutil.which("ssh"), tmp_path / "bin" / "ssh"
    assert real is not None
    quiet.parent.mkdir()
    quiet.write_text(f'#!/bin/sh\nexec {real} -o LogLevel=QUIET "$@"\n')
    quiet.chmod(0o755)
    path = f"{quiet.parent}:{os.environ['PATH']}"
    way = _way(web1)
    with closing(Masters(sockets.make(str(tmp_path)), {**os.environ, "PATH": path})) as masters:
        for number in range(2):
            # the wrapper, which hides that it is logged in, and then what was behind it
            assert _use(masters, way._replace(connect_timeout=8.0 + number), f"exit {number}") == number
            quiet.unlink(missing_ok=True)
    with (
        closing(Masters(sockets.make(str(tmp_path)), {"PATH": str(quiet.parent)})) as masters,
        pytest.raises(Unreachable, match=r"cannot start ssh: .*; install an OpenSSH client"),
    ):
        masters.session(way, "true")


def test_a_master_that_hangs_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()
        with pytest.raises(mux.MuxGone):
            mux.session(str(tmp_path / "socket"), "true", 0.2)
    with pytest.raises(mux.MuxGone):
        mux.session(str(tmp_path / "none"), "true")
