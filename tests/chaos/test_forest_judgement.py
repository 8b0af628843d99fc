"""The judge of releases sees what is wrong: each promise is broken once."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.api.answers import Deployment
from tests.chaos.forest_judgement import LASTS, ForestJudge
from tests.chaos.judgement import Case
from tests.chaos.ledger import Fall, Line
from tests.chaos.load import Post


def line(what: str, attempt: int = 1, pid: int = 1, at: float = 100.0) -> Line:
    return Line(what, "d", 0, attempt, pid, at)


#: the ledger of a release that went well
WELL = [line("begin"), line("completed"), line("ok-completed")]


def judged(status: str, ledger: list[Line], falls: list[Fall], attempt: int = 1) -> list[str]:
    step = {"number": 0, "name": "forest:Release", "status": status, "attempt": attempt}
    ended = "completed" if status == "completed" else "failed"
    document: Any = {"id": "d", "status": ended, "ended": "now", "reason": "why", "steps": [step]}
    found: Deployment = document
    judge = ForestJudge([ended if status in ("completed", "failed") else "completed"], falls)
    return list(judge.judge(Case(Post(0, 0, "d"), found, [(1, 1000)], [1], ledger)))


@pytest.mark.parametrize(
    ("status", "ledger"),
    [
        ("completed", WELL),
        ("failed", [line("begin"), line("failed"), line("ok-failed")]),
        ("completed", [line("begin"), line("completed")]),
    ],
)
def test_what_went_well_is_right(status: str, ledger: list[Line]) -> None:
    assert judged(status, ledger, []) == []


@pytest.mark.parametrize("kind", ["gateway", "runner"])
def test_a_release_may_be_lost_with_its_runner_and_with_the_gateway(kind: str) -> None:
    assert judged("lost", [line("begin")], [Fall(kind, 100.5)]) == []


def test_a_release_that_was_never_fetched_may_be_lost_with_a_gateway() -> None:
    assert judged("lost", [], [Fall("gateway", 3.0)]) == []


@pytest.mark.parametrize("found", ["failed", "lost"])
def test_a_forgotten_completion_is_seen(found: str) -> None:
    assert "attempt 1 of step 0 is ok-completed" in " ".join(judged(found, WELL, [Fall("gateway", 100.5)]))


def test_a_failure_that_counts_as_success_is_seen() -> None:
    ledger = [line("begin"), line("completed"), line("failed"), line("ok-failed")]
    assert judged("completed", ledger, []) == ["attempt 1 of step 0 is ok-failed and was completed, attempt 1"]


def test_a_completion_of_an_attempt_that_another_one_followed_is_seen() -> None:
    [said] = judged("completed", WELL, [], attempt=2)
    assert "was completed, attempt 2" in said


def test_a_release_at_two_runners_is_seen() -> None:
    ledger = [*WELL, line("begin", pid=2)]
    assert "attempt 1 of step 0 was at 2 runners" in judged("completed", ledger, [])


@pytest.mark.parametrize(
    "falls", [[Fall("core", 100.5)], [Fall("runner", 99.0)], [Fall("gateway", 101.0 + LASTS)]], ids=str
)
def test_a_release_that_was_lost_for_no_reason_is_seen(falls: list[Fall]) -> None:
    said = " ".join(judged("lost", [line("begin")], falls))
    assert "neither its runner nor a gateway fell meanwhile" in said
