"""HTTP requests to a real server: what is sent, what is expected, and what can go wrong."""

from __future__ import annotations

import base64
import gc
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from re_core.runtime.addresses import rule
from re_core.runtime.http_exchange import THREAD, Question, Way
from re_core.runtime.settings import load
from re_core.wire.redaction import Redaction
from re_workers.outcomes import Failed
from re_workers.steps import exchange
from re_workers.steps.httprequest import HttpRequest
from re_workers.testing import Result, run
from re_workers.worker_selection import workers
from tests.integration.workers.http_server import Server, serving
from tests.integration.workers.waiting import until


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """A server with a certificate for localhost, and the file of the authority that signed it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with serving(context) as server:
        yield server, tmp_path / "ca.pem"


def _run(subcommand: str, **parameters: Any) -> Result:
    return run(HttpRequest(), f"httprequest:{subcommand}", parameters)


@pytest.mark.parametrize("subcommand", ["Get", "Put", "Post", "Patch", "Delete"])
def test_the_expected_answer_completes_the_step(server: Server, subcommand: str) -> None:
    result = _run(subcommand, url=server.url("/201"), code=201)
    assert (result.status, result.data) == ("completed", {"code": 201})
    assert server.asked[0][0] == subcommand.upper()
    assert result.output[0].startswith(f"{subcommand.upper()} {server.url('/201')} answered 201 with 10 bytes in ")


def test_head_reads_no_body(server: Server) -> None:
    result = _run("Head", url=server.url("/200"))
    assert (result.status, server.asked[0][0]) == ("completed", "HEAD")
    assert " answered 200 with 0 bytes in " in result.output[0]


def test_one_of_several_codes_will_do(server: Server) -> None:
    assert _run("Get", url=server.url("/404"), code=[200, 404]).data == {"code": 404}
    assert "answered 404, not 200 or 204: " in (_run("Get", url=server.url("/404"), code=[200, 204]).message or "")


def test_headers_are_sent_with_the_request(server: Server) -> None:
    headers = {"Authorization": "Bearer t0ken", "Host": "site.example.com", "Content-Type": "application/json"}
    result = _run("Post", url=server.url("/404"), content="{}", headers=headers)
    (sent,) = server.headers
    assert {name.title(): value for name, value in sent.items()}.items() >= headers.items()
    assert server.asked[0][2] == "application/json"
    assert "t0ken" not in " ".join(result.output)


@pytest.mark.parametrize(
    ("name", "value", "path", "message"),
    [
        ("a b", "x", "headers/a b", "expected the name of a header"),
        ("", "x", "headers/", "expected the name of a header"),
        ("Content-Length", "3", "headers/Content-Length", "expected a header that does not belong to the"),
        ("x", "a\r\ny: b", "headers/x", "expected one line of text in ASCII"),
        ("x", "ä", "headers/x", "expected one line of text in ASCII"),
        ("x", "a" * 8001, "headers/x", "expected at most 8000 bytes"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named(server: Server, name: str, value: str, path: str, message: str) -> None:
    result = _run("Get", url=server.url("/200"), headers={name: value})
    assert (result.message or "").startswith(f"the parameter {path!r} is wrong: {message}")
    assert server.asked == []


def test_a_redirect_that_was_not_expected_says_where_to_and_no_password(server: Server) -> None:
    result = _run("Get", url=server.url("/302"))
    assert result.data == {"code": 302, "location": "http://there/200"}
    assert (result.message or "").startswith(
        f"GET {server.url('/302')} answered 302, not 200 (Location: http://there/200): it is so"
    )


def test_the_charset_that_an_answer_declares_is_honoured_where_there_is_one(server: Server) -> None:
    assert (_run("Get", url=server.url("/409")).message or "").endswith(" answered 409, not 200: zwölf")
    assert (_run("Get", url=server.url("/404")).message or "").endswith(" answered 404, not 200: it is so")


def test_content_is_sent_in_the_charset_that_its_type_declares(server: Server) -> None:
    _run("Patch", url=server.url("/200"), content="zwölf", contenttype="text/plain; charset=latin-1")
    assert server.asked[0][3] == "zwölf".encode("latin-1")
    result = _run("Put", url=server.url("/200"), content="€", contenttype="text/plain; charset=latin-1")
    assert (result.message or "").startswith("the content cannot be sent as 'text/plain; charset=latin-1': ")
    result = _run("Put", url=server.url("/200"), content="x", contenttype="text/plain; charset=base64")
    assert result.status == "failed"


def test_a_server_is_trusted_by_a_ca_file_or_because_the_step_says_so(secure: tuple[Server, Path]) -> None:
    server, ca_file = secure
    url = f"https://localhost:{server.server_address[1]}/200"
    assert "CERTIFICATE_VERIFY_FAILED" in (_run("Get", url=url).message or "")
    assert _run("Get", url=url, ca_file=str(ca_file)).status == "completed"
    assert _run("Get", url=url, verify=False).status == "completed"
    other = url.replace("localhost", "127.0.0.1")
    assert "CERTIFICATE_VERIFY_FAILED" in (_run("Get", url=other, ca_file=str(ca_file)).message or "")
    assert "use only one of them" in (_run("Get", url=url, verify=False, ca_file=str(ca_file)).message or "")


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    message = _run("Get", url="https://127.0.0.1:1/", ca_file=str(file)).message or ""
    assert f"the ca_file {file} cannot be used: " in message


def test_a_ca_file_that_never_ends_is_refused_and_keeps_no_thread(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), str(tmp_path)):
        message = _run("Get", url="https://127.0.0.1:1/", ca_file=path, timeout=5).message or ""
        assert message.endswith(f"the ca_file {path} cannot be used: expected a regular file")
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == THREAD])


def _held(url: str, *denied: str, **parameters: Any) -> Result:
    return run(HttpRequest(rule(denied)), "httprequest:Get", {"url": url, **parameters})


def test_no_request_goes_to_an_address_that_is_denied(server: Server) -> None:
    told = f"GET {server.url('/200')}: 127.0.0.1 is denied by httprequest_denied (loopback)"
    assert _held(server.url("/200"), "loopback").message == told
    assert _held(server.url("/200"), "127.0.0.0/30").status == "failed"
    assert _held(server.url("/200"), "private", "::1").status == "completed"
    assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "0.0.0.0"])  # noqa: S104
def test_a_name_or_another_spelling_is_no_way_around(server: Server, host: str) -> None:
    message = _held(f"http://{host}:{server.server_address[1]}/", "loopback").message or ""
    assert "is denied by httprequest_denied (loopback)" in message
    assert server.asked == []


def test_a_proxy_is_no_way_around(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    assert "is denied" in (_held("http://169.254.169.254/latest", "link-local").message or "")
    assert _held("http://a-name-that-only-the-proxy-knows.invalid/x", "link-local").status == "completed"
    assert [path for _, path, _, _ in server.asked] == ["http://a-name-that-only-the-proxy-knows.invalid/x"]


def test_credentials_of_clouds_are_out_of_reach_by_default() -> None:
    for host in ("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200"):
        assert "is denied by httprequest_denied" in (_run("Get", url=f"http://{host}/").message or "")


def test_the_settings_say_where_requests_may_go(server: Server, tmp_path: Path) -> None:
    settings = load({"RE_DATA_DIR": str(tmp_path), "RE_HTTPREQUEST_DENIED": "loopback, 10.0.0.0/8"})
    (worker,) = [one for one in workers(settings, "", ()) if one.command == "httprequest"]
    result = run(worker, "httprequest:Get", {"url": server.url("/200")})
    assert "is denied by httprequest_denied (loopback)" in (result.message or "")


def test_the_request_names_the_host_and_goes_to_the_address_at_which_it_listens(server: Server) -> None:
    """localhost is often two addresses, and this server has one of them."""
    assert _run("Get", url=f"http://localhost:{server.server_address[1]}/200").status == "completed"
    assert {name.lower(): value for name, value in server.headers[0].items()}[
        "host"
    ] == f"localhost:{server.server_address[1]}"


def test_an_excerpt_has_no_part_of_a_secret(server: Server) -> None:
    secret = Redaction([re.compile("hunter2")])
    result = run(HttpRequest(), "httprequest:Get", {"url": server.url("/418")}, redaction=secret)
    assert result.message is not None and result.message.endswith("xxx[redacted] …")
    assert "hun" not in result.message


def test_another_answer_fails_it_with_what_was_said(server: Server) -> None:
    result = _run("Get", url=server.url("/503"))
    assert (result.status, result.data) == ("failed", {"code": 503})
    assert result.message == f"GET {server.url('/503')} answered 503, not 200: it is so"


def test_a_redirect_is_an_answer_and_not_followed(server: Server) -> None:
    assert _run("Get", url=server.url("/302"), code=302).data == {"code": 302}
    assert len(server.asked) == 1


def test_content_is_sent_as_it_is_or_from_base64(server: Server) -> None:
    _run("Post", url=server.url("/200"), content="zwölf")
    data = base64.b64encode(b"\0\xff").decode()
    _run("Put", url=server.url("/200"), content=data, b64encoded=True, contenttype="application/octet-stream")
    assert [(kind, body) for _, _, kind, body in server.asked] == [
        ("text/plain; charset=utf-8", "zwölf".encode()),
        ("application/octet-stream", b"\0\xff"),
    ]


def test_a_password_in_the_url_is_used_and_never_shown(server: Server) -> None:
    result = _run("Get", url=server.url("/404", "ann:secret@"))
    assert result.message is not None
    assert "Basic " in result.message
    assert "secret" not in result.message + "".join(result.output)


def test_an_answer_without_end_is_cut_off(server: Server) -> None:
    question, way = Question("GET", server.url("/much"), {}), Way(rule([]), most=4999)
    with pytest.raises(Failed) as failed:
        exchange.ask(question, way, 60, threading.Event())
    assert str(failed.value) == f"{question.shown}: the answer has more than 4999 bytes"


def test_a_server_that_says_nothing_fails_the_step_in_time(server: Server) -> None:
    result = _run("Get", url=server.url("/silent"), timeout=0.2)
    assert result.status == "failed"


def test_a_cancel_does_not_wait_for_the_server(server: Server) -> None:
    url = server.url("/silent")
    result = run(HttpRequest(), "httprequest:Get", {"url": url, "timeout": 3600}, cancelled=True)
    assert result.status == "failed"


def test_what_was_given_up_leaves_no_thread_behind(server: Server, secure: tuple[Server, Path]) -> None:
    over_tls, ca_file = secure
    plain = Question("GET", server.url("/silent"), {})
    hidden = Question("GET", f"https://localhost:{over_tls.server_address[1]}/silent", {})
    for asked, question in ((server.asked, plain), (over_tls.asked, hidden)):
        give_up = threading.Event()
        way = Way(rule([]), str(ca_file))
        asking = threading.Thread(target=_given_up, args=(question, way, give_up))
        asking.start()
        until(lambda asked=asked: asked)  # type: ignore[misc]
        give_up.set()
        asking.join()
        until(lambda: not [thread for thread in threading.enumerate() if thread.name == THREAD])


def test_what_was_given_up_before_it_connected_closes_its_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that is only dropped is a ResourceWarning, which fails the test at the collection here."""
    resolving, find = threading.Event(), socket.getaddrinfo

    def wait_and_find(*arguments: Any, **options: Any) -> Any:
        resolving.wait(60)
        return find(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", wait_and_find)
    give_up = threading.Event()
    give_up.set()
    _given_up(Question("GET", server.url("/silent"), {}), Way(rule([])), give_up)
    resolving.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == THREAD])
    gc.collect()
    assert server.asked == []


def _given_up(question: Question, way: Way, give_up: threading.Event) -> None:
    with pytest.raises(Failed):
        exchange.ask(question, way, 3600, give_up)


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
        (
            {"url": "http://127.0.0.1:1/", "timeout": 0},
            "the parameter 'timeout' is wrong: expected more than 0, found 0",
        ),
    ],
)
def test_what_cannot_be_asked_fails_with_the_reason(parameters: dict[str, Any], message: str) -> None:
    result = _run("Get", **parameters)
    assert (result.status, (result.message or "")[: len(message)]) == ("failed", message)


def test_content_that_is_not_base64_fails_before_anything_is_sent(server: Server) -> None:
    result = _run("Post", url=server.url("/200"), content="%%%", b64encoded=True)
    assert (result.message or "").startswith("the content is not base64")
    assert server.asked == []


def test_a_header_cannot_be_smuggled_in(server: Server) -> None:
    result = _run("Post", url=server.url("/200"), contenttype="a/b\r\nx-evil: 1")
    assert result.status == "failed"
    assert server.asked == []
