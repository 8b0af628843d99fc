"""What a playbook may say of an HTTP request beside its URL, tried on a real server."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from re_core.runtime.addresses import rule
from re_workers.catalog.wait import Wait
from re_workers.steps.httprequest import HttpRequest
from re_workers.testing import Result, plan, run
from tests.integration.workers.http_server import Server, serving


def _run(subcommand: str, **parameters: Any) -> Result:
    return run(HttpRequest(), f"httprequest:{subcommand}", parameters)


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({"path": "/state", "equals": "up"}, ""),
        ({"path": "", "equals": {"state": "up", "n": 1.0, "of": [True], "who": ""}}, ""),
        ({"path": "/of/0", "equals": 1}, "/of/0 is not 1, but true"),
        ({"path": "/n", "matches": "^[0-9]$"}, ""),
        ({"path": "/state", "matches": "^d"}, "/state does not match '^d': \"up\""),
        ({"path": "/of/1", "exists": True}, "it has no /of/1"),
        ({"path": "/of/1", "exists": False}, ""),
        ({"path": "/of", "exists": False}, "/of is there: [true]"),
        ({"path": "/state/x", "equals": 1}, "it has no /state/x"),
        ({"path": "state", "equals": 1}, "check 1: expected a JSON pointer such as /items/0/state, found 'state'"),
        ({"path": "/state"}, "check 1: expected equals, matches or exists"),
    ],
)
def test_places_of_an_answer_are_checked(server: Server, check: dict[str, Any], problem: str) -> None:
    server.states = [(200, {"state": "up", "n": 1, "of": [True]})]
    result = _run("Get", url=server.url("/ap/state"), checks=[{"path": "", "exists": True}, check])
    assert (result.status == "failed") == bool(problem)
    assert (result.message or "").endswith(problem.replace("check 1", "check 2"))


def test_an_answer_that_is_no_json_fails_a_check(server: Server) -> None:
    result = _run("Get", url=server.url("/200"), checks=[{"path": "/a", "exists": True}])
    assert "its answer is not JSON" in (result.message or "")


def test_json_is_sent_and_what_is_kept_is_returned(server: Server) -> None:
    kept = {"headers": ["ETag", "none"], "json": "/of/0"}
    server.states = [(201, {"of": [{"id": 7}]}), (200, {"of": "x" * 70_000})]
    result = _run("Post", url=server.url("/ap/state"), json={"a": ["ä", None]}, code=201, keep=kept)
    assert result.data == {"code": 201, "headers": {"etag": '"7"'}, "json": {"id": 7}}
    assert server.asked[0][2:] == ("application/json", '{"a":["ä",null]}'.encode())
    assert _run("Get", url=server.url("/ap/state"), keep={"json": "/of"}).data == {"code": 200, "cut": True}
    assert "has no /of/9" in str(_run("Get", url=server.url("/ap/state"), keep={"json": "/of/9"}).message)
    both = _run("Put", url=server.url("/ap/state"), json={}, content="x")
    assert both.message == "the request has json and content; give one of them"


def test_credentials_are_sent_and_come_back_in_nothing(server: Server) -> None:
    for auth, sent in (
        ({"user": "ann", "password": "hunter22"}, "Basic " + base64.b64encode(b"ann:hunter22").decode()),
        ({"bearer": "t0ken"}, "Bearer t0ken"),
    ):
        result = _run("Get", url=server.url("/ap/state"), auth=auth, keep={"json": ""}, headers={"Authorization": "no"})
        assert server.headers[-1]["authorization"] == sent
        assert result.data["json"]["who"] == sent.split()[0] + " [redacted]"
        refused = _run("Get", url=server.url("/ap/state"), auth=auth, code=404)
        assert sent.split()[1] not in str(refused)
    for wrong in ({"user": "a", "bearer": "b"}, {"password": "b"}):
        assert "auth " in str(_run("Get", url=server.url("/ap/state"), auth=wrong).message)


def test_a_request_is_repeated_until_its_answer_is_the_expected_one(server: Server) -> None:
    server.states = [(503, {}), (200, {"state": "starting"})]
    checks, url = [{"path": "/state", "equals": "up"}], server.url("/ap/state")
    result = _run("Get", url=url, checks=checks, retry={"interval": 0.1})
    assert (result.status, len(server.asked)) == ("completed", 3)
    server.states = [(503, {})] * 9
    failed = _run("Get", url=url, checks=checks, retry={"interval": 0.1, "attempts": 2})
    assert "answered 503, not 200" in str(failed.message)
    assert str(failed.message).endswith("(tried 2 times, as many as it may)")
    ended = run(HttpRequest(), "httprequest:Get", {"url": url, "retry": {"interval": 60}}, timeout=30)
    assert str(ended.message).endswith("and the step's time is over)")
    denied = run(HttpRequest(rule(["loopback"])), "httprequest:Get", {"url": url, "retry": {"interval": 60}})
    assert "is denied" in str(denied.message)
    assert len(server.asked) == 6


def test_redirects_are_followed_as_far_as_the_step_says(server: Server) -> None:
    there = server.url("/ap/state")
    result = _run("Post", url=server.url("/ap/to/303//ap/to/307//ap/state"), content="x", redirects=2)
    assert result.status == "completed"
    assert [(method, path) for method, path, _, _ in server.asked] == [
        ("POST", "/ap/to/303//ap/to/307//ap/state"),
        ("GET", "/ap/to/307//ap/state"),
        ("GET", "/ap/state"),
    ]
    short = _run("Get", url=server.url(f"/ap/to/302/{server.url(f'/ap/to/302/{there}')}"), redirects=1)
    assert f"answered 302, not 200 (Location: {there})" in str(short.message)


def test_a_redirect_to_another_server_gets_nothing_of_the_first_ones(server: Server) -> None:
    other = f"http://localhost:{server.server_address[1]}/ap/state"
    hidden = {"X-Api-Key": "k", "Accept": "application/json"}
    first = server.url(f"/ap/to/302/{other}")
    assert _run("Get", url=first, headers=hidden, auth={"bearer": "t"}, redirects=3).status == "completed"
    assert server.headers[0]["x-api-key"] == "k"
    assert server.headers[1]["accept"] == "application/json"
    assert not {"x-api-key", "authorization"} & server.headers[1].keys()
    kept = _run("Post", url=server.url(f"/ap/to/307/{other}"), content="x", redirects=3)
    assert str(kept.message).endswith("another server: it does not get the content")
    for place in ("http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/"):
        assert "is denied by httprequest_denied" in str(
            _run("Get", url=server.url(f"/ap/to/302/{place}"), redirects=3).message
        )
    assert "less secure" in str(_run("Get", url=server.url("/ap/to/302/file:///etc/passwd"), redirects=3).message)


def test_a_step_says_how_much_of_an_answer_it_takes(server: Server) -> None:
    assert "more than 4999 bytes" in str(_run("Get", url=server.url("/much"), max_size=4999).message)


def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    client = authority.issue_cert("ann@example.com")
    cert = "".join(one.bytes().decode() for one in client.cert_chain_pems)
    key = client.private_key_pem.bytes().decode()
    with serving(context) as server:
        asked = {"url": f"https://localhost:{server.server_address[1]}/200", "ca_file": str(tmp_path / "clients.pem")}
        assert _run("Get", **asked).status == "failed"
        assert _run("Get", **asked, client_cert=cert, client_key=key).status == "completed"
        assert _run("Get", **asked, client_cert=cert + key).status == "completed"
        assert "expected PEM of a certificate and of its key" in str(_run("Get", **asked, client_cert=cert).message)
        assert "which is missing" in str(_run("Get", **asked, client_key=key).message)


def test_a_step_says_beforehand_whether_it_changes_anything() -> None:
    assert plan(HttpRequest(), "httprequest:Get", {"url": "http://ann:pw@there/"}).will == "no"
    change = plan(HttpRequest(), "httprequest:Delete", {"url": "http://ann:pw@there/"})
    assert change == ("unknown", "", "Delete to http://there/: the server decides")


def test_waiting_for_an_answer_uses_the_same_terms(server: Server) -> None:
    server.states = [(503, {}), (200, {"state": "starting"})]
    wanted = {"url": server.url("/ap/to/302//ap/state"), "redirects": 1, "auth": {"bearer": "t"}, "timeout": 30}
    checks = [{"path": "/state", "equals": "up"}]
    assert run(Wait(), "wait:ForHttp", {**wanted, "checks": checks}).status == "completed"
    assert server.headers[-1]["authorization"] == "Bearer t"
    late = run(Wait(), "wait:ForHttp", {**wanted, "timeout": 0, "contains": "down"})
    assert "not there after 0 s: GET http" in str(late.message)
    assert 'answered without the text: {"state": "up"' in str(late.message)
    assert late.data == {"kind": "timeout"}
    denied = run(Wait(rule(["loopback"])), "wait:ForHttp", wanted)
    assert str(denied.message).endswith("is denied by httprequest_denied (loopback)")
    assert plan(Wait(), "wait:ForHttp", wanted).will == "no"
