"""An HTTP server that takes webhooks, over TLS or not. It answers what a test says, and keeps what came."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple


class Request(NamedTuple):
    """One request as it came."""

    path: str
    #: names in lower case
    headers: dict[str, str]
    body: bytes


class Hooks:
    """Listens on a free port of loopback."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        #: the status of each answer, by its request
        self.answer: Callable[[Request], int] = lambda request: 204
        #: what is sent with it, as a body and as headers
        self.words = b""
        self.more: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Hooks:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hooks = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                named = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, named, body)
                hooks.requests.append(request)
                self.send_response(hooks.answer(request))
                self.send_header("content-length", str(len(hooks.words)))
                for name, value in hooks.more.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(hooks.words)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        return Handler
