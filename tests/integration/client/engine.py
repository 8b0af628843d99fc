"""A real HTTP server on loopback that answers as a test tells it, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    """One request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """One response. A body of type dict or list travels as JSON."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    #: cut the connection after the body, as a dying server does
    cut: bool = False


def problem(status: int, detail: str, **more: Any) -> Answer:
    """An RFC 9457 answer."""
    document = {"type": "about:blank", "title": "No", "status": status, "detail": detail, **more}
    return Answer(document, status, {"content-type": "application/problem+json"})


def events(*items: tuple[str, str, Any], cut: bool = False) -> Answer:
    """A text/event-stream of (id, event, data)."""
    text = "".join(f"id: {id}\nevent: {name}\ndata: {json.dumps(data)}\n\n" for id, name, data in items)
    return Answer((": hello\n\n" + text).encode(), 200, {"content-type": "text/event-stream"}, cut)


Route = Answer | Callable[[Asked], Answer]


class FakeEngine:
    """Answers by `method path`; several answers of one route are given in turn, the last one again and again."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self._routes: dict[str, list[Route]] = {}

    def on(self, route: str, *answers: Route) -> None:
        """From now on `GET /path` is answered so."""
        self._routes[route] = list(answers)

    def requests(self, route: str) -> list[Asked]:
        """What came for `GET /path`."""
        return [one for one in self.asked if f"{one.method} {one.path}" == route]

    def answer(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        answers = self._routes.get(f"{asked.method} {asked.path}")
        if not answers:
            return problem(404, f"nothing is at {asked.path}")
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return found(asked) if callable(found) else found


@contextmanager
def running() -> Iterator[FakeEngine]:
    """A server for the length of a `with`."""
    engine = FakeEngine()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # one write per response: two would wait for each other (Nagle, delayed acknowledgement)
        wbufsize = 65536

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(engine.answer(Asked(self.command, parts.path, parse_qs(parts.query), headers, body)))

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """The test's output is not for access logs."""

        def _send(self, answer: Answer) -> None:
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            body = b"" if answer.body is None else body
            self.send_response(answer.status)
            for name, value in {"content-type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            # a body shorter than announced is how a client sees a server die
            self.send_header("content-length", str(len(body) + (1 if answer.cut else 0)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = answer.cut

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    engine.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
