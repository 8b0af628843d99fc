"""A step that may not be repeated begins by grant, at most once; one that may begins at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from re_core.deployment import events as e
from re_core.deployment.machine import Verdict
from re_core.deployment.progress import awaited
from tests.factories import Run, simple

REPEATABLE = {"noop:A": {}, "idempotent": True}


def test_the_first_claim_is_recorded_and_granted() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one", worker="w1")
    assert run.kinds() == ["started"]
    assert run.grants() == [("one", True)]
    step = run.state.step(0)
    assert (step.worker, step.token, step.control) == ("w1", "one", "control.w1")


def test_the_same_claim_again_is_granted_again_and_not_recorded() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    assert run.claim(0, "one").verdict is Verdict.REPEATED
    assert run.grants() == [("one", True)]


def test_another_claim_of_a_claimed_attempt_hears_no_go() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    assert run.claim(0, "two").verdict is Verdict.REFUSED
    assert run.grants() == [("two", False)]


@pytest.mark.parametrize("end", ["complete", "fail", "cancel", "gone"])
def test_a_claim_after_the_end_hears_no_go(end: str) -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    ends: dict[str, Callable[[], object]] = {
        "complete": lambda: run.complete(0),
        "fail": lambda: run.fail(0),
        "cancel": run.cancel,
        "gone": run.gone,
    }
    ends[end]()
    run.claim(0, "two")
    assert run.grants() == [("two", False)]


def test_a_claim_of_a_step_that_was_never_planned_hears_no_go() -> None:
    run = Run(simple("noop:A"))
    run.send(e.ClaimMade(99, 1, "w", "one", "control.w"))
    assert run.grants() == [("one", False)]


def test_a_worker_that_cannot_ask_is_recorded_without_an_answer() -> None:
    run = Run(simple("noop:A"))
    run.send(e.ClaimMade(0, 1))
    assert run.begun(0)
    assert run.last.effects == ()
    run.send(e.ClaimMade(0, 1))
    assert (run.last.verdict, run.last.effects) == (Verdict.REPEATED, ())
    run.complete(0)
    assert run.send(e.ClaimMade(0, 1)).effects == ()


def test_the_outcome_of_somebody_who_was_not_granted_is_refused() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    assert run.fail(0, token="two").verdict is Verdict.REFUSED
    assert run.complete(0, token="one").verdict is Verdict.APPLIED


def test_a_step_that_may_be_repeated_is_never_answered() -> None:
    run = Run(simple(REPEATABLE))
    run.claim(0, "one")
    assert run.last.effects == ()
    assert run.claim(0, "one").effects == ()
    assert run.claim(0, "two").effects == ()


def test_any_copy_s_outcome_of_a_step_that_may_be_repeated_counts() -> None:
    run = Run(simple(REPEATABLE))
    run.claim(0, "one")
    run.complete(0, token="two")
    assert run.status == "completed"


def test_who_has_begun_what_nobody_awaits_any_more_is_told_to_stop() -> None:
    """Its `started` was under way when the cancel came: a step that may be repeated asks nobody before it begins."""
    run = Run(simple(REPEATABLE))
    run.cancel()
    assert run.claim(0, attempt=1).verdict is Verdict.REFUSED
    assert run.stops() == [0]


def test_who_has_begun_an_attempt_that_was_fenced_is_told_to_stop() -> None:
    run = Run(simple({"noop:A": {}, "retries": 1}))
    run.fail(0)
    run.claim(0, attempt=1)
    assert run.stops() == [0]


def test_what_is_awaited_of_a_granted_step_is_its_grant() -> None:
    run = Run(simple("noop:A"))
    assert list(awaited(run.state)) == [e.Dispatch(0, 1, again=True)]
    run.claim(0, "one")
    assert list(awaited(run.state)) == [e.Grant("control.w", 0, 1, "one", go=True)]
    run.cancel()
    assert list(awaited(run.state)) == [e.Stop("control.w", 0, 1)]
    run.complete(0)
    assert list(awaited(run.state)) == []
