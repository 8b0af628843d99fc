"""Apprise itself, whose json:// posts to a server of the test."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from re_core.errors import BadSettings
from re_workers.notify.apprise_urls import AppriseHandler, AppriseSettings
from re_workers.notify.handler import Undeliverable, Unreachable
from tests.integration.notify.hooks import Hooks, Request
from tests.unit.notify.notices import Said

SECRET = "hunter22-s3cr3t"


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    """A server in the clear, as json:// speaks."""
    with Hooks() as server:
        yield server


def handler_of(*urls: str, timeout: float = 10) -> AppriseHandler:
    targets = {f"t{number}": {"url": url} for number, url in enumerate(urls)}
    return AppriseHandler(AppriseSettings.from_mapping({"targets": targets, "timeout": timeout}))


def url_of(hooks: Hooks) -> str:
    return f"json://user:{SECRET}@127.0.0.1:{hooks.port}/hook"


def test_a_notice_reaches_the_service_with_its_texts_and_its_kind(hooks: Hooks) -> None:
    with closing(handler_of(url_of(hooks))) as handler:
        handler.deliver(Said("failed: web/site", "It\nfailed \x1b[2J", "failed", ("t0",)), "i")
    (request,) = hooks.requests
    said = json.loads(request.body)
    assert (request.path.rstrip("/"), said["title"], said["type"]) == ("/hook", "failed: web/site", "failure")
    assert said["message"] == "It\nfailed \\x1b[2J"
    assert request.headers["authorization"].startswith("Basic ")


def test_a_service_that_refuses_is_tried_again_and_its_url_is_said_nowhere(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.answer = lambda request: 500
    refused = pytest.raises(Unreachable, match=r"'t0': the service did not take it: .*500")
    with caplog.at_level(logging.DEBUG), closing(handler_of(url_of(hooks))) as handler, refused as raised:
        handler.deliver(Said("s", "m", "failed", ("t0",)), "i")
    assert raised.value.targets == ("t0",)
    assert SECRET not in str(raised.value)
    assert SECRET not in caplog.text


def test_a_target_that_the_settings_do_not_name_is_refused_and_the_others_get_it(hooks: Hooks) -> None:
    refused = pytest.raises(Undeliverable, match=r"apprise\.targets\.t1; known are t0")
    with closing(handler_of(url_of(hooks))) as handler, refused as raised:
        handler.deliver(Said("s", "m", "started", ("t1", "t0")), "i")
    assert raised.value.targets == ("t1",)
    assert len(hooks.requests) == 1


def test_a_service_that_does_not_answer_holds_nothing_up_and_is_not_asked_again_soon(hooks: Hooks) -> None:
    release = threading.Event()

    def hang(request: Request) -> int:
        release.wait(30)
        return 204

    hooks.answer = hang
    with closing(handler_of(url_of(hooks), timeout=0.5)) as handler:
        with pytest.raises(Unreachable, match=r"no answer in 0\.5 s") as first:
            handler.deliver(Said("s", "m", "failed", ("t0",)), "1")
        with pytest.raises(Unreachable, match=r"no answer in 0\.5 s"):
            handler.deliver(Said("s", "m", "failed", ("t0",)), "2")
        release.set()
    assert first.value.pause > 0  # it may have arrived
    assert len(hooks.requests) == 1


@pytest.mark.parametrize("url", [f"nosuch://{SECRET}", SECRET, f"slack://{SECRET}"])
def test_a_url_that_apprise_does_not_take_is_refused_at_the_start_without_being_repeated(url: str) -> None:
    with pytest.raises(BadSettings, match=r"apprise\.targets\.t0\.url") as raised:
        handler_of(url)
    assert SECRET not in str(raised.value)
