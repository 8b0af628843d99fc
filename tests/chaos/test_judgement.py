"""The judge of the chaos sees what is wrong: each promise is broken once."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.api.answers import Deployment
from tests.chaos.judgement import Case, Judge
from tests.chaos.ledger import Line
from tests.chaos.load import Post

NAMES = ("ledger:Once", "ledger:Again", "ledger:Quick")


def begin(step: int, attempt: int = 1) -> Line:
    return Line("begin", "d", step, attempt, 1, 0.0)


def end(step: int, attempt: int = 1, what: str = "completed") -> Line:
    return Line(what, "d", step, attempt, 1, 0.0)


#: the ledger of a deployment that went well
WELL = [begin(0), end(0), begin(1), end(1), begin(2), end(2)]


def document(status: str = "completed", steps: tuple[str, ...] = ("completed",) * 3, **more: Any) -> Deployment:
    listed = [
        {"number": number, "name": name, "status": step}
        for number, (name, step) in enumerate(zip(NAMES, steps, strict=True))
    ]
    found: Any = {"id": "d", "status": status, "ended": "now", "reason": "why", "steps": listed, **more}
    return found  # type: ignore[no-any-return]


def case(**more: Any) -> Case:
    return Case(Post(0, 0, "d"), document(), [(1, 1000), (2, 2000)], [1, 2], WELL)._replace(**more)


def judged(one: Case, workers_fell: bool = True) -> list[str]:
    return list(Judge(["completed"], workers_fell).judge(one))


def test_what_went_well_is_right() -> None:
    assert judged(case()) == []


def test_a_step_that_may_be_repeated_may_begin_again_in_its_turn() -> None:
    ledger = [begin(0), end(0), begin(1), begin(1), end(1), begin(1, 2), end(1, 2), begin(2), end(2)]
    judge = Judge(["completed"], workers_fell=True)
    assert list(judge.judge(case(ledger=ledger))) == []
    assert (judge.counts["copies"], judge.counts["second attempts"]) == (1, 1)


def test_a_lost_step_is_right_where_a_worker_fell() -> None:
    fell = case(document=document("failed", ("lost", "skipped", "skipped")), ledger=[begin(0)])
    assert judged(fell) == []
    assert judged(fell, workers_fell=False) == ["step 0 is lost though no worker fell: why"]


def test_a_request_that_was_taken_up_too_late_and_begins_nothing_is_right() -> None:
    late = document("cancelled", ("skipped",) * 3, reason="cancelled: it was accepted too late")
    assert judged(case(post=Post(0, 0, "", 500), document=late, ledger=[])) == []
    assert judged(case(document=late, ledger=[])) == []
    assert judged(case(post=Post(0, 0, "another"), document=late, ledger=[])) == []
    assert len(judged(case(document=late, ledger=[begin(0)]))) == 1
    assert len(judged(case(post=Post(0, 0, "another"), document=late, ledger=[begin(0)]))) == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ledger": [begin(0), begin(0, 2), *WELL[1:]]}, "step 0 (ledger:Once, completed) was begun 2 times"),
        ({"ledger": [*WELL[:2], *[begin(1, one) for one in range(1, 5)], *WELL[3:]]}, "was attempted 4 times"),
        ({"ledger": WELL[:-1]}, "step 2 (ledger:Quick, completed) was never completed by a worker"),
        ({"ledger": [begin(0), begin(1), end(0), *WELL[3:]]}, "step 1 was begun before step 0 was over"),
        ({"ledger": [*WELL, begin(1)]}, "step 1 was begun again after step 2 had begun"),
        ({"entries": [(1, 1000), (3, 2000)]}, "its journal is numbered [1, 3]"),
        ({"output": [1, 3]}, "its output is numbered [1, 3]"),
        ({"document": document(ended=None)}, "it has not ended"),
        ({"document": document("failed")}, "it is failed and not completed"),
        ({"document": document("failed", reason="")}, "it is failed and does not say why"),
        ({"document": document("cancelled")}, "it is cancelled and not completed"),
        ({"document": document("failed", ("lost", "skipped", "skipped"))}, "step 1 (ledger:Again, skipped) was begun"),
        ({"post": Post(0, 0, "another")}, "post 0 was answered another and began this one too"),
        ({"post": Post(0, 0, "", 500)}, "it began 500 ms after its caller was told that nobody knows"),
    ],
)
def test_what_is_wrong_is_seen(wrong: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in judged(case(**wrong))), judged(case(**wrong))
