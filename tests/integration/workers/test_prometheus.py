"""Queries to a real Prometheus server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from re_core.runtime.addresses import rule
from re_workers.steps.prometheus import Prometheus
from re_workers.testing import Result, plan, run
from tests.integration.workers.http_server import Server
from tests.integration.workers.waiting import until
from tests.services.prometheus import running
from tests.services.recipe import Place
from tests.services.shared import workplace


@pytest.fixture(scope="module")
def url(prometheus: Place) -> Iterator[str]:
    """One that has scraped itself."""
    with workplace("prometheus") as data, running(prometheus, data) as url:
        until(lambda: _ask(url, "up", expect="== 1").status == "completed")
        yield url


def _ask(url: str, query: str, **terms: Any) -> Result:
    return run(Prometheus(), "prometheus:Query", {"url": url, "query": query, **terms}, timeout=60)


_TWO = 'label_replace(vector(1), "n", "one", "", "") or label_replace(vector(3), "n", "two", "", "")'


@pytest.mark.parametrize(
    ("query", "terms", "message"),
    [
        ("up", {"expect": "== 1"}, None),
        ("1 / 4", {"expect": "<0.26"}, None),
        (_TWO, {"expect": "< 2", "series": "any"}, None),
        (_TWO, {"expect": "< 2"}, "expected < 2: {n='two'} is 3.0"),
        (_TWO, {"expect": "> 5e0", "series": "any"}, "expected > 5: {n='one'} is 1.0, {n='two'} is 3.0"),
        ("0 / 0", {"expect": "< 1"}, "expected < 1: {} is NaN"),
        ("no_such_metric", {}, "the query has no data"),
        ("no_such_metric", {"expect": "< 1", "no_data": "pass"}, None),
        ("up[1m]", {}, "the query gives a matrix"),
        ("up{", {}, "the server refuses the query"),
        ("up", {"expect": "about 3"}, "expected a condition such as `< 0.05`"),
    ],
)
def test_what_a_query_finds_meets_the_condition_or_fails(
    url: str, query: str, terms: dict[str, Any], message: str | None
) -> None:
    result = _ask(url, query, **terms)
    assert (result.status, message is None) in (("completed", True), ("failed", False)), result
    assert message is None or message in str(result.message)


def test_a_query_returns_its_series(url: str) -> None:
    found = _ask(url, _TWO).data
    assert found["count"] == 2
    assert sorted(found["series"], key=str) == [
        {"labels": {"n": "one"}, "value": 1.0},
        {"labels": {"n": "two"}, "value": 3.0},
    ]
    assert _ask(url, "-1 / vector(0)").data["series"] == [{"labels": {}, "value": "-Inf"}]
    assert plan(Prometheus(), "prometheus:Query", {"url": url, "query": "up"}).will == "no"


def test_a_condition_is_waited_for_and_has_to_hold(url: str) -> None:
    soon = time.time() + 1.5
    quick = {"interval": 0.1, "within": 30}
    assert _ask(url, f"time() - {soon}", expect="> 0", **quick).status == "completed"
    later = time.time() + 1.5
    broken = _ask(url, f"time() - {later}", expect="< 0", holds=30, interval=0.1)
    assert "of 30 s, and then: expected < 0" in str(broken.message)
    assert broken.data["count"] == 1
    assert _ask(url, "vector(1)", expect="== 1", holds=0.3, interval=0.1).status == "completed"


def test_a_server_that_does_not_answer_is_no_violation_until_the_third_time(server: Server) -> None:
    good = (200, {"data": {"resultType": "scalar", "result": [0, "1"]}})
    asked = {"url": server.url("/ap"), "query": "1", "expect": "== 1", "interval": 0.1}
    server.states = [good, (503, {}), (503, {}), good, *[(503, {})] * 3]
    failed = run(Prometheus(), "prometheus:Query", {**asked, "holds": 60})
    assert "the third time in a row" in str(failed.message)
    assert len(server.asked) == 7
    assert "this is not the answer of a Prometheus server" in str(run(Prometheus(), "prometheus:Query", asked).message)
    denied = run(Prometheus(rule(["loopback"])), "prometheus:Query", {**asked, "within": 60})
    assert "is denied by httprequest_denied" in str(denied.message)
