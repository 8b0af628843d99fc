"""Clients that ask for more than fits between them and a server, and then stand still. Must not know the server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

#: a file that needs no token
BIG = "/docs/static/swagger-ui-bundle.js"


@contextmanager
def not_reading(url: str, path: str, token: str = "", count: int = 8) -> Iterator[None]:
    """So many of them, for as long as the block lasts."""
    parts = urlsplit(url)
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    with ExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((parts.hostname, parts.port))
            # a server's machine may take megabytes of an answer off its hands: so each asks for ten
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n{bearer}\r\n".encode() * 10)
        yield
