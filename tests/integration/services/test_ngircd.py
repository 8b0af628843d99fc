"""The IRC server of the tests is a real one: it lets a client register, over plain TCP and over TLS."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.services.ngircd import IrcServer


def _welcome(connection: socket.socket, nick: str) -> str:
    """What the server says between NICK and the end of its welcome (RFC 2812: 001)."""
    with connection, connection.makefile("r", encoding="utf-8", newline="\r\n") as lines:
        connection.sendall(f"NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n".encode())
        return next(line for line in lines if f" 001 {nick} " in line)


def test_a_client_registers(ngircd: IrcServer) -> None:
    connection = socket.create_connection((ngircd.host, ngircd.port), timeout=20)
    assert "Welcome" in _welcome(connection, "plain")


def test_a_client_registers_over_tls(ngircd: IrcServer) -> None:
    if ngircd.tls_port is None:
        pytest.skip("the server that RE_TEST_IRC_URL names is known by its plain port only")
    context = ssl.create_default_context(cafile=ngircd.ca_file)
    raw = socket.create_connection((ngircd.host, ngircd.tls_port), timeout=20)
    assert "Welcome" in _welcome(context.wrap_socket(raw, server_hostname=ngircd.host), "sealed")
