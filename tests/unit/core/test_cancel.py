"""Cancel: an event like any other, in every situation."""

from __future__ import annotations

from re_core.deployment import events as e
from re_core.deployment.deadlines import INQUIRE_AFTER
from re_core.deployment.machine import Verdict
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, simple

REPEATABLE = {"noop:A": {}, "retries": 3}


def _answers(run: Run) -> list[tuple[bool, str]]:
    return [(effect.accepted, effect.reason) for effect in run.last.effects if isinstance(effect, e.Answer)]


def test_a_deployment_of_which_nothing_has_begun_ends_at_once() -> None:
    run = Run(simple("noop:A", "noop:B"))
    run.cancel(reason="wrong host")
    assert (run.status, run.state.reason) == ("cancelled", "cancelled by ann: wrong host")
    assert run.statuses == ["cancelled", "skipped"]
    assert run.kinds() == ["cancel_requested", "fenced", "withdrawn", "skipped", "ended"]
    assert _answers(run) == [(True, "")]


def test_a_cancel_by_nobody_in_particular_needs_no_name() -> None:
    run = Run(simple("noop:A"))
    run.cancel(user="")
    assert run.state.reason == "cancelled"


def test_a_step_that_runs_is_told_to_stop_and_awaited() -> None:
    run = Run(simple("noop:A", "noop:B"))
    run.claim(0)
    run.cancel()
    assert (run.status, run.stops(), run.due) == ("cancelling", [0], 30)
    run.fail(0, "cancelled")
    assert (run.status, run.statuses) == ("cancelled", ["cancelled", "skipped"])


def test_a_step_that_completes_all_the_same_is_completed_and_the_deployment_cancelled() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.cancel()
    run.complete(0)
    assert (run.status, run.statuses) == ("cancelled", ["completed"])


def test_a_step_that_does_not_stop_in_30_seconds_is_lost() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.wait(10)
    run.cancel()
    run.wait(29)
    assert run.status == "cancelling"
    run.wait(1)
    assert (run.status, run.statuses, run.stops()) == ("cancelled", ["lost"], [0])
    assert "did not stop within 30 s" in str(run.state.step(0).message)


def test_a_timeout_within_the_grace_changes_nothing_for_a_step_that_was_told_to_stop() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 20}))
    run.claim(0)
    run.cancel()
    assert run.due == 30
    run.wait(29)
    assert (run.status, run.statuses) == ("cancelling", ["started"])
    run.wait(1)
    assert (run.status, run.statuses) == ("cancelled", ["lost"])


def test_a_worker_without_a_control_queue_is_not_told() -> None:
    run = Run(simple("noop:A"))
    run.send(e.ClaimMade(0, 1))
    run.cancel()
    assert run.stops() == []
    run.wait(30)
    assert run.stops() == []
    assert run.statuses == ["lost"]


def test_nothing_is_repeated_after_a_cancel() -> None:
    run = Run(simple(REPEATABLE))
    run.claim(0)
    run.cancel()
    run.fail(0)
    assert (run.status, run.attempt(0)) == ("cancelled", 1)


def test_a_lost_worker_ends_the_wait_for_a_step_that_was_told_to_stop() -> None:
    run = Run(simple(REPEATABLE))
    run.claim(0)
    run.cancel()
    run.gone()
    assert (run.status, run.statuses) == ("cancelled", ["lost"])


def test_of_several_that_run_all_are_told_and_what_has_not_begun_is_withdrawn() -> None:
    run = Run(simple("noop:A", hosts=("a", "b", "c"), preflight=("noop:P",)))
    run.claim(0), run.claim(2)
    run.cancel()
    assert run.stops() == [0, 2]
    assert run.statuses[:3] == ["started", "cancelled", "started"]
    run.fail(0)
    assert run.status == "cancelling"
    run.fail(2)
    assert run.status == "cancelled"


def test_a_claim_of_what_was_withdrawn_hears_no_go_and_its_words_are_late() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)))
    run.claim(0)
    run.cancel()
    run.claim(1, "late")
    assert run.grants() == [("late", False)]
    run.complete(1)
    assert run.kinds() == ["late"]


def test_a_grant_that_was_declined_after_the_cancel_withdraws_the_step() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.claim(0)
    run.cancel()
    run.decline(0)
    assert run.statuses == ["cancelled", "dispatched"]
    assert run.decline(0).verdict is Verdict.REPEATED
    assert run.dispatched() == [(1, 1)]


def test_a_second_cancel_is_answered_like_the_first_and_stops_again_what_runs() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.cancel()
    again = run.cancel("bob", "me too")
    assert again.verdict is Verdict.REPEATED
    assert _answers(run) == [(True, "")]
    assert run.stops() == [0]
    run.fail(0)
    assert run.state.reason == "cancelled by ann"


def test_a_cancel_after_the_end_is_refused_and_the_caller_hears_why() -> None:
    run = Run(simple("noop:A"))
    run.do(0)
    assert run.cancel().verdict is Verdict.REFUSED
    assert _answers(run) == [(False, "the deployment is completed")]
    assert run.status == "completed"


def test_a_caller_that_wants_no_answer_gets_none() -> None:
    run = Run(simple("noop:A"))
    run.send(e.CancelAsked("ann", ""))
    assert _answers(run) == []
    run.send(e.CancelAsked("ann", ""))
    assert _answers(run) == []


def test_a_cancel_while_the_actions_run_lets_them_end_and_stops_none() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action("One"), action("Two")]))
    run.do(0)
    run.claim(1)
    run.cancel()
    assert (run.status, run.stops(), run.due) == ("cancelling", [], INQUIRE_AFTER / 1000)
    run.complete(1)
    run.do(2)
    assert (run.status, run.statuses) == ("cancelled", ["completed"] * 3)


def test_a_cancel_after_a_failure_that_is_still_awaited_cancels() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)))
    run.claim(1)
    run.fail(0, "x")
    run.cancel()
    run.fail(1)
    assert run.status == "cancelled"


def test_a_copy_of_the_outcome_that_the_cancel_awaited_asks_again_for_the_actions() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.claim(0)
    run.cancel()
    run.fail(0)
    assert run.dispatched() == [(1, 1)]
    again = run.fail(0)
    assert (again.verdict, again.records) == (Verdict.REPEATED, ())
    assert run.dispatched() == [(1, 1)]
