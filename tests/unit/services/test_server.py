"""A server of the tests is awaited until it listens, ended by its pid, and quoted when it dies."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.services.server import LOOPBACK, Group, Server, free_ports
from tests.services.unavailable import Unavailable

_LISTEN = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept()\nwhile True: s.accept()"
)


def test_a_server_listens_inside_the_block_and_is_gone_after_it(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with Server([sys.executable, "-c", _LISTEN, str(port)], [port], tmp_path / "log"):
        socket.create_connection((LOOPBACK, port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port))


#: Opens a server that starts a child, who would live on without it.
_WITH_CHILD = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE); "


#: Sends every byte back to the one client that it has at a time.
_ECHO = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "while True:\n c = s.accept()[0]\n while b := c.recv(1): c.sendall(b)"
)


def _children(port: int) -> list[int]:
    """Pids of the processes that the server on that port started; others of this process are left out."""
    servers = [one for one in psutil.Process().children() if str(port) in one.cmdline()]
    return [child.pid for server in servers for child in server.children()]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) != 0


def test_a_killed_server_takes_its_children_along_and_starts_again_on_its_port(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with Server([sys.executable, "-c", _WITH_CHILD + _LISTEN, str(port)], [port], tmp_path / "log") as server:
        [child] = _children(port)
        server.kill()
        assert _is_free(port)
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
        server.start()
        assert not _is_free(port)
    assert _is_free(port)


def test_a_frozen_server_goes_on_where_it_was_and_can_be_stopped(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with Server([sys.executable, "-c", _ECHO, str(port)], [port], tmp_path / "log") as server:
        with socket.create_connection((LOOPBACK, port)) as line:
            server.freeze()
            line.sendall(b"?")
            line.settimeout(0.2)
            with pytest.raises(TimeoutError):
                line.recv(1)
            server.thaw()
            line.settimeout(20)
            assert line.recv(1) == b"?"
        server.freeze()
    assert _is_free(port)


def test_a_server_that_is_down_can_be_stopped_and_killed_again(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with Server([sys.executable, "-c", _LISTEN, str(port)], [port], tmp_path / "log") as server:
        server.stop()
        server.stop()
        server.kill()


def test_a_group_is_one_server(tmp_path: Path) -> None:
    ports = free_ports(2)
    argv = [sys.executable, "-c", _LISTEN]
    group = Group([Server([*argv, str(port)], [port], tmp_path / f"log-{port}") for port in ports])
    group.start()
    assert not any(map(_is_free, ports))
    group.freeze()
    group.thaw()
    group.kill()
    assert all(map(_is_free, ports))
    group.start()
    group.stop()
    assert all(map(_is_free, ports))


def test_a_server_counts_as_started_once_it_says_that_it_is_ready(tmp_path: Path) -> None:
    [port] = free_ports(1)
    looks = iter([False, False, True])
    with Server([sys.executable, "-c", _LISTEN, str(port)], [port], tmp_path / "log", ready=lambda: next(looks)):
        assert next(looks, None) is None


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    dying = [sys.executable, "-c", "import sys; sys.exit('no such option')"]
    with (
        pytest.raises(Unavailable, match="ended with 1: no such option"),
        Server(dying, free_ports(1), tmp_path / "log"),
    ):
        pass


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
