"""A deployment whose values its steps cannot use is refused at once, and the value is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from re_core.playbook.dynamic_values import LOOKS
from re_core.rows import WorkerRecord
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_workers.registry import built_in
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture
def harness(tmp_path: Path) -> CoreHarness:
    made = CoreHarness(tmp_path)
    offers = {name: offer for worker in built_in() for name, offer in worker.offers().items()}
    made.store.register(WorkerRecord("built-in", 1, offers, (), made.clock.now()))
    made.save(simple({"command:Run": {"cmd": "true"}}), "program")
    made.save(simple({"sleep:Seconds": {"dynamic": ["seconds"]}}, {"httprequest:Get": {"dynamic": ["url"]}}), "typed")
    made.save(simple("noop:Any"), "none")
    return made


def _refusal(harness: CoreHarness, playbook: str, dynamic: Mapping[str, Any]) -> list[tuple[str, str]]:
    harness.ask("d1", playbook, dynamic=dynamic)
    harness.settle()
    (answer,) = harness.probe.hear()
    if m.REASON not in answer.headers:
        return []
    assert answer.headers[m.REASON] == "bad-dynamic"
    assert harness.store.entries("d1") == []
    return [(one["path"], one["message"]) for one in strict_json.loads(answer.headers[m.PROBLEMS])]


@pytest.mark.parametrize(
    ("dynamic", "path", "message"),
    [
        ({"a-b": "1", "a_b": "2"}, "/dynamic/a_b", "'a_b' and 'a-b' would both be RE_DYNAMIC_A_B"),
        (
            {"v": "a\0b"},
            "/dynamic/v",
            "the value 'v' cannot be an environment variable of programs: expected a string without NUL",
        ),
        (
            {"v": "x" * 140_000},
            "/dynamic/v",
            "the value 'v' cannot be an environment variable of programs: expected at most 130000",
        ),
        ({"v" * 300: "x"}, "/dynamic/" + "v" * 300, "expected at most 255 bytes in the variable's name"),
    ],
)
def test_values_that_no_program_can_get_are_refused(
    harness: CoreHarness, dynamic: Mapping[str, Any], path: str, message: str
) -> None:
    ((found, told),) = _refusal(harness, "program", dynamic)
    assert found == path
    assert message in told


def test_values_that_stand_for_parameters_are_held_to_what_these_may_be(harness: CoreHarness) -> None:
    told = _refusal(harness, "typed", {"seconds": -1, "url": "ftp://example.com"})
    assert told == [
        (
            "/dynamic/seconds",
            "the value 'seconds' does not fit sleep:Seconds: expected a number from 0 to 31536000, found -1",
        ),
        (
            "/dynamic/url",
            "the value 'url' does not fit httprequest:Get: expected a URL, http://… or https://…, found 'ftp://example.com'",
        ),
    ]


@pytest.mark.parametrize(
    ("playbook", "dynamic"),
    [
        ("program", {"a": "x" * 130_000, "b": {"any": ["thing", 1]}}),
        ("typed", {"seconds": 0, "url": "https://example.com", "more": 1}),
        ("none", {"a-b": "1", "a_b": "a\0b", "v": "x" * 140_000}),
    ],
)
def test_values_that_fit_are_accepted_and_where_no_program_runs_any_others(
    harness: CoreHarness, playbook: str, dynamic: Mapping[str, Any]
) -> None:
    assert _refusal(harness, playbook, dynamic) == []
    assert harness.store.entries("d1")


def test_a_secret_that_does_not_fit_is_named_and_not_shown(harness: CoreHarness) -> None:
    parameters = {"type": "object", "properties": {"db_password": {"type": "string", "maxLength": 3}}}
    offers = {
        "vault:Open": {"parameters": parameters, "summary": "", "idempotent": True, "retries": 0, "timeout": None}
    }
    harness.store.register(WorkerRecord("vault", 1, offers, (), harness.clock.now()))
    harness.save(simple({"vault:Open": {"dynamic": ["db_password"]}}), "vault")
    for wrong in ("hunter2", ["hunter2"]):
        ((path, told),) = _refusal(harness, "vault", {"db_password": wrong})
        assert path == "/dynamic/db_password"
        assert (
            told
            == "the value 'db_password' does not fit vault:Open; its name says that it is a secret, so it is not shown"
        )


def test_values_that_would_keep_the_core_from_its_work_are_left_to_the_worker(harness: CoreHarness) -> None:
    harness.save(simple({"httprequest:Get": {"url": "http://localhost", "dynamic": ["headers"]}}), "headers")
    few: dict[str, str] = {f"h{number}": "v" for number in range(100)}
    assert _refusal(harness, "headers", {"headers": {**few, "last": "\n"}})
    many = {f"h{number}": "v" for number in range(LOOKS)}
    assert _refusal(harness, "headers", {"headers": {**many, "last": "\n"}}) == []
