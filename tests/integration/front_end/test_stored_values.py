"""Values that would fail a built-in step later are refused when the playbook is stored, each at its place."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.rows import WorkerRecord
from re_workers.registry import built_in
from tests.integration.front_end.front_end_harness import PLAYBOOK, FrontEndHarness


def _errors(harness: FrontEndHarness, *steps: Any) -> list[tuple[str, str]]:
    """Of a playbook, with the workers there that come with the engine."""
    offers = {name: offer for worker in built_in() for name, offer in worker.offers().items()}
    harness.store.register(WorkerRecord("w", 1, offers, (), harness.clock.now()))
    document = {**PLAYBOOK, "execution": [{"hosts": ["one"], "steps": list(steps)}]}
    verdict = harness.call("POST", "/api/v1/playbooks/validate", json=document).json
    return [(fault["path"].removeprefix("/execution/0/steps/"), fault["message"]) for fault in verdict["errors"]]


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ({"sleep:Seconds": {"seconds": -1}}, "seconds", "expected a number from 0 to 31536000, found -1"),
        ({"sleep:Seconds": {"seconds": 1e12}}, "seconds", "expected at most 31536000"),
        ({"httprequest:Get": {"url": "ftp://x/"}}, "url", "expected a URL, http://… or https://…, found 'ftp://x/'"),
        ({"command:Run": {"cmd": "a\0b"}}, "cmd", "expected a string without NUL"),
        ({"command:Run": {"cmd": "a\r\nb"}}, "cmd", "expected lines that end in a line feed: line 1"),
        ({"command:Run": {"cmd": "x" * 140_000}}, "cmd", "expected at most 130000 bytes, found 140000"),
        ({"command:Run": {"cmd": "x", "cwd": "a\0"}}, "cwd", "expected a path without NUL"),
        ({"command:Run": {"cmd": "x", "env": {"A=B": "c"}}}, "env/A=B", "expected the name of a variable"),
        ({"command:Run": {"cmd": "x", "env": {"A": "c\0"}}}, "env/A", "expected a string without NUL"),
        ({"command:Run": {"cmd": "x", "env": {"A": "c" * 140_000}}}, "env/A", "expected at most 130000 bytes"),
        ({"command:Run": {"cmd": "x", "shell": "a\0"}}, "shell", "expected a string without NUL"),
    ],
)
def test_a_value_that_no_step_can_use_is_named(harness: FrontEndHarness, step: Any, path: str, message: str) -> None:
    ((found, told),) = _errors(harness, step)
    assert (found, told[: len(message)]) == (f"0/{next(iter(step))}/{path}", message)


def test_two_names_of_values_that_would_be_one_variable_are_refused_where_a_program_runs(
    harness: FrontEndHarness,
) -> None:
    wants = {"noop:Any": {"dynamic": ["a-b"]}}
    runs = {"command:Run": {"cmd": "true", "dynamic": ["a_b", "c"]}}
    assert _errors(harness, wants, {"noop:Other": {"dynamic": ["a_b"]}}) == []
    ((path, told),) = _errors(harness, wants, runs)
    assert path == "1/command:Run/dynamic/0"
    assert told.endswith("'a_b' and 'a-b' would both be RE_DYNAMIC_A_B")


def test_a_plan_is_not_shown_for_values_that_its_steps_cannot_use(harness: FrontEndHarness) -> None:
    _errors(harness)
    steps = [{"sleep:Seconds": {"dynamic": ["seconds"]}}, {"command:Run": {"cmd": "true"}}]
    harness.playbook("book", execution=[{"hosts": ["one"], "steps": steps}])

    def plan(**dynamic: Any) -> Any:
        return harness.call("POST", "/api/v1/playbooks/book/plan", json={"dynamic": dynamic})

    assert plan(seconds=1).status_code == 200
    refused = plan(seconds=-1, v="a\0b")
    assert refused.status_code == 422
    assert [error["path"] for error in refused.json["errors"]] == ["/dynamic/seconds", "/dynamic/v"]


def test_what_steps_can_use_is_stored(harness: FrontEndHarness) -> None:
    env = {"A": "x" * 130_000, "B": "a=b\r\n"}
    assert (
        _errors(harness, {"command:Run": {"cmd": "a\nb", "env": env, "cwd": "/srv"}}, {"sleep:Seconds": {"seconds": 0}})
        == []
    )
