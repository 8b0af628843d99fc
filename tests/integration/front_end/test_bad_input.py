"""Whatever comes in, what goes out is a problem document, and never a 500."""

from __future__ import annotations

import pytest

from re_core.errors import StoreRefused, StoreUnavailable
from tests.integration.front_end.front_end_harness import FrontEndHarness

#: ids that no store should ever see
HOSTILE = [
    "%00",
    "a%00b",
    "..",
    "%2e%2e%2f",
    "a%2Fb",
    "x" * 10_000,
    "%F0%9F%92%A9",
    "%ED%A0%80",
    "%ff%fe",
    "a%0d%0aSet-Cookie:%20x",
    "'; drop table playbooks; --",
    "<script>",
    "-1",
    "%20",
    "{id}",
    "٣",
]

ROUTES = [
    ("GET", "/api/v1/deployments/{}"),
    ("GET", "/api/v1/deployments/{}/journal"),
    ("GET", "/api/v1/deployments/{}/output"),
    ("GET", "/api/v1/deployments/{}/events"),
    ("POST", "/api/v1/deployments/{}/cancel"),
    ("POST", "/api/v1/deployments/{}/retry"),
    ("POST", "/api/v1/deployments/{}/decide"),
    ("POST", "/api/v1/deployments/{}/resolve"),
    ("GET", "/api/v1/playbooks/{}"),
    ("PUT", "/api/v1/playbooks/{}"),
    ("DELETE", "/api/v1/playbooks/{}"),
    ("POST", "/api/v1/playbooks/{}/plan"),
    ("GET", "/api/v1/playbooks/{}/revisions"),
    ("GET", "/api/v1/playbooks/book/revisions/{}"),
    ("GET", "/api/v1/deadletters/{}"),
    ("DELETE", "/api/v1/deadletters/{}"),
    ("POST", "/api/v1/deadletters/{}/replay"),
    ("DELETE", "/api/v1/tokens/{}"),
    ("POST", "/api/v1/runners/{}/revoke"),
    ("DELETE", "/api/v1/runners/{}"),
    ("GET", "/api/v1/schemas/{}"),
    ("GET", "/docs/static/{}"),
]


@pytest.mark.parametrize("id", HOSTILE, ids=range(len(HOSTILE)))
def test_an_id_of_any_shape_is_a_problem_and_not_a_mistake_of_ours(harness: FrontEndHarness, id: str) -> None:
    for method, route in ROUTES:
        response = harness.call(method, route.replace("{}", id))
        # the test client resolves .. as a browser does
        expected = {400, 404} if id not in ("..", "%2e%2e%2f") else {200, 400, 404, 405, 308}
        assert response.status_code in expected, (method, route)
        if response.status_code >= 400:
            assert response.content_type == "application/problem+json"
            assert response.json["status"] == response.status_code


@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 4000, "0", "1e3"])
def test_a_revision_of_any_size_is_not_found(harness: FrontEndHarness, number: str) -> None:
    harness.playbook()

    assert harness.call("GET", f"/api/v1/playbooks/book/revisions/{number}").status_code == 404


def test_errors_of_the_framework_are_problem_documents_too(harness: FrontEndHarness) -> None:
    wrong = harness.call("DELETE", "/api/v1/groups")

    assert wrong.status_code == 405
    assert wrong.content_type == "application/problem+json"
    assert "GET" in wrong.headers["Allow"]
    assert wrong.json["type"] == "urn:release-engine:method-not-allowed"


def test_a_mistake_of_ours_tells_the_log_and_not_the_caller(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the secret of the harness")

    monkeypatch.setattr(harness.store, "playbook_heads", broken)
    response = harness.call("GET", "/api/v1/groups")

    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json["request_id"] == response.headers["X-Request-Id"]
    assert response.json["request_id"] in caplog.text


def test_a_store_that_is_away_is_a_503_everywhere_and_one_that_refuses_a_500(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable

    def refusing(*_: object) -> None:
        raise StoreRefused

    monkeypatch.setattr(harness.store, "playbook_heads", away)
    response = harness.call("GET", "/api/v1/groups")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert harness.call("GET", "/api/v0/groups/").json["status"] == "error"
    monkeypatch.setattr(harness.store, "playbook_heads", refusing)
    assert harness.call("GET", "/api/v1/groups").status_code == 500


def test_a_declared_length_over_the_limit_is_refused_before_the_body_is_read(harness: FrontEndHarness) -> None:
    class Unread:
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    response = harness.call(
        "POST",
        "/api/v1/playbooks",
        environ_overrides={"wsgi.input": Unread(), "CONTENT_LENGTH": "2000000", "CONTENT_TYPE": "application/json"},
    )

    assert response.status_code == 413


def test_every_answer_says_what_a_browser_may_do_with_it(harness: FrontEndHarness) -> None:
    for path in ("/healthz", "/docs", "/docs/static/swagger-ui-bundle.js", "/api/v1/groups", "/api/v1/nowhere"):
        response = harness.call("GET", path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    policy = harness.call("GET", "/docs").headers["Content-Security-Policy"]
    scripts = next(part for part in policy.split(";") if "script-src" in part)
    assert scripts.strip() == "script-src 'self'"


TOKENS = "/api/v1/tokens"


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "detail"),
    [
        ("POST", TOKENS, "", 422, "expected JSON, found nothing"),
        ("POST", TOKENS, "[]", 422, "expected an object"),
        ("POST", TOKENS, '{"usr": "ann"}', 422, "the document has 2 errors"),
        ("POST", TOKENS, "{}", 422, "the key 'user' is missing; expected a name"),
        ("POST", TOKENS, '{"user": "ann", "admn": true}', 422, "unknown key 'admn'; did you mean 'admin'?"),
        ("POST", TOKENS, '{"user": null}', 422, "expected a name, found null"),
        (
            "GET",
            "/api/v1/deployments?since=soon",
            "",
            400,
            "since: expected a time such as 2026-01-31T12:00:00Z, found 'soon'",
        ),
        ("GET", "/api/v1/deployments?limit=0", "", 400, "limit: expected a whole number from 1 to 1000, found '0'"),
        (
            "GET",
            "/api/v1/deployments/dep1/output?step=x",
            "",
            400,
            "step: expected a whole number of at least 0, found 'x'",
        ),
        (
            "GET",
            "/api/v1/deployments?status=done",
            "",
            400,
            "status: expected one or more of accepted, running, waiting, cancelling, completed, failed, cancelled, found 'done'",
        ),
        ("GET", "/api/v1/nowhere", "", 404, "there is no route '/api/v1/nowhere'; /docs lists the routes"),
        ("DELETE", TOKENS, "", 405, "DELETE is not allowed here; allowed are GET, HEAD, OPTIONS, POST"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    harness: FrontEndHarness, method: str, path: str, sent: str, status: int, detail: str
) -> None:
    harness.deployment()

    response = harness.call(method, path, data=sent, content_type="application/json")

    assert (response.status_code, response.json["detail"]) == (status, detail)


def test_a_bad_notification_is_told_whole_and_takes_no_key(harness: FrontEndHarness) -> None:
    harness.bus.declare("notify.console")
    good = {"transport": "console", "slug": "s", "message": "m", "phase": "completed", "target": ["a"]}
    headers = {"Idempotency-Key": "k"}

    wrong = harness.call(
        "POST", "/api/v1/notifications", json={**good, "phase": "done", "target": "a"}, headers=headers
    )

    assert [fault["path"] for fault in wrong.json["errors"]] == ["/phase", "/target"]
    assert harness.call("POST", "/api/v1/notifications", json=good, headers=headers).status_code == 202


def test_version_0_tells_no_empty_place(harness: FrontEndHarness) -> None:
    response = harness.call("PUT", "/api/v0/ours/playbook/", data="")

    assert response.json == {"status": "bad request", "message": "expected JSON, found nothing"}


def test_a_body_with_many_problems_is_told_a_hundred_of_them_and_how_many_more(harness: FrontEndHarness) -> None:
    harness.playbook()
    body = {f"key{number}": 1 for number in range(500)}
    answer = harness.call("POST", "/api/v1/playbooks/book/plan", json=body)
    assert answer.status_code == 422
    errors = answer.get_json()["errors"]
    assert (len(errors), errors[-1]["message"]) == (101, "400 more problems are not listed")
