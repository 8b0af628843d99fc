"""Deadlines, repetitions and lost workers."""

from __future__ import annotations

import pytest

from re_core.deployment import events as e
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import Verdict
from re_core.playbook.compiler import EnginePolicy
from tests.factories import START, Run, action, simple


def test_a_step_has_its_timeout_from_its_start() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 60}, "noop:B"))
    run.wait(20)
    run.claim(0)
    assert run.due == 60
    run.wait(59)
    assert run.statuses[0] == "started"
    run.wait(1)
    assert (run.statuses, run.stops()) == (["started", "pending"], [0])
    run.fail(0, "cancelled")
    assert run.statuses == ["timed_out", "skipped"]
    assert run.state.reason == "noop:A on web01 timed out: it did not end within its timeout of 60 s"


def test_a_timeout_may_be_a_part_of_a_second() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 0.25}))
    run.claim(0)
    assert run.due == 0.25
    run.wait(0.25)
    assert run.stops() == [0]


def test_a_dispatch_that_nobody_claims_is_repeated_and_the_wait_doubles_every_time() -> None:
    run = Run(simple("noop:A"))
    waits = []
    for _ in range(4):
        assert run.due is not None
        waits.append(run.due)
        run.wait(run.due)
        assert run.dispatched() == [(0, 1)]
        assert run.last.records == ()
    assert waits == [30, 30, 60, 120]


def test_a_dispatch_is_not_repeated_before_its_time() -> None:
    run = Run(simple("noop:A"))
    assert run.wait(29).effects == ()


def test_a_step_that_no_worker_begins_within_the_patience_has_timed_out() -> None:
    run = Run(simple({"noop:A": {}, "retries": 3}), EnginePolicy(patience=45))
    run.wait(30)
    assert run.due == 15
    run.wait(15)
    assert (run.status, run.statuses) == ("failed", ["timed_out"])
    assert run.state.reason == "noop:A on web01 timed out: no worker started it within 45 s"


def test_when_several_are_due_at_once_each_is_dealt_with() -> None:
    run = Run(simple("noop:A", hosts=("a", "b", "c"), preflight=({"noop:P": {}, "timeout": 40},)))
    run.claim(0), run.claim(1)
    run.wait(40)
    assert run.statuses[:3] == ["started", "started", "dispatched"]
    assert (run.stops(), run.dispatched()) == ([0, 1], [(2, 1)])
    run.fail(0), run.fail(1)
    assert run.statuses[:3] == ["timed_out", "timed_out", "dispatched"]
    run.do(2)
    assert run.status == "failed"


def test_time_that_brings_nothing_changes_nothing() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    assert run.wait(5) == (Verdict.APPLIED, (), (), "")


def test_a_clock_that_goes_back_does_no_harm() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 60}))
    run.claim(0)
    run.wait(-3600)
    assert run.begun(0)
    assert due_at(run.state, run.now) == START + 60_000


def test_only_the_steps_of_the_worker_that_is_gone_are_lost() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)))
    run.claim(0, worker="one"), run.claim(1, worker="two")
    run.gone("one")
    assert run.statuses[:2] == ["lost", "started"]


def test_after_a_restart_of_everything_all_that_ran_is_lost_and_what_waits_is_dispatched_again() -> None:
    run = Run(simple("noop:A", hosts=("a", "b", "c"), preflight=({"noop:P": {}, "idempotent": True},)))
    run.claim(0)
    run.send(e.ClaimMade(1, 1))
    run.gone(None)
    assert run.statuses[:3] == ["dispatched"] * 3
    assert sorted(run.dispatched()) == [(0, 2), (1, 2), (2, 1)]


def test_what_was_claimed_after_the_restart_is_not_lost() -> None:
    run = Run(simple("noop:A"))
    restart = run.now
    run.wait(1)
    run.claim(0)
    run.gone(None, before=restart)
    assert run.begun(0)
    assert run.grants() == [("t", True)]


def test_a_step_that_nobody_has_begun_survives_the_loss_of_every_worker() -> None:
    run = Run(simple("noop:A"))
    run.gone(None)
    assert (run.statuses, run.dispatched()) == (["dispatched"], [(0, 1)])


@pytest.mark.parametrize("who", ["w", None])
def test_a_lost_action_fails_the_deployment(who: str | None) -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.do(0)
    run.send(e.ClaimMade(1, 1, who or "", "t", ""))
    run.gone(who)
    assert (run.status, run.statuses) == ("failed", ["completed", "lost"])
    assert ("lost contact with worker w" if who else "lost contact with its worker") in run.state.reason


def test_the_word_of_a_worker_that_was_thought_lost_is_late() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.claim(0)
    run.gone()
    run.complete(0)
    assert run.kinds() == ["late"]
    run.do(1)
    assert run.status == "failed"
