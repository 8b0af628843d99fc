"""Clients of which every byte is ours."""

from __future__ import annotations

import json
import socket
import struct

from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.serving import FrontEnd


def raw(front_end: FrontEnd) -> socket.socket:
    """A client of which every byte is ours, after its handshake."""
    return shake(front_end.socket())


#: the request for a WebSocket
REQUEST = (
    b"GET /cdpm HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: cdpm\r\n\r\n"
)


def shake(client: socket.socket) -> socket.socket:
    client.sendall(REQUEST)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ") and b"Sec-WebSocket-Protocol: cdpm" in head, head
    return client


def frame(opcode: int, data: bytes = b"", fin: bool = True, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    first = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        first += bytes([0x80 | size])
    elif size < 65536:
        first += b"\xfe" + struct.pack("!H", size)
    else:
        first += b"\xff" + struct.pack("!Q", size)
    return first + b"\0\0\0\0" + data


def close_frame(client: socket.socket) -> tuple[int, str]:
    with client, client.makefile("rb") as read:
        first, length = read.read(2)
        data = read.read(length)
        assert first == 0x88
        assert read.read(1) == b""
        return int.from_bytes(data[:2], "big"), data[2:].decode()


def asked(served: Served, **changes: str) -> tuple[int, str]:
    """Status and code of a request for the WebSocket with other headers."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Protocol": "cdpm",
        **changes,
    }
    status, named, said = served.front.request("GET", "/cdpm", b"", **headers)
    assert named["content-type"] == "application/problem+json"
    return status, json.loads(said)["type"].removeprefix("urn:release-engine:")


def closing(served: Served, *frames: bytes) -> tuple[int, str]:
    """Code and reason with which a connection closes on these bytes after its handshake."""
    client = raw(served.front)
    client.sendall(b"".join(frames))
    return close_frame(client)
