"""A connection through an HTTP proxy that the environment names (RFC 9110, 9.3.6). Must not know what is said over it."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from urllib.parse import unquote, urlsplit

from re_core.ports.peering import SourceUnavailable

#: bytes of the proxy's answer
_MOST_ANSWER = 16 * 1024


def tunnel(proxy: str, host: str, port: int, until: float) -> socket.socket:
    """A socket that leads to the host; `until` by the monotonic clock. Raises SourceUnavailable."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    try:
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a proxy {parts.scheme}: is not supported for WebSockets")
        secure = parts.scheme == "https"
        place = parts.hostname, parts.port or (443 if secure else 80)
        connected = socket.create_connection(place, max(0.1, until - time.monotonic()))
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"the proxy {parts.hostname} cannot be reached: {error}") from None
    try:
        if secure:
            connected = ssl.create_default_context().wrap_socket(connected, server_hostname=parts.hostname)
        connected.sendall(_request(host, port, parts.username, parts.password))
        _check(_answer(connected, until))
    except (OSError, ValueError) as error:
        connected.close()
        raise SourceUnavailable(f"the proxy {parts.hostname} does not lead to {host}:{port}: {error}") from None
    return connected


def _request(host: str, port: int, user: str | None, password: str | None) -> bytes:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", "User-Agent: release-engine"]
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def _answer(connected: socket.socket, until: float) -> bytes:
    """Up to its empty line, and nothing behind that: what follows is of the peer."""
    read = bytearray()
    while not read.endswith(b"\r\n\r\n"):
        connected.settimeout(max(0.1, until - time.monotonic()))
        piece = connected.recv(1)
        if not piece or len(read) >= _MOST_ANSWER:
            raise OSError("it answers with something else than HTTP")
        read += piece
    return bytes(read)


def _check(answer: bytes) -> None:
    line = answer.partition(b"\r\n")[0].decode("ascii", "replace")
    words = line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].startswith("2"):
        raise OSError(f"it answers {line[:100]!r}")
