"""Results of steps over HTTP: a status has small ones and says where the large ones are."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment.records import Completed, Dispatched, Failed, Fenced, Late, Record
from re_core.usecases import history
from re_core.wire import strict_json
from tests.integration.front_end.house import House

ONE = "/api/v1/deployments/dep1"


def _more(house: House, *records: Record) -> None:
    house.append("dep1", len(house.store.entries("dep1")) + 1, *records)


def test_a_small_result_is_in_the_status(house: House) -> None:
    house.deployment()
    _more(house, Completed(0, 1, {"code": 200}, "fine"))
    step = house.call("GET", ONE).json["steps"][0]
    assert (step["data"], step["message"]) == ({"code": 200}, "fine")
    assert step["result"]["digest"].startswith("sha256:")
    shown = {name: step["result"][name] for name in ("size", "cut", "inline", "href")}
    assert shown == {"size": 12, "cut": False, "inline": True, "href": f"{ONE}/steps/0/result"}


def test_a_step_without_a_result_says_so(house: House) -> None:
    house.deployment()
    assert [one["result"] for one in house.call("GET", ONE).json["steps"]] == [None] * 4


def test_a_status_stays_small_however_much_its_steps_return(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in memory: the journal is read page by page."""
    house.deployment()
    for number in range(1, 40):
        _more(house, Completed(0, number, "x" * 250_000), Fenced(0, number), Dispatched(0, number + 1))
    _more(house, Completed(0, 40, "y" * 250_000))
    asked: list[int] = []
    entries = house.store.entries

    def counted(deployment: str, after: int = 0, limit: int | None = None) -> Any:
        page = entries(deployment, after, limit)
        asked.append(len(page))
        return page

    monkeypatch.setattr("re_core.ports.reading.PAGE", 8)
    monkeypatch.setattr(house.store, "entries", counted)
    answer = house.call("GET", ONE)
    assert len(answer.data) < 10_000
    assert max(asked) == 8 and len(asked) == 6
    step = answer.json["steps"][0]
    assert (step["data"], step["result"]["size"], step["result"]["inline"]) == (None, 250_002, False)


def test_the_whole_result_is_where_the_status_says(house: House) -> None:
    house.deployment()
    _more(house, Failed(0, 1, {"lines": ["a"] * 1000}, "no"), Fenced(0, 1, "no"), Dispatched(0, 2))
    _more(house, Late(0, 1, "completed", "late", False))
    _more(house, Completed(0, 2, "z" * 250_000, "m" * 100_000, True))
    answer = house.call("GET", house.call("GET", ONE).json["steps"][0]["result"]["href"], house.ours).json
    assert answer["next"] is None
    first, late, last = answer["items"]
    assert (first["attempt"], first["said"], first["message"], first["late"]) == (1, "failed", "no", False)
    assert first["data"] == {"lines": ["a"] * 1000}
    assert (late["attempt"], late["said"], late["data"], late["late"]) == (1, "completed", "late", True)
    assert (last["attempt"], last["data"], last["message"]) == (2, "z" * 250_000, "m" * 100_000)
    assert (last["result"]["size"], last["result"]["cut"]) == (250_002, True)
    assert last["at"] == "2023-11-14T22:13:20.000Z"


def test_many_results_come_in_pages_that_bytes_end_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 1000)
    house.deployment()
    for number in range(1, 8):
        _more(house, Failed(0, number, "x" * 400), Fenced(0, number), Dispatched(0, number + 1))
    sizes, attempts, cursor = [], [], "0"
    while cursor is not None:
        page = house.call("GET", f"{ONE}/steps/0/result?limit=5&cursor={cursor}").json
        sizes.append(len(page["items"]))
        attempts += [one["attempt"] for one in page["items"]]
        cursor = page["next"]
    assert attempts == list(range(1, 8))
    assert max(sizes) < 5


def test_the_pages_of_a_journal_are_ended_by_bytes_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 1000)
    house.deployment()
    for number in range(1, 8):
        _more(house, Failed(0, number, "x" * 400), Fenced(0, number), Dispatched(0, number + 1))
    found, cursor = [], "0"
    while cursor is not None:
        page = house.call("GET", f"{ONE}/journal?cursor={cursor}").json
        found += [one["number"] for one in page["items"]]
        assert len(strict_json.dumps(page["items"])) < 3000
        cursor = page["next"]
    assert found == list(range(1, 10))


def test_a_step_that_is_not_there_is_not_found(house: House) -> None:
    house.deployment()
    assert house.call("GET", f"{ONE}/steps/3/result").json == {"items": [], "next": None}
    assert house.call("GET", f"{ONE}/steps/4/result").status_code == 404
    assert house.call("GET", f"{ONE}/steps/x/result").status_code == 404
    assert house.call("GET", f"{ONE}/steps/0/result", house.theirs).status_code == 403
    assert house.call("GET", f"{ONE}/steps/0/result?cursor=x").status_code == 400


def test_results_in_a_journal_of_before_read_the_same(house: House) -> None:
    """Format 1 and 2 say nothing of sizes."""
    house.deployment()
    _more(house, Completed(0, 1, [1, 2]))
    (item,) = house.call("GET", f"{ONE}/steps/0/result").json["items"]
    assert (item["data"], item["result"]["size"]) == ([1, 2], 5)
