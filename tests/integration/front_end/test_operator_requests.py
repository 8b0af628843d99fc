"""Retry and decide over HTTP: what is asked of the core, how its no is said, and what a document offers."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from re_core.deployment.records import (
    CancelRequested,
    Completed,
    Dispatched,
    Ended,
    Failed,
    Lost,
    ResolutionRequested,
    Resolved,
    Retried,
)
from re_core.model import DeploymentStatus
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.redaction import Redaction
from re_rest import deployments, events
from re_rest.streams import Position, Streams
from tests.integration.front_end.front_end_harness import T0, Answer, FrontEndHarness, body, refuse

ONE = "/api/v1/deployments/dep1"
V0 = "/api/v0/deployment/status/dep1/"
RESOLUTION = {"step": 0, "resolution": "succeeded"}
#: the same, as version 0.1 had it
RULING = {"step": 0, "ruling": "happened"}


def _yes(message: Message) -> Answer:
    return {"accepted": True}, {}


def _lost(harness: FrontEndHarness, *more: Any) -> None:
    """Its first step is lost."""
    harness.deployment()
    harness.append("dep1", 3, Lost(0, 1, "its worker is gone"), *more)


def test_a_retry_asks_the_deployments_own_queue(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(_yes) as asked:
        sent = {"reason": "mended", "lost": "happened", "retries": 0}
        response = harness.call("POST", f"{ONE}/retry", harness.ours, json=sent)

    assert (response.status_code, response.json["id"]) == (202, "dep1")
    assert response.json["links"]["events"] == f"{ONE}/events"
    [message] = asked
    assert (message.key, message.direct, message.correlation_id) == (m.reply_queue("dep1"), True, "dep1")
    assert (message.headers[m.EVENT], message.expires) == ("retry", m.request_life(5))
    assert body(message) == {"user": "olga", "reason": "mended", "lost": "happened", "retries": 0}


def test_a_retry_needs_no_body(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(_yes) as asked:
        assert harness.call("POST", f"{ONE}/retry", harness.ours).status_code == 202

    assert body(asked[0]) == {"user": "olga", "reason": ""}


def test_a_decision_says_which_step_and_which_attempt(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(_yes) as asked:
        sent = {"step": 2, "resolution": "rerun", "attempt": 3, "reason": "looked"}
        response = harness.call("POST", f"{ONE}/resolve", harness.ours, json=sent)

    assert response.status_code == 202
    assert asked[0].headers[m.EVENT] == "decide"
    assert body(asked[0]) == {"user": "olga", "reason": "looked", "step": 2, "ruling": "again", "attempt": 3}


@pytest.mark.parametrize(("route", "sent"), [("retry", {}), ("resolve", RESOLUTION), ("decide", RULING)])
def test_what_the_state_does_not_allow_is_a_409_with_the_reason(
    harness: FrontEndHarness, route: str, sent: Any
) -> None:
    harness.deployment()

    with harness.core(lambda message: ({"accepted": False, "reason": "say which"}, {})):
        response = harness.call("POST", f"{ONE}/{route}", json=sent)

    assert (response.status_code, response.json["detail"]) == (409, "say which")
    assert response.json["type"] == "urn:release-engine:conflict"
    assert "deployment" not in response.json


def test_a_deployment_that_stands_in_the_way_is_named(harness: FrontEndHarness) -> None:
    harness.deployment()

    with harness.core(lambda message: ({"accepted": False, "reason": "dep2 runs", "holder": "dep2"}, {})):
        retried = harness.call("POST", f"{ONE}/retry")
    with harness.core(refuse("refused", **{m.HOLDER: "dep2"})):
        begun = harness.call("POST", "/api/v1/deployments", json={"group": "ours", "playbook_id": "book"})

    for response in (retried, begun):
        assert (response.status_code, response.json["type"]) == (409, "urn:release-engine:refused")
        assert response.json["deployment"] == "dep2"


@pytest.mark.parametrize(
    ("route", "sent", "paths"),
    [
        ("retry", {"lost": "fail"}, ["/lost"]),
        ("retry", {"lost": None}, ["/lost"]),
        ("retry", {"retries": -1, "resaon": "x"}, ["/retries", "/resaon"]),
        ("retry", {"retries": True}, ["/retries"]),
        ("resolve", {}, ["/step", "/resolution"]),
        ("resolve", {**RESOLUTION, "resolution": "maybe"}, ["/resolution"]),
        ("resolve", {**RESOLUTION, "ruling": "fail"}, ["/ruling"]),
        ("decide", {}, ["/step", "/resolution"]),
        ("decide", {**RULING, "ruling": "maybe"}, ["/ruling"]),
        ("decide", {**RULING, "ruling": ["fail"]}, ["/ruling"]),
        ("decide", {**RULING, "step": "0"}, ["/step"]),
        ("decide", {**RULING, "step": 2**60}, ["/step"]),
        ("decide", {**RULING, "attempt": 0}, ["/attempt"]),
        ("decide", {**RULING, "reason": "x" * 1001}, ["/reason"]),
    ],
)
def test_a_bad_body_is_a_422_that_says_where(harness: FrontEndHarness, route: str, sent: Any, paths: list[str]) -> None:
    harness.deployment()

    response = harness.call("POST", f"{ONE}/{route}", json=sent)

    assert response.status_code == 422
    assert [fault["path"] for fault in response.json["errors"]] == paths


@pytest.mark.parametrize(("route", "sent"), [("retry", {}), ("resolve", RESOLUTION), ("decide", RULING)])
def test_one_key_is_one_request_and_another_body_is_another(harness: FrontEndHarness, route: str, sent: Any) -> None:
    harness.deployment()
    harness.deployment("dep2")

    def call(id: str, token: str, key: str, **more: Any) -> int:
        path, headers = f"/api/v1/deployments/{id}/{route}", {"Idempotency-Key": key} if key else {}
        status: int = harness.call("POST", path, token, json={**sent, **more}, headers=headers).status_code
        return status

    with harness.core(_yes) as asked:
        assert call("dep1", harness.ours, "k") == call("dep1", harness.ours, "k") == 202
        assert call("dep1", harness.ours, "k", reason="another") == 422
        assert (
            call("dep2", harness.ours, "k")
            == call("dep1", harness.admin, "k")
            == call("dep1", harness.ours, "l")
            == 202
        )
        assert call("dep1", harness.ours, "") == call("dep1", harness.ours, "") == 202
        assert call("dep1", harness.ours, "x" * 256) == 400

    ids = [message.id for message in asked]
    assert ids[0] == ids[1]
    assert len(set(ids)) == len(ids) - 1 == 6
    harness.store.forget(["dep1"])
    with harness.core(_yes):
        harness.deployment()
        assert call("dep1", harness.ours, "k", reason="of another life") == 202


@pytest.mark.parametrize(("route", "sent"), [("retry", {}), ("resolve", RESOLUTION), ("decide", RULING)])
def test_nobody_else_and_nothing_else_is_asked(harness: FrontEndHarness, route: str, sent: Any) -> None:
    harness.deployment()

    assert harness.call("POST", f"{ONE}/{route}", harness.theirs, json=sent).status_code == 403
    assert harness.call("POST", f"/api/v1/deployments/none/{route}", json=sent).status_code == 404


def test_silence_of_the_core_is_a_504_that_says_that_it_may_be_done(harness: FrontEndHarness) -> None:
    harness.deployment()
    object.__setattr__(harness.services, "request_timeout", 0.05)

    with harness.core(lambda message: None):
        response = harness.call("POST", f"{ONE}/retry")

    assert (response.status_code, response.json["id"]) == (504, "dep1")
    assert "it may still retry dep1: check the deployment" in response.json["detail"]


# -- documents --------------------------------------------------------------------------------------


def test_a_failed_deployment_offers_a_retry_and_counts_them(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.finish("dep1", failed=True)
    failed = harness.call("GET", ONE).json
    harness.append("dep1", 4, Retried("ann"), Dispatched(0, 2))
    going = harness.call("GET", ONE).json

    assert failed["links"]["retry"] == f"{ONE}/retry"
    assert (failed["retries"], failed["exclusive"], failed["ended"] is None) == (0, False, False)
    assert (going["status"], going["retries"], going["ended"], going["reason"]) == ("running", 1, None, "")
    assert "retry" not in going["links"]


def test_one_that_failed_after_a_cancel_offers_none(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.append(
        "dep1", 3, CancelRequested("ann", ""), Failed(0, 1), Ended(DeploymentStatus.FAILED, "an action failed")
    )

    assert "retry" not in harness.call("GET", ONE).json["links"]


def test_a_waiting_deployment_says_which_step_asks_and_offers_a_decision(harness: FrontEndHarness) -> None:
    _lost(harness, ResolutionRequested(0))
    waiting = harness.call("GET", ONE).json
    old = harness.call("GET", V0)
    harness.append(
        "dep1", 4, Resolved(0, "happened", "ann", status="completed", deployment="running"), Dispatched(1, 1)
    )
    going = harness.call("GET", ONE).json

    assert (waiting["status"], waiting["links"]["resolve"]) == ("waiting", f"{ONE}/resolve")
    assert [step["asks"] for step in waiting["steps"]] == [True, False, False, False]
    assert (old.status_code, old.json["status"], old.json["active_step"]) == (202, "in progress", "noop:First")
    assert (going["status"], "resolve" in going["links"]) == ("running", False)
    assert not any(step["asks"] for step in going["steps"])


def test_version_0_names_the_step_whose_turn_a_retry_brings(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.append("dep1", 3, Completed(0, 1), Dispatched(1, 1))
    harness.append("dep1", 4, Failed(1, 1), Ended(DeploymentStatus.FAILED, "no"), Retried("ann", again=((1, 1),)))

    assert harness.call("GET", V0).json["active_step"] == "noop:Second"


# -- streams ----------------------------------------------------------------------------------------


def _names(frames: Any) -> list[str]:
    return [line[7:] for frame in frames for line in frame.decode().split("\n") if line.startswith("event: ")]


def test_the_stream_of_one_that_goes_on_after_its_end_goes_on_too(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.finish("dep1", failed=True)
    streams = Streams(
        harness.store, harness.clock, partial(deployments.document, redaction=Redaction()), 10, harness.bus
    )
    assert _names(events.stream(streams, "dep1", Position())) == ["state", "end"]
    harness.append("dep1", 4, Retried("ann"), Dispatched(0, 2))

    seen = events.stream(streams, "dep1", Position(3, 0))

    assert b'"status":"running"' in next(seen)
    harness.append("dep1", 5, Completed(0, 2), Ended(DeploymentStatus.COMPLETED, ""), at=T0)
    assert _names(seen) == ["state", "end"]


def test_a_viewer_who_comes_after_a_retry_hears_nothing_of_the_end_that_others_still_know(
    harness: FrontEndHarness,
) -> None:
    """Somebody reads so slowly that the reading which found the end is still there."""
    harness.deployment()
    harness.finish("dep1", failed=True)
    streams = Streams(
        harness.store, harness.clock, partial(deployments.document, redaction=Redaction()), 10, harness.bus
    )
    slow = events.stream(streams, "dep1", Position())
    next(slow)
    harness.append("dep1", 4, Retried("ann"), Dispatched(0, 2))
    with streams.watch("dep1") as follower:
        follower._next = 0.0  # a tick has passed

        assert b'"status":"running"' in next(events.stream(streams, "dep1", Position()))
        assert b'"status":"running"' in next(events.stream(streams, "dep1", Position(3, 0)))
    slow.close()
