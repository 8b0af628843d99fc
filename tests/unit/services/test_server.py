"""A server of the tests is awaited until it listens, ended by its pid, and quoted when it dies."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.services.server import LOOPBACK, Server, free_ports
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


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    dying = [sys.executable, "-c", "import sys; sys.exit('no such option')"]
    with (
        pytest.raises(Unavailable, match="ended with 1: no such option"),
        Server(dying, free_ports(1), tmp_path / "log"),
    ):
        pass


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
