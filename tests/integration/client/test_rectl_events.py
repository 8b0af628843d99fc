"""`rectl events`: a line or a document for each event, over lost connections, from where a person wants."""

from __future__ import annotations

import json
from typing import Any

import pytest
import re_schemas

from re_client.api import Client
from re_client.events import FeedEvent, GapEvent, ResetEvent
from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import FakeEngine, events, problem

ROUTE = "GET /api/v1/events"
FULL: dict[str, Any] = next(one.document for one in re_schemas.examples("event") if one.name == "full")
MINIMAL: dict[str, Any] = next(one.document for one in re_schemas.examples("event") if one.name == "minimal")


def test_events_are_lines_with_what_happened_to_what(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(
        ROUTE,
        events(("1024", "place", {}), ("1025.0", "message", MINIMAL), ("1026.1", "message", FULL)),
        problem(404, "gone"),
    )
    ran = rectl("events", "--group", "web")
    first, second = ran.out.splitlines()
    assert first.endswith("web/release 01KB3W5N1XG6QF0M6K1V1C2D3E accepted (1025.0)")
    assert second.endswith(
        "web/release 01KB3W5N1XG6QF0M6K1V1C2D3E step 3 service:Restart on web01.example.com ended: completed (1026.1)"
    )
    assert engine.requests(ROUTE)[0].query == {"group": ["web"]}


def test_json_is_a_document_for_each_event_with_its_place(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(ROUTE, events(("1025.0", "message", MINIMAL), ("1026.1", "message", FULL)), problem(404, "gone"))
    told = [json.loads(line) for line in rectl("events", "--json").out.splitlines()]
    assert told == [{**MINIMAL, "place": "1025.0"}, {**FULL, "place": "1026.1"}]


def test_it_goes_on_behind_the_last_event_when_the_connection_was_lost(engine: FakeEngine) -> None:
    engine.on(
        ROUTE,
        events(("1024", "place", {}), cut=True),
        events(("1025.0", "message", MINIMAL), cut=True),
        problem(503, "not now"),
        events(("1026.1", "message", FULL)),
    )
    feed = Client(engine.url, "t", pause=lambda _: None).feed()
    told = [next(feed) for _ in range(5)]
    assert [type(one) for one in told] == [GapEvent, FeedEvent, GapEvent, GapEvent, FeedEvent]
    asked = [one.headers.get("last-event-id") for one in engine.requests(ROUTE)]
    assert asked[:4] == [None, "1024", "1025.0", "1025.0"]


def test_it_begins_where_it_is_told_to(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(ROUTE, events(("1026.1", "message", FULL)), problem(404, "gone"))
    rectl("events", "--after", "0", "--type", "ended", "--type", "release-engine.other.kind")
    asked = engine.requests(ROUTE)[0]
    assert asked.headers["last-event-id"] == "0"
    assert asked.query == {"type": ["release-engine.deployment.ended", "release-engine.other.kind"]}


def test_what_is_missing_is_said_and_what_follows_is_printed(engine: FakeEngine, rectl: Rectl) -> None:
    reset = ("2048", "reset", {"last": "1025.0", "now": "2048"})
    engine.on(ROUTE, events(reset, ("2049.0", "message", MINIMAL)), problem(404, "gone"))
    ran = rectl("events", "--after", "1025.0")
    assert "the events between 1025.0 and 2048 are no longer kept" in ran.err
    assert len(ran.out.splitlines()) == 1


def test_a_program_gets_the_reset_too(engine: FakeEngine) -> None:
    engine.on(ROUTE, events(("2048", "reset", {"last": "1", "now": "2048"})))
    assert next(Client(engine.url, "t").feed("1")) == ResetEvent("1", "2048")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_refused_ends_it_at_once(engine: FakeEngine, rectl: Rectl, status: int) -> None:
    engine.on(ROUTE, problem(status, "no"))
    assert rectl("events").code == 3


def test_what_an_event_says_cannot_steer_the_terminal(engine: FakeEngine, rectl: Rectl) -> None:
    bad = {**MINIMAL, "data": {**MINIMAL["data"], "playbook": "a\x1b[2J"}}
    engine.on(ROUTE, events(("1025.0", "message", bad)), problem(404, "gone"))
    assert "\x1b" not in rectl("events").out


@pytest.mark.parametrize(
    ("what", "data", "line"),
    [
        ("vote_counted", {"release": 42, "value": "stable"}, "web/own vote counted, release 42: stable"),
        ("received", {"dependency": "Up", "id": "a7", "skipped": ""}, "web/own received, release a7 of Up"),
        (
            "received",
            {"dependency": "Up", "id": 7, "skipped": "own URL"},
            "web/own received, release 7 of Up, not built: own URL",
        ),
        ("joined", {"dependency": "Up", "subscription": "s"}, "web/own joined, Up"),
        ("subscribed", {"name": "rails", "subscription": "s"}, "web/own subscribed, rails"),
        ("job_ended", {"deployment": "01D", "status": "failed"}, "web/own job ended, 01D: failed"),
        ("promoted", {"release": 3}, "web/own promoted, release 3"),
        ("released", {"release": 3, "deployment": "publish/01R"}, "web/own released, release 3"),
    ],
)
def test_events_of_pipeline_nodes_are_lines_too(
    engine: FakeEngine, rectl: Rectl, what: str, data: dict[str, Any], line: str
) -> None:
    document = {**MINIMAL, "type": f"release-engine.pipeline.{what}", "data": {"group": "web", "node": "own", **data}}
    engine.on(ROUTE, events(("7.0", "message", document)), problem(404, "gone"))
    assert rectl("events").out.rstrip().endswith(f"{line} (7.0)")


def test_a_type_of_pipeline_nodes_needs_no_prefix(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(ROUTE, problem(404, "gone"))
    rectl("events", "--type", "promoted", "--type", "ended")
    wanted = ["release-engine.pipeline.promoted", "release-engine.deployment.ended"]
    assert engine.requests(ROUTE)[0].query == {"type": wanted}
