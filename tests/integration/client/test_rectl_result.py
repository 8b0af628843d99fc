"""rectl result, and what rectl status says of results that it does not have."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.client.conftest import Rectl
from tests.integration.client.engine import Answer, FakeEngine
from tests.unit.client.documents import deployment, step

ID = "01DEPLOYMENT"
ONE = f"/api/v1/deployments/{ID}"


def _size(size: int, cut: bool = False) -> dict[str, Any]:
    return {"size": size, "digest": "sha256:00", "cut": cut, "inline": size < 2048}


def _said(attempt: int, data: Any, late: bool = False, cut: bool = False) -> dict[str, Any]:
    result = None if data is None else _size(9, cut)
    at = "2026-11-22T16:00:00Z"
    return {
        "attempt": attempt,
        "said": "failed",
        "late": late,
        "at": at,
        "message": None,
        "data": data,
        "result": result,
    }


def test_status_says_where_large_results_are(engine: FakeEngine, rectl: Rectl) -> None:
    steps: list[Any] = [step(number, "completed") for number in range(13)]
    for one in steps:
        one["result"] = {**_size(250_000), "href": "x"}
    steps[0]["result"] = {**_size(20), "href": "x"}
    engine.on(f"GET {ONE}", Answer(deployment("completed", *steps)))
    told = rectl("status", ID).out
    assert f"result of step 1 noop:Do on foo.example.com, 245 KiB:  rectl result {ID} 1\n" in told
    assert f"rectl result {ID} 0" not in told and f"rectl result {ID} 10\n" in told
    assert "and 2 more steps have large results" in told


def test_result_prints_what_the_newest_attempt_returned(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("completed", step(0, "completed"))))
    items = [_said(1, "old"), _said(2, {"a": "\x1b[2J"}, cut=True), _said(1, "late", late=True)]
    engine.on(
        f"GET {ONE}/steps/0/result",
        Answer({"items": items[:1], "next": "1"}),
        Answer({"items": items[1:], "next": None}),
    )
    ran = rectl("result", ID, "0")
    assert (ran.code, ran.out) == (0, '{\n  "a": "\\u001b[2J"\n}\n')
    assert "attempt 2, failed" in ran.err and "only its beginning" in ran.err


def test_result_says_how_to_get_what_is_an_artifact(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer({**deployment("completed", step(0, "completed")), "group": "two words"}))
    data = {"artifact": "01D.0.1", "file": "result/data", "digest": "sha256:00", "size": 7}
    engine.on(f"GET {ONE}/steps/0/result", Answer({"items": [_said(1, data)], "next": None}))
    assert "rectl artifacts pull 01D.0.1 DIRECTORY --group 'two words'" in rectl("result", ID, "0").err
    hostile = {**data, "artifact": "$(touch x)"}
    engine.on(f"GET {ONE}/steps/0/result", Answer({"items": [_said(1, hostile)], "next": None}))
    assert "pull" not in rectl("result", ID, "0").err


def test_result_as_json_is_all_that_was_said(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("completed", step(0, "completed"))))
    items = [_said(1, "old"), _said(2, None)]
    engine.on(f"GET {ONE}/steps/0/result", Answer({"items": items, "next": None}))
    assert json.loads(rectl("result", ID, "0", "--json").out) == items


def test_a_step_that_returned_nothing_and_one_that_is_not_there(engine: FakeEngine, rectl: Rectl) -> None:
    engine.on(f"GET {ONE}", Answer(deployment("completed", step(0, "completed"))))
    engine.on(f"GET {ONE}/steps/0/result", Answer({"items": [_said(1, None)], "next": None}))
    ran = rectl("result", ID, "0")
    assert (ran.code, ran.out) == (0, "") and "returned no data" in ran.err
    ran = rectl("result", ID, "1")
    assert ran.code == 2 and "no step 1" in ran.err
