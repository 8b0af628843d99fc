"""The body and the signature of a webhook."""

from __future__ import annotations

import json

import pytest

from re_core.wire.notice_facts import Facts, StepFacts
from re_workers.notify.cloud_event import event_of, key_of, signed_headers, webhook_id
from tests.unit.notify.notices import Said

FAILED = Said(
    "failed: web/site",
    "It failed",
    "failed",
    ("ops",),
    Facts(
        "d1",
        "web",
        "site",
        3,
        "alice",
        "failed",
        1_767_225_600_000,
        4200,
        ("web1",),
        1,
        "version=1",
        StepFacts(2, "x:Y"),
    ),
)


def test_the_signature_is_that_of_the_published_vector() -> None:
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        [key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_two_keys_sign_so_that_a_receiver_may_know_either() -> None:
    headers = signed_headers("i", 1, b"x", [b"a" * 24, b"b" * 24])
    first, second = headers["webhook-signature"].split(" ")
    assert first == signed_headers("i", 1, b"x", [b"a" * 24])["webhook-signature"]
    assert second == signed_headers("i", 1, b"x", [b"b" * 24])["webhook-signature"]


@pytest.mark.parametrize("secret", ["whsec_%%%", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "QUFB" * 40])
def test_a_secret_that_is_none_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ValueError) as raised:
        key_of(secret)
    assert secret[8:] not in str(raised.value) or not secret[8:]


def test_an_event_says_who_what_where_and_how_long() -> None:
    event = json.loads(event_of(FAILED, "d1/failed/webhook", "https://re.example.com", "https://re.example.com/x"))
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "d1/failed/webhook",
        "source": "https://re.example.com",
        "type": "release-engine.notification.failed",
        "datacontenttype": "application/json",
        "subject": "d1",
        "time": "2026-01-01T00:00:00.000Z",
    }
    assert (data["user"], data["took_ms"], data["hosts"], data["step"]) == (
        "alice",
        4200,
        ["web1"],
        {"number": 2, "name": "x:Y"},
    )


def test_a_notice_without_facts_is_an_event_all_the_same() -> None:
    event = json.loads(event_of(Said("s", "m", "completed", ("a",)), "i", "release-engine", ""))
    assert event["data"] == {"slug": "s", "message": "m", "phase": "completed", "revision": 0, "host_count": 0}
    assert "time" not in event and "subject" not in event


def test_an_id_that_no_header_takes_is_replaced_by_its_digest() -> None:
    assert webhook_id("01J/2/1/failed/webhook") == "01J/2/1/failed/webhook"
    strange = webhook_id("a.b\r\nx: y")
    assert len(strange) == 32 and strange == webhook_id("a.b\r\nx: y") != webhook_id("a.b")
