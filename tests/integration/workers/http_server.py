"""A server that steps ask by HTTP, for tests."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Answers by the path: a status, a redirect, much, or nothing at all."""

    server: Server

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.server.asked.append((self.command, self.path, self.headers.get("content-type"), self.rfile.read(length)))
        self.server.headers.append(dict(self.headers.items()))
        what = self.path.strip("/")
        if what == "silent":
            self.server.over.wait(60)
            return
        body = (
            b"x" * 5000
            if what == "much"
            else b"x" * 297 + b"hunter2 " * 99
            if what == "418"
            else "zwölf".encode("latin-1")
            if what == "409"
            else b"it is\n so " + self.headers.get("authorization", "").encode()
        )
        self.send_response(int(what) if what.isdigit() else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", "http://ann:secret@there/200")
        self.send_header("content-type", f"text/plain; charset={'latin-1' if what == '409' else 'none-such'}")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _any(self) -> None:
        (self._answer_json if self.path.startswith("/ap") else self._answer)()

    def _answer_json(self) -> None:
        """`/ap/state`: what comes next of the server's states; `/ap/to/…`: a redirect there, by the code in front."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, self.headers.get("content-type"), body))
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        leads = re.fullmatch(r"/ap/to/(\d+)/(.*)", self.path)
        code, document = self.server.states.pop(0) if self.server.states and not leads else (200, {"state": "up"})
        text = json.dumps({**document, "who": self.headers.get("authorization", "")}).encode()
        self.send_response(int(leads[1]) if leads else code)
        self.send_header("etag", '"7"')
        if leads:
            self.send_header("location", leads[2])
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what was asked."""


class Server(ThreadingHTTPServer):
    """Keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.headers: list[dict[str, str]] = []
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        self.over = threading.Event()
        self.states: list[tuple[int, dict[str, Any]]] = []

    def url(self, path: str, user: str = "") -> str:
        """Where it answers for this path."""
        return f"http://{user}127.0.0.1:{self.server_address[1]}{path}"


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """One that runs while the block lasts, over TLS with a `context`."""
    with Server() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
