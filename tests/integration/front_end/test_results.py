"""Results of steps over HTTP: a status has small ones and says where the large ones are."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment.records import Completed, Dispatched, Failed, Fenced, Late, Record
from re_core.usecases import history
from re_core.wire import strict_json
from tests.integration.front_end.front_end_harness import FrontEndHarness

ONE = "/api/v1/deployments/dep1"


def _more(harness: FrontEndHarness, *records: Record) -> None:
    harness.append("dep1", len(harness.store.entries("dep1")) + 1, *records)


def test_a_small_result_is_in_the_status(harness: FrontEndHarness) -> None:
    harness.deployment()
    _more(harness, Completed(0, 1, {"code": 200}, "fine"))
    step = harness.call("GET", ONE).json["steps"][0]
    assert (step["data"], step["message"]) == ({"code": 200}, "fine")
    assert step["result"]["digest"].startswith("sha256:")
    shown = {name: step["result"][name] for name in ("size", "cut", "inline", "href")}
    assert shown == {"size": 12, "cut": False, "inline": True, "href": f"{ONE}/steps/0/result"}


def test_a_step_without_a_result_says_so(harness: FrontEndHarness) -> None:
    harness.deployment()
    assert [one["result"] for one in harness.call("GET", ONE).json["steps"]] == [None] * 4


def test_a_status_stays_small_however_much_its_steps_return(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in memory: the journal is read page by page."""
    harness.deployment()
    for number in range(1, 40):
        _more(harness, Completed(0, number, "x" * 250_000), Fenced(0, number), Dispatched(0, number + 1))
    _more(harness, Completed(0, 40, "y" * 250_000))
    asked: list[int] = []
    entries = harness.store.entries

    def counted(deployment: str, after: int = 0, limit: int | None = None) -> Any:
        page = entries(deployment, after, limit)
        asked.append(len(page))
        return page

    monkeypatch.setattr("re_core.ports.reading.PAGE", 8)
    monkeypatch.setattr(harness.store, "entries", counted)
    answer = harness.call("GET", ONE)
    assert len(answer.data) < 10_000
    assert max(asked) == 8 and len(asked) == 6
    step = answer.json["steps"][0]
    assert (step["data"], step["result"]["size"], step["result"]["inline"]) == (None, 250_002, False)


def test_the_whole_result_is_where_the_status_says(harness: FrontEndHarness) -> None:
    harness.deployment()
    _more(harness, Failed(0, 1, {"lines": ["a"] * 1000}, "no"), Fenced(0, 1, "no"), Dispatched(0, 2))
    _more(harness, Late(0, 1, "completed", "late", False))
    _more(harness, Completed(0, 2, "z" * 250_000, "m" * 100_000, True))
    answer = harness.call("GET", harness.call("GET", ONE).json["steps"][0]["result"]["href"], harness.ours).json
    assert answer["next"] is None
    first, late, last = answer["items"]
    assert (first["attempt"], first["said"], first["message"], first["late"]) == (1, "failed", "no", False)
    assert first["data"] == {"lines": ["a"] * 1000}
    assert (late["attempt"], late["said"], late["data"], late["late"]) == (1, "completed", "late", True)
    assert (last["attempt"], last["data"], last["message"]) == (2, "z" * 250_000, "m" * 100_000)
    assert (last["result"]["size"], last["result"]["cut"]) == (250_002, True)
    assert last["at"] == "2023-11-14T22:13:20.000Z"


def _seven_attempts(harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed ones, with more to say than a page of a thousand bytes takes."""
    monkeypatch.setattr(history, "MOST_BYTES", 1000)
    harness.deployment()
    for number in range(1, 8):
        _more(harness, Failed(0, number, "x" * 400), Fenced(0, number), Dispatched(0, number + 1))


def test_many_results_come_in_pages_that_bytes_end_too(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _seven_attempts(harness, monkeypatch)
    sizes, attempts, cursor = [], [], "0"
    while cursor is not None:
        page = harness.call("GET", f"{ONE}/steps/0/result?limit=5&cursor={cursor}").json
        sizes.append(len(page["items"]))
        attempts += [one["attempt"] for one in page["items"]]
        cursor = page["next"]
    assert attempts == list(range(1, 8))
    assert max(sizes) < 5


def test_the_pages_of_a_journal_are_ended_by_bytes_too(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _seven_attempts(harness, monkeypatch)
    found, cursor = [], "0"
    while cursor is not None:
        page = harness.call("GET", f"{ONE}/journal?cursor={cursor}").json
        found += [one["number"] for one in page["items"]]
        assert len(strict_json.dumps(page["items"])) < 3000
        cursor = page["next"]
    assert found == list(range(1, 10))


def test_a_step_that_is_not_there_is_not_found(harness: FrontEndHarness) -> None:
    harness.deployment()
    assert harness.call("GET", f"{ONE}/steps/3/result").json == {"items": [], "next": None}
    assert harness.call("GET", f"{ONE}/steps/4/result").status_code == 404
    assert harness.call("GET", f"{ONE}/steps/x/result").status_code == 404
    assert harness.call("GET", f"{ONE}/steps/0/result", harness.theirs).status_code == 403
    assert harness.call("GET", f"{ONE}/steps/0/result?cursor=x").status_code == 400


def test_results_in_a_journal_of_before_read_the_same(harness: FrontEndHarness) -> None:
    """Format 1 and 2 say nothing of sizes."""
    harness.deployment()
    _more(harness, Completed(0, 1, [1, 2]))
    (item,) = harness.call("GET", f"{ONE}/steps/0/result").json["items"]
    assert (item["data"], item["result"]["size"]) == ([1, 2], 5)
