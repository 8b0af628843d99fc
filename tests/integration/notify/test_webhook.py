"""Webhooks against an HTTP server with TLS, whose signatures the library of Standard Webhooks checks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from re_core.wire.notice_facts import Facts
from re_workers.notify.handler import Undeliverable, Unreachable
from re_workers.notify.webhook import MOST_LATER, WebhookHandler, WebhookSettings, retry_after
from tests.integration.notify.conftest import Trust
from tests.integration.notify.hooks import Hooks, Request
from tests.unit.notify.notices import Said

SECRET, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
PATH = "/services/s3cr3t-path"


@pytest.fixture
def hooks(trust: Trust) -> Iterator[Hooks]:
    """A server whose certificate only the authority of this run has signed."""
    with Hooks(trust.server()) as server:
        yield server


def handler_of(hooks: Hooks, trust: Trust, **more: Any) -> WebhookHandler:
    target = {"url": hooks.url + PATH, "secret": SECRET, "ca_file": trust.ca_file}
    section = {"targets": {"ops": target, "audit": {**target, "url": f"{hooks.url}/audit"}}, "timeout": 5, **more}
    return WebhookHandler(WebhookSettings.from_mapping(section), "https://re.example.com")


def notice(*target: str) -> Said:
    return Said("failed: web/site", "It failed", "failed", target, Facts("d1", "web", "site", user="alice"))


def test_a_receiver_with_the_published_library_accepts_the_signature(hooks: Hooks, trust: Trust) -> None:
    with closing(handler_of(hooks, trust)) as handler:
        handler.deliver(notice("ops"), "d1/failed/webhook")
    (request,) = hooks.requests
    event = Webhook(SECRET).verify(request.body, request.headers)
    assert (request.path, event["id"], event["data"]["user"]) == (PATH, "d1/failed/webhook", "alice")
    assert event["data"]["link"] == "https://re.example.com/api/v1/deployments/d1"
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def test_while_a_secret_is_replaced_either_one_verifies(hooks: Hooks, trust: Trust) -> None:
    target = {"url": hooks.url, "secret": SECRET, "old_secret": OLD, "ca_file": trust.ca_file}
    with closing(WebhookHandler(WebhookSettings.from_mapping({"targets": {"ops": target}}))) as handler:
        handler.deliver(notice("ops"), "i")
    for secret in (SECRET, OLD):
        Webhook(secret).verify(hooks.requests[0].body, hooks.requests[0].headers)


def test_a_target_that_fails_keeps_no_other_from_getting_it(hooks: Hooks, trust: Trust) -> None:
    hooks.answer = lambda request: 500 if request.path == PATH else 204
    hooks.words = f"broken at {PATH}".encode()
    with closing(handler_of(hooks, trust)) as handler, pytest.raises(Unreachable) as raised:
        handler.deliver(notice("ops", "audit", "nowhere"), "i")
    assert {request.path for request in hooks.requests} == {PATH, "/audit"}
    assert raised.value.targets == ("nowhere", "ops")
    assert "it answered 500: broken at /***" in str(raised.value)
    assert "webhook.targets.nowhere; known are audit, ops" in str(raised.value)


def test_what_is_gone_for_good_is_not_tried_again_nor_sent_anything_more(hooks: Hooks, trust: Trust) -> None:
    hooks.answer = lambda request: 410 if request.path == PATH else 204
    with closing(handler_of(hooks, trust)) as handler:
        for words in ("it answered 410", "it answered 410 before: nothing is sent to it until the next start"):
            with pytest.raises(Undeliverable, match=words) as raised:
                handler.deliver(notice("ops", "audit"), "i")
            assert raised.value.targets == ("ops",)
    assert [request.path for request in hooks.requests].count(PATH) == 1


@pytest.mark.parametrize("said", ["120", "Fri, 28 Nov 2096 12:00:00 GMT"], ids=["seconds", "date"])
def test_a_target_that_wants_less_is_left_alone_as_long_as_it_says(hooks: Hooks, trust: Trust, said: str) -> None:
    hooks.answer, hooks.more = lambda request: 429, {"Retry-After": said}
    with closing(handler_of(hooks, trust)) as handler:
        for _ in range(3):
            with pytest.raises(Unreachable, match="it answered 429"):
                handler.deliver(notice("ops"), "i")
        rests = handler._resting._away["ops"][0] - time.monotonic()
    assert len(hooks.requests) == 1
    assert 60 < rests <= MOST_LATER
    assert retry_after({"retry-after": "soon"}, 0) == retry_after({}, 0) == 0


def test_a_redirect_is_not_followed(hooks: Hooks, trust: Trust) -> None:
    hooks.answer = lambda request: 307
    with closing(handler_of(hooks, trust)) as handler, pytest.raises(Unreachable, match="it answered 307"):
        handler.deliver(notice("ops"), "i")
    assert len(hooks.requests) == 1


def test_a_server_that_the_authority_did_not_sign_gets_nothing(hooks: Hooks, trust: Trust) -> None:
    section = {"targets": {"ops": {"url": hooks.url + PATH, "secret": SECRET}}}
    refused = pytest.raises(Unreachable, match="certificate verify failed")
    with closing(WebhookHandler(WebhookSettings.from_mapping(section))) as handler, refused as raised:
        handler.deliver(notice("ops"), "i")
    assert "s3cr3t" not in str(raised.value)
    assert hooks.requests == []


def test_an_address_that_the_settings_deny_gets_nothing(hooks: Hooks, trust: Trust) -> None:
    refused = pytest.raises(Unreachable, match=r"denied by webhook\.denied \(loopback\)")
    with closing(handler_of(hooks, trust, denied=["loopback"])) as handler, refused:
        handler.deliver(notice("ops"), "i")
    assert hooks.requests == []


def test_a_target_that_did_not_answer_rests_before_it_costs_the_next_notice_time(hooks: Hooks, trust: Trust) -> None:
    release = threading.Event()

    def hang(request: Request) -> int:
        release.wait(30)
        return 204

    hooks.answer = hang
    with closing(handler_of(hooks, trust, timeout=0.2)) as handler:
        for id in ("1", "2"):
            with pytest.raises(Unreachable, match=r"no answer in 0\.2 s|timed out"):
                handler.deliver(notice("ops"), id)
        release.set()
    assert len(hooks.requests) == 1


def test_a_close_ends_a_delivery_that_waits(hooks: Hooks, trust: Trust) -> None:
    came, release = threading.Event(), threading.Event()

    def hang(request: Request) -> int:
        came.set()
        release.wait(30)
        return 204

    hooks.answer = hang
    handler = handler_of(hooks, trust, timeout=60)
    failures: list[Exception] = []

    def deliver() -> None:
        try:
            handler.deliver(notice("ops"), "i")
        except Unreachable as error:
            failures.append(error)

    thread = threading.Thread(target=deliver)
    thread.start()
    assert came.wait(10)
    handler.close()
    thread.join(10)
    release.set()
    assert len(failures) == 1
    with pytest.raises(Unreachable, match="is closed"):
        handler.deliver(notice("ops"), "i")


def test_a_repetition_has_the_same_id_and_body(hooks: Hooks, trust: Trust) -> None:
    with closing(handler_of(hooks, trust)) as handler:
        handler.deliver(notice("ops"), "same")
        handler.deliver(notice("ops"), "same")
    first, second = hooks.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "same"
    assert json.loads(first.body)["id"] == "same"
