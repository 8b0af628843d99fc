"""`rectl runners`: an id is printed once, with how to start the runner; the list says what each runner does."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine


def _row(name: str = "build-1", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "state": "new",
        "types": [],
        "parallel": 1,
        "active": 0,
        "offered": 0,
        "gateway": None,
        "seen": None,
        "peer": "",
        "created": "2026-01-02T03:04:05.000Z",
        "user": "ann",
        "revoked": None,
        **changes,
    }


def _list(*rows: dict[str, Any]) -> Answer:
    return Answer({"items": list(rows), "next": None})


def test_an_enrolment_prints_the_id_alone_and_how_to_start_the_runner(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("POST /api/v1/runners", Answer({**_row(), "id": "build-1.s3cret"}, 201))
    ran = rectl("runners", "enroll", "build-1")
    assert (ran.code, ran.out) == (0, "build-1.s3cret\n")
    assert engine.asked[-1].document == {"name": "build-1"}
    for words in ("FOREST_SERVER_ADDR=http://", "FOREST_RUNNER_ID=build-1.s3cret", "prints its id when it starts"):
        assert words in ran.err
    rectl("runners", "enroll", "build-1", "--parallel", "3")
    assert engine.asked[-1].document == {"name": "build-1", "parallel": 3}
    assert json.loads(rectl("runners", "enroll", "build-1", "--json").out)["id"] == "build-1.s3cret"
    assert rectl("runners", "enroll", "build-1", "--parallel", "0").code == 2


def test_runners_are_listed_with_what_they_do(engine: FakeEngine, rectl: Rectl) -> None:
    seen = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
    busy = {"state": "connected", "types": ["forest/flux@1", "forest/tf@2"], "active": 1, "parallel": 2, "seen": seen}
    rows = (
        _row("a", **busy, gateway="01GATEWAY", peer="10.0.0.7:4001"),
        _row("b"),
        _row("c", state="revoked", revoked="2026-01-02T03:04:05.000Z", seen=seen),
    )
    engine.on("GET /api/v1/runners", _list(*rows))
    head, first, second, third = rectl("runners", "list").out.splitlines()
    assert head.split() == ["NAME", "STATE", "TYPES", "BUSY", "SEEN", "PEER", "GATEWAY"]
    assert first.split()[:5] == ["a", "connected", "forest/flux@1,", "forest/tf@2", "1/2"]
    assert first.split()[5:] == ["2", "h", "00", "m", "ago", "10.0.0.7:4001", "01GATEWAY"]
    assert second.split() == ["b", "new", "0/1", "never"]
    assert third.split()[:2] == ["c", "revoked"]
    assert json.loads(rectl("runners", "list", "--json").out) == list(rows)


def test_an_empty_list_says_what_to_do(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("GET /api/v1/runners", _list())
    ran = rectl("runners", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "rectl runners enroll NAME" in ran.err


def test_runners_are_set_revoked_and_forgotten(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on("PUT /api/v1/runners/a", Answer(_row("a", parallel=2)))
    engine.on("POST /api/v1/runners/a/revoke", Answer(_row("a")))
    engine.on("POST /api/v1/runners/b/revoke", Answer(_row("b")))
    engine.on("DELETE /api/v1/runners/a", Answer(None, 204))
    assert rectl("runners", "set", "a", "--parallel", "2").err == "a is given up to 2 releases at once\n"
    assert engine.asked[-1].document == {"parallel": 2}
    assert rectl("runners", "revoke", "a", "b").err == "a is revoked\nb is revoked\n"
    assert rectl("runners", "forget", "a").err == "a is forgotten\n"


def test_a_refusal_says_what_the_engine_says(engine: FakeEngine, rectl: Rectl) -> None:
    problem = {
        "type": "urn:release-engine:conflict",
        "title": "Conflict",
        "status": 409,
        "detail": "revoke it first",
        "request_id": "r",
    }
    engine.on("DELETE /api/v1/runners/a", Answer(problem, 409))
    ran = rectl("runners", "forget", "a")
    assert ran.code == 2
    assert "revoke it first" in ran.err
