"""HTTP requests to a real server: what is sent, what is expected, and what can go wrong."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from re_core.redaction import Redaction
from re_workers.steps import exchange
from re_workers.steps.httprequest import HttpRequest
from re_workers.testing import Result, run


class _Answering(BaseHTTPRequestHandler):
    """Answers by the path: a status, a redirect, much, or nothing at all."""

    server: _Server

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.server.asked.append((self.command, self.path, self.headers.get("content-type"), self.rfile.read(length)))
        what = self.path.strip("/")
        if what == "silent":
            self.server.over.wait(20)
            return
        body = (
            b"x" * 5000
            if what == "much"
            else b"x" * 297 + b"hunter2 " * 99
            if what == "418"
            else b"it is\n so " + self.headers.get("authorization", "").encode()
        )
        self.send_response(int(what) if what.isdigit() else 200)
        self.send_header("content-length", str(len(body)))
        self.send_header("location", "/200")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """The tests look at what was asked."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, str, str | None, bytes]] = []
        self.over = threading.Event()

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def _run(subcommand: str, **parameters: Any) -> Result:
    return run(HttpRequest(), f"httprequest:{subcommand}", parameters)


@pytest.mark.parametrize("subcommand", ["Get", "Put", "Post", "Delete"])
def test_the_expected_answer_completes_the_step(server: _Server, subcommand: str) -> None:
    result = _run(subcommand, url=server.url("/201"), code=201)
    assert (result.status, result.data) == ("completed", {"code": 201})
    assert server.asked[0][0] == subcommand.upper()
    assert result.output[0].startswith(f"{subcommand.upper()} {server.url('/201')} answered 201 with 10 bytes in ")


def test_an_excerpt_has_no_part_of_a_secret(server: _Server) -> None:
    secret = Redaction([re.compile("hunter2")])
    result = run(HttpRequest(), "httprequest:Get", {"url": server.url("/418")}, redaction=secret)
    assert result.message is not None and result.message.endswith("xxx[redacted] …")
    assert "hun" not in result.message


def test_another_answer_fails_it_with_what_was_said(server: _Server) -> None:
    result = _run("Get", url=server.url("/503"))
    assert (result.status, result.data) == ("failed", {"code": 503})
    assert result.message == f"GET {server.url('/503')} answered 503, not 200: it is so"


def test_a_redirect_is_an_answer_and_not_followed(server: _Server) -> None:
    assert _run("Get", url=server.url("/302"), code=302).status == "completed"
    assert len(server.asked) == 1


def test_content_is_sent_as_it_is_or_from_base64(server: _Server) -> None:
    _run("Post", url=server.url("/200"), content="zwölf")
    data = base64.b64encode(b"\0\xff").decode()
    _run("Put", url=server.url("/200"), content=data, b64encoded=True, contenttype="application/octet-stream")
    assert [(kind, body) for _, _, kind, body in server.asked] == [
        ("text/plain; charset=utf-8", "zwölf".encode()),
        ("application/octet-stream", b"\0\xff"),
    ]


def test_a_password_in_the_url_is_used_and_never_shown(server: _Server) -> None:
    result = _run("Get", url=server.url("/404", "ann:secret@"))
    assert result.message is not None
    assert "Basic " in result.message
    assert "secret" not in result.message + "".join(result.output)


def test_an_answer_without_end_is_cut_off(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_ANSWER", 4999)
    assert _run("Get", url=server.url("/much")).message == (
        f"GET {server.url('/much')}: the answer has more than 4999 bytes"
    )


def test_a_server_that_says_nothing_fails_the_step_in_time(server: _Server) -> None:
    result = _run("Get", url=server.url("/silent"), timeout=0.2)
    assert result.status == "failed"


def test_a_cancel_does_not_wait_for_the_server(server: _Server) -> None:
    url = server.url("/silent")
    result = run(HttpRequest(), "httprequest:Get", {"url": url, "timeout": 3600}, cancelled=True)
    assert result.status == "failed"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"url": "ftp://example.com/x"}, "the parameter 'url' is wrong: expected a URL, http://… or https://…"),
        ({"url": "file:///etc/passwd"}, "the parameter 'url' is wrong: expected a URL"),
        ({"url": "http://"}, "the parameter 'url' is wrong: expected a URL"),
        ({"url": "http://127.0.0.1:1/"}, "GET http://127.0.0.1:1/: ConnectError"),
        (
            {"url": "http://a\nb/"},
            "the parameter 'url' is wrong: expected a URL, http://… or https://…, without blanks",
        ),
        ({"url": "http://127.0.0.1:1/", "timeout": 0}, "a timeout is a number of seconds above 0"),
    ],
)
def test_what_cannot_be_asked_fails_with_the_reason(parameters: dict[str, Any], message: str) -> None:
    result = _run("Get", **parameters)
    assert (result.status, (result.message or "")[: len(message)]) == ("failed", message)


def test_content_that_is_not_base64_fails_before_anything_is_sent(server: _Server) -> None:
    result = _run("Post", url=server.url("/200"), content="%%%", b64encoded=True)
    assert (result.message or "").startswith("the content is not base64")
    assert server.asked == []


def test_a_header_cannot_be_smuggled_in(server: _Server) -> None:
    result = _run("Post", url=server.url("/200"), contenttype="a/b\r\nx-evil: 1")
    assert result.status == "failed"
    assert server.asked == []
