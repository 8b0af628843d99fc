"""Health, dead letters, notifications, workers, schemas."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
import re_schemas

from re_core.rows import DeadLetter, WorkerRecord
from re_core.usecases import access
from re_core.wire.messages import DISCARD
from re_rest.app import bind_services
from tests.integration.front_end.front_end_harness import T0, FrontEndHarness, body

NOTIFICATION = {"transport": "console", "slug": "s", "message": "m", "phase": "completed", "target": ["a"]}


def _letter(harness: FrontEndHarness, id: str = "0001", queue: str = "notify.console") -> DeadLetter:
    properties = {
        "message_id": "m1",
        "correlation_id": "dep1",
        "reply_to": "re.reply.3",
        "app_id": "core",
        "headers": {"h": "1"},
    }
    letter = DeadLetter(id, queue, "bad-message", "not JSON", "email", T0, b'{"x": \xff', properties)
    harness.store.store_letter(letter)
    return letter


def test_ready_says_which_part_is_not(harness: FrontEndHarness) -> None:
    assert harness.call("GET", "/readyz", None).json == {
        "status": "ready",
        "checks": {"bus": "ok", "store": "ok", "core": "ok"},
    }
    harness.parts["store"] = "disk full"

    response = harness.call("GET", "/readyz", None)

    assert response.status_code == 503
    assert response.json["checks"] == {"bus": "ok", "store": "disk full", "core": "ok"}
    assert harness.call("GET", "/healthz", None).status_code == 200


def test_ready_says_without_what_it_goes_on(harness: FrontEndHarness) -> None:
    away = {"email": "mail:25 cannot be reached: Connection refused"}
    bind_services(harness.app, replace(harness.services, degraded=lambda: away))

    response = harness.call("GET", "/readyz", None)

    assert (response.status_code, response.json["status"], response.json["degraded"]) == (200, "ready", away)


def test_dead_letters_are_listed_in_pages_and_shown_whole(harness: FrontEndHarness) -> None:
    for number in range(3):
        _letter(harness, f"000{number}")

    first = harness.call("GET", "/api/v1/deadletters?limit=2").json
    second = harness.call("GET", f"/api/v1/deadletters?limit=2&cursor={first['next']}").json
    whole = harness.call("GET", "/api/v1/deadletters/0001").json

    assert [row["id"] for row in first["items"] + second["items"]] == ["0002", "0001", "0000"]
    assert second["next"] is None
    assert base64.b64decode(whole["body"]) == b'{"x": \xff'
    assert whole["text"] is None
    assert (whole["reason"], whole["queue"], whole["properties"]["headers"]) == (
        "bad-message",
        "notify.console",
        {"h": "1"},
    )


def test_replay_puts_the_bytes_and_properties_back_on_the_queue_once(harness: FrontEndHarness) -> None:
    letter = _letter(harness)
    subscription = harness.bus.subscribe(["notify.console"], 10)

    assert harness.call("POST", "/api/v1/deadletters/0001/replay").status_code == 202
    assert harness.call("POST", "/api/v1/deadletters/0001/replay").status_code == 404

    [delivery] = subscription.take(10, 5)
    message = delivery.message
    assert (message.body, message.correlation_id, message.reply_to) == (letter.body, "dep1", "re.reply.3")
    assert (message.app_id, dict(message.headers)) == ("core", {"h": "1"})
    assert message.id != "m1"
    subscription.ack([delivery])
    subscription.close()


def test_replay_to_a_queue_that_is_gone_keeps_the_letter(harness: FrontEndHarness) -> None:
    _letter(harness, queue="worker.gone")

    assert harness.call("POST", "/api/v1/deadletters/0001/replay").status_code == 409
    assert harness.call("GET", "/api/v1/deadletters/0001").status_code == 200
    assert harness.call("DELETE", "/api/v1/deadletters/0001").status_code == 204
    assert harness.call("DELETE", "/api/v1/deadletters/0001").status_code == 404


def test_a_notification_goes_to_the_notifiers_queue(harness: FrontEndHarness) -> None:
    subscription = harness.bus.subscribe(["notify.console"], 10)

    allowed = access.mint(harness.store, harness.clock, "ci", ["ours"], notify=True).secret
    response = harness.call("POST", "/api/v1/notifications", allowed, json=NOTIFICATION)

    assert response.status_code == 202
    [delivery] = subscription.take(10, 5)
    assert delivery.message.id == response.json["id"]
    assert delivery.message.reply_to == DISCARD
    assert body(delivery.message) == {key: NOTIFICATION[key] for key in ("slug", "message", "phase", "target")}
    subscription.ack([delivery])
    subscription.close()


def test_a_token_sends_no_notifications_without_the_right_to(harness: FrontEndHarness) -> None:
    harness.bus.declare("notify.console")
    half = access.mint(harness.store, harness.clock, "x", ["ours"], admin=True).secret

    refused = harness.call("POST", "/api/v1/notifications", harness.ours, json=NOTIFICATION)

    assert refused.status_code == 403
    assert "no right `notify`" in refused.json["detail"]
    assert harness.call("POST", "/api/v1/notifications", half, json=NOTIFICATION).status_code == 403
    assert harness.call("POST", "/api/v1/notifications", json=NOTIFICATION).status_code == 202


def test_a_repeated_notification_has_the_same_id(harness: FrontEndHarness) -> None:
    harness.bus.declare("notify.console")
    headers = {"Idempotency-Key": "k"}

    ids = {
        harness.call("POST", "/api/v1/notifications", json=NOTIFICATION, headers=headers).json["id"] for _ in range(2)
    }

    assert len(ids) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"transport": "pigeon"}, 409),
        ({"transport": "a.b"}, 422),
        ({"transport": ""}, 422),
        ({"transport": 1}, 422),
        ({"slug": "x" * 81}, 422),
        ({"phase": "almost"}, 422),
        ({"target": "a"}, 422),
        ({"extra": 1}, 422),
    ],
)
def test_a_notification_that_cannot_be_sent_says_why(
    harness: FrontEndHarness, change: dict[str, Any], status: int
) -> None:
    response = harness.call("POST", "/api/v1/notifications", json={**NOTIFICATION, **change})

    assert response.status_code == status
    if status == 422:
        assert response.json["errors"][0]["path"] == f"/{next(iter(change))}"


def test_a_token_request_with_a_key_makes_one_token(harness: FrontEndHarness) -> None:
    headers = {"Idempotency-Key": "k"}

    first = harness.call("POST", "/api/v1/tokens", json={"user": "ci"}, headers=headers)
    second = harness.call("POST", "/api/v1/tokens", json={"user": "ci"}, headers=headers)

    assert (first.status_code, second.status_code) == (201, 409)
    assert len(harness.store.tokens()) == 4


@pytest.mark.parametrize(
    "sent",
    [{}, {"user": ""}, {"user": 1}, {"user": "x", "groups": "ours"}, {"user": "x", "admin": 1}, {"user": "x", "y": 1}],
)
def test_a_token_request_that_is_none_is_a_422(harness: FrontEndHarness, sent: dict[str, Any]) -> None:
    assert harness.call("POST", "/api/v1/tokens", json=sent).status_code == 422


def test_nobody_makes_an_administrator_of_some_groups_only(harness: FrontEndHarness) -> None:
    sent = {"user": "x", "groups": ["ours"], "admin": True}

    refused = harness.call("POST", "/api/v1/tokens", json=sent)

    assert refused.status_code == 422
    assert refused.json["errors"][0]["path"] == "/groups"


def test_a_token_of_some_groups_makes_none_whatever_else_it_may(harness: FrontEndHarness) -> None:
    secret = access.mint(harness.store, harness.clock, "x", ["ours"], admin=True).secret

    assert harness.call("POST", "/api/v1/tokens", secret, json={"user": "y"}).status_code == 403
    assert harness.call("GET", "/api/v1/tokens", secret).status_code == 403


OFFER = {"summary": "s", "accepts": {"kind": ["x"]}}


def test_workers_show_their_offers_and_hide_other_groups_deployments(harness: FrontEndHarness) -> None:
    harness.store.register(WorkerRecord("w", 4, {"a:B": OFFER}, ("dep9/0/1",), harness.clock.now()))

    [whole] = harness.call("GET", "/api/v1/workers").json["items"]
    [limited] = harness.call("GET", "/api/v1/workers", harness.ours).json["items"]

    assert (whole["offers"], whole["running"], whole["busy"]) == ({"a:B": OFFER}, ["dep9/0/1"], 1)
    assert (limited["running"], limited["busy"]) == ([], 1)


def test_the_schemas_are_served_as_they_are(harness: FrontEndHarness) -> None:
    names = harness.call("GET", "/api/v1/schemas", None).json["items"]

    assert names == sorted(re_schemas.names())
    for name in names:
        assert harness.call("GET", f"/api/v1/schemas/{name}", None).json == re_schemas.load(name)
