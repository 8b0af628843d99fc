"""A load generator that costs little: one thread, prepared requests, a number of kept-alive connections."""

from __future__ import annotations

import secrets
import selectors
import socket
import time
from typing import Any
from urllib.parse import urlsplit

#: stands in a prepared request where each one that is sent gets a key of its own
KEY = b"{key}"


def drive(url: str, request: bytes, connections: int, total: int) -> dict[str, Any]:
    """Send `total` requests, one after the other on each connection. Requests a second, and milliseconds each."""
    parts = urlsplit(url)
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    open_at: dict[socket.socket, float] = {}
    for _ in range(connections):
        connection = socket.create_connection((parts.hostname or "", parts.port or 80))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(_keyed(request))
        open_at[connection] = time.perf_counter()
    sent, took, failed = connections, [], 0
    while open_at:
        for key, _ in selector.select():
            connection = key.fileobj  # type: ignore[assignment]
            answer = _answer(connection)
            now = time.perf_counter()
            took.append((now - open_at[connection]) * 1000)
            failed += not answer.startswith(b"HTTP/1.1 201")
            if sent < total:
                connection.sendall(_keyed(request))
                open_at[connection] = time.perf_counter()
                sent += 1
            else:
                selector.unregister(connection)
                connection.close()
                del open_at[connection]
    seconds = time.perf_counter() - began
    took.sort()
    return {
        "per_second": len(took) / seconds,
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[len(took) * 99 // 100],
        "failed": failed,
    }


def post(path: str, body: bytes, token: str = "", keyed: bool = False) -> bytes:
    """The bytes of a POST of JSON; `keyed`: every time it is sent, with an Idempotency-Key that is new."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if keyed:
        lines.append(f"Idempotency-Key: {KEY.decode()}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def _keyed(request: bytes) -> bytes:
    return request.replace(KEY, secrets.token_hex(16).encode(), 1)


def _answer(connection: socket.socket) -> bytes:
    data = b""
    while True:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError(f"the server closed the connection after {data[:200]!r}")
        data += part
        head, found, body = data.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head):
            return data


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
