"""Figures, read back by Prometheus' own parser: counters, histograms, bounded labels, and rows of several processes."""

from __future__ import annotations

import sys
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from re_core.adapters.metrics import Metrics
from re_core.adapters.metrics.instruments import LONG, MOST, OTHER, QUICK, Names
from re_core.adapters.metrics.waiting import LOOKED_UP, WaitingSteps
from re_core.connections import Observation
from re_core.errors import BadSettings, OperatorError
from re_core.ports import StepRun, ThreadFigures
from re_core.runtime.settings import load
from re_core.wire.messages import Message
from tests.factories import Run, simple


def _samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, media_type = metrics.page()
    assert media_type == "text/plain; version=0.0.4; charset=utf-8"
    families = parse(body.decode())
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def _value(metrics: Metrics, name: str, **labels: str) -> float:
    return _samples(metrics)[f"release_engine_{name}", frozenset(labels.items())]


def _run(command: str, seconds: float) -> StepRun:
    return StepRun(command, "Do", "d1", "d1/0/1", "w", "completed", 0, int(seconds * 1e9), None, None)


def test_a_deployment_is_counted_from_its_acceptance_to_its_end() -> None:
    metrics = Metrics("test")
    run = Run(simple("noop:A"))
    run.do(0)
    metrics.observer.recorded(run.state, run.records, run.now, None)
    found = {name: _value(metrics, name) for name in ("deployments_accepted_total", "appends_lost_total")}
    assert found == {"deployments_accepted_total": 1, "appends_lost_total": 0}
    assert _value(metrics, "deployments_ended_total", status="completed") == 1
    assert _value(metrics, "steps_dispatched_total", command="noop") == 1
    assert _value(metrics, "steps_claimed_total", command="noop") == 1
    assert _value(metrics, "steps_ended_total", command="noop", outcome="completed") == 1
    assert _value(metrics, "step_seconds_count", command="noop") == 1
    assert _value(metrics, "step_queue_seconds_count", command="noop") == 1


def test_a_histogram_counts_what_is_not_above_a_bound_and_sums_all() -> None:
    metrics = Metrics("test")
    for seconds in (0.005, 0.2, 99_999.0):
        metrics.observer.ran(_run("noop", seconds))
    counts = [_value(metrics, "worker_step_seconds_bucket", command="noop", le=str(bound)) for bound in LONG]
    assert counts == [1, 1, 1, *[2] * (len(LONG) - 3)]
    assert _value(metrics, "worker_step_seconds_bucket", command="noop", le="+Inf") == 3
    assert _value(metrics, "worker_step_seconds_sum", command="noop") == pytest.approx(99_999.205)


def test_commands_beyond_the_bound_are_counted_as_one() -> None:
    metrics = Metrics("test")
    for number in range(MOST + 50):
        metrics.observer.ran(_run(f"command{number}", 1))
    counted = {dict(labels)["command"] for name, labels in _samples(metrics) if name.endswith("worker_steps_total")}
    assert len(counted) == MOST + 1
    assert _value(metrics, "worker_steps_total", command=OTHER, status="completed") == 50


def test_a_name_that_is_known_stays_known() -> None:
    names = Names(most=1)
    assert [names.of(one) for one in ("a", "b", "a")] == ["a", OTHER, "a"]


def test_a_step_waits_from_its_first_sending_until_a_worker_has_taken_it() -> None:
    waiting = WaitingSteps()
    waiting.sent([("noop", "d1/0/1", 1_000)])
    waiting.sent([("noop", "d2/0/1", 2_000)])
    waiting.sent([("noop", "d1/0/1", 9_000)])
    assert waiting.ages(11_000, _never_asked) == {"noop": 10.0}
    waiting.over("noop", "d1/0/1")
    assert waiting.ages(11_000, _never_asked) == {"noop": 9.0}
    waiting.over("noop", "d2/0/1")
    assert waiting.ages(11_000, _never_asked) == {"noop": 0.0}


def test_a_step_that_seems_to_wait_for_long_is_looked_up_because_another_core_may_have_heard_its_claim() -> None:
    waiting = WaitingSteps()
    for number in range(5):
        waiting.sent([("noop", f"d{number}/0/1", number * 1_000)])
    asked: list[str] = []

    def waits(attempt: str) -> bool:
        asked.append(attempt)
        return attempt == "d2/0/1"

    assert waiting.ages(100_000, waits) == {"noop": 98.0}
    assert asked == ["d0/0/1", "d1/0/1", "d2/0/1"]
    assert waiting.ages(100_000, waits) == {"noop": 98.0}
    assert asked == ["d0/0/1", "d1/0/1", "d2/0/1", "d2/0/1"]


def test_one_look_looks_up_a_bounded_number() -> None:
    waiting = WaitingSteps()
    for number in range(LOOKED_UP * 2):
        waiting.sent([("noop", f"d{number}/0/1", 0)])
    asked: list[str] = []

    def waits(attempt: str) -> bool:
        asked.append(attempt)
        return False

    waiting.ages(100_000, waits)
    assert len(asked) == LOOKED_UP


def _never_asked(attempt: str) -> bool:
    raise AssertionError(attempt)


def test_a_published_step_waits_and_other_messages_do_not() -> None:
    metrics = Metrics("test")
    step = Message("worker.noop", b"{}", "d1/0/1", headers={"re-turn": "1000"})
    metrics.observer.published([step, Message("notify.irc", b"{}", "n1")], 0.001)
    assert metrics.observer.waiting.ages(3_000, _never_asked) == {"noop": 2.0}
    assert _value(metrics, "messages_published_total") == 2


def test_a_step_that_no_claim_was_heard_of_waits_until_its_outcome() -> None:
    metrics = Metrics("test")
    run = Run(simple("noop:A"))
    attempt = f"{run.state.deployment}/0/1"
    metrics.observer.published([Message("worker.noop", b"{}", attempt, headers={"re-turn": str(run.now)})], 0.001)
    run.complete(0)
    metrics.observer.recorded(run.state, run.records, run.now, None)
    assert metrics.observer.waiting.ages(run.now + 2_000, _never_asked) == {"noop": 0.0}
    assert _value(metrics, "steps_claimed_total", command="noop") == 0
    assert _value(metrics, "steps_ended_total", command="noop", outcome="completed") == 1
    assert _value(metrics, "step_seconds_count", command="noop") == 0


def test_requests_of_all_rows_are_one_sum() -> None:
    """That the rows are those of processes is tested with processes."""
    metrics = Metrics("test", process=False)
    figures = metrics.http(["GET /healthz", "POST /api/v1/deployments"], processes=3)
    for row in range(2):
        figures.use_row(row)
        figures.answered("GET /healthz", 200, 0.01)
        figures.answered("GET /healthz", 503, 0.01)
        figures.answered("GET /nowhere", 404, 0.01)
    figures.use_row(99)
    figures.answered("GET /healthz", 204, 60)
    assert _value(metrics, "http_requests_total", route="GET /healthz", status="2xx") == 3
    assert _value(metrics, "http_requests_total", route="GET /healthz", status="5xx") == 2
    assert _value(metrics, "http_requests_total", route=OTHER, status="4xx") == 2
    assert _value(metrics, "http_request_seconds_count", route="GET /healthz") == 5
    assert _value(metrics, "http_request_seconds_bucket", route="GET /healthz", le=str(QUICK[-1])) == 4
    assert not [labels for _, labels in _samples(metrics) if ("route", "POST /api/v1/deployments") in labels]


def test_threads_say_how_far_they_are_behind_and_what_failed() -> None:
    metrics = Metrics("test")
    threads: Mapping[str, Any] = {"sweeper": ThreadFigures(1.5, {"store-unavailable": 2})}
    metrics.watch_threads(lambda: threads)
    assert _value(metrics, "thread_lag_seconds", thread="sweeper") == 1.5
    assert _value(metrics, "thread_errors_total", thread="sweeper", error="store-unavailable") == 2


def test_the_page_is_served_where_the_settings_say_until_it_is_closed() -> None:
    metrics = Metrics("test")
    port = metrics.listen("127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            names = {family.name for family in parse(answer.read().decode())}
        assert {"release_engine_info", "process_resident_memory_bytes"} <= names
        with pytest.raises(OperatorError, match=f"RE_METRICS_LISTEN: cannot listen at 127.0.0.1:{port}"):
            Metrics("other").listen("127.0.0.1", port)
    finally:
        metrics.close()


def test_who_wants_traces_without_the_library_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re_core.adapters.tracing", None)
    settings = load({"RE_TRACES_URL": "http://127.0.0.1:4318/v1/traces"})
    with pytest.raises(BadSettings, match=r"pip install 'release-engine\[otel\]'"):
        Observation(settings, "test")
    assert Observation(load({}), "test").observer.traces is False
