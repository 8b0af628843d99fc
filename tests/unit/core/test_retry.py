"""The way out of a failure: a failed deployment goes on from what failed, and a person decides about what is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from re_core.deployment import events as e
from re_core.deployment.machine import Decision, Verdict
from re_core.deployment.plan import OnLost
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, simple

ASK = EnginePolicy(on_lost=OnLost.ASK)


def _retry(
    run: Run, lost: Resolution | None = None, request: str = "q1", forbidden: str = "", seen: int | None = None
) -> Decision:
    return run.send(e.RetryAsked("ann", "mended", lost, "answers", request, seen, forbidden))


def _rule(run: Run, ruling: Resolution, step: int = 0, request: str = "q1") -> Decision:
    return run.send(e.Resolved(step, ruling, "ann", "looked", "answers", request))


def _answers(run: Run) -> list[bool]:
    return [effect.accepted for effect in run.last.effects if isinstance(effect, e.Answer)]


# -- retry -----------------------------------------------------------------------------------------


def test_a_failed_step_gets_a_new_attempt_and_the_rest_its_turn() -> None:
    run = Run(simple("noop:A", "noop:B", "noop:C"))
    run.do(0)
    run.fail(1)
    assert run.statuses == ["completed", "failed", "skipped"]
    _retry(run)
    assert run.status == "running"
    assert run.dispatched() == [(1, 2)]
    assert _answers(run) == [True]
    run.do(1, 2)
    assert run.status == "completed"
    assert run.state.reason == ""
    assert run.state.ended is not None


def test_who_retried_and_why_is_in_the_journal() -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    _retry(run)
    assert '"user":"ann"' in run.journal[-1]
    assert '"reason":"mended"' in run.journal[-1]


def test_it_can_fail_and_be_retried_again() -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    for number in range(2, 5):
        _retry(run, request=f"q{number}")
        assert run.dispatched() == [(0, number)]
        run.fail(0)
        assert run.status == "failed"
    _retry(run, request="last")
    run.do(0)
    assert run.status == "completed"


def test_the_same_request_again_is_answered_and_retries_nothing() -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    _retry(run)
    assert _retry(run).verdict is Verdict.REPEATED
    assert _answers(run) == [True]
    run.fail(0)
    assert _retry(run).verdict is Verdict.REPEATED
    assert run.status == "failed"


@pytest.mark.parametrize("how", ["completed", "cancelled"])
def test_a_retry_that_was_carried_out_is_answered_again_when_the_deployment_has_ended(how: str) -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    _retry(run)
    if how == "completed":
        run.do(0, 2)
    else:
        run.cancel()
    assert run.status == how
    again = _retry(run)
    assert (again.verdict, again.records, _answers(run)) == (Verdict.REPEATED, (), [True])
    assert _retry(run, request="q2").reason == f"the deployment is {how}"


@pytest.mark.parametrize("how", ["running", "completed", "cancelled"])
def test_only_what_has_failed_can_be_retried(how: str) -> None:
    run = Run(simple("noop:A"))
    reach: dict[str, Callable[[], object]] = {
        "running": lambda: run.claim(0),
        "completed": lambda: run.do(0),
        "cancelled": run.cancel,
    }
    reach[how]()
    assert _retry(run).verdict is Verdict.REFUSED
    assert _answers(run) == [False]


def test_a_cancelled_deployment_that_an_action_failed_cannot_be_retried() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.cancel()
    run.fail(1)
    assert run.status == "failed"
    assert "cancelled" in _retry(run).reason


def test_what_a_rule_forbids_is_refused_with_its_reason() -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    assert _retry(run, forbidden="d2 is under way").reason == "d2 is under way"
    assert run.status == "failed"


def test_a_retry_of_what_has_failed_once_more_since_its_author_looked_is_refused() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.gone()
    assert _retry(run, Resolution.RERUN, seen=0).verdict is Verdict.APPLIED
    run.claim(0)
    run.gone()
    refused = _retry(run, Resolution.SUCCEEDED, request="q2", seen=0)
    assert (refused.verdict, run.status) == (Verdict.REFUSED, "failed")
    assert "read it again" in refused.reason
    assert _retry(run, Resolution.SUCCEEDED, request="q3", seen=1).verdict is Verdict.APPLIED


def test_a_failed_check_is_made_again_before_step_one() -> None:
    run = Run(simple("noop:A"), EnginePolicy(checks=[check()]))
    run.fail(0)
    _retry(run)
    assert run.dispatched() == [(0, 2)]
    run.do(0, 1)
    assert run.status == "completed"


def test_actions_run_again_at_the_end() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.fail(0)
    run.do(1)
    assert run.status == "failed"
    _retry(run)
    run.do(0)
    assert run.dispatched() == [(1, 2)]
    run.do(1)
    assert run.status == "completed"


def test_where_only_an_action_failed_only_the_actions_run_again() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action("One"), action("Two")]))
    run.do(0)
    run.fail(1)
    run.do(2)
    assert run.status == "failed"
    _retry(run)
    assert run.dispatched() == [(1, 2)]
    run.do(1, 2)
    assert run.status == "completed"


def test_every_chain_of_a_preflight_goes_on_where_it_stopped() -> None:
    run = Run(simple("noop:A", hosts=("a", "b", "c"), preflight=("noop:P", "noop:Q")))
    first, second, third = 0, 2, 4
    run.fail(first)
    run.do(second)
    run.do(third)
    assert run.status == "failed"
    _retry(run)
    assert run.dispatched() == [(first, 2), (second + 1, 1), (third + 1, 1)]
    run.do(first, first + 1, second + 1)
    assert 6 not in run.open
    run.do(third + 1)
    assert run.open == [6]
    run.do(6, 7, 8)
    assert run.status == "completed"


def test_a_step_has_all_its_tries_again() -> None:
    run = Run(simple({"noop:A": {}, "retries": 1}))
    run.fail(0)
    run.fail(0)
    assert run.status == "failed"
    _retry(run)
    run.fail(0)
    assert run.dispatched() == [(0, 4)]


def test_late_words_of_an_earlier_try_change_nothing() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.gone()
    _retry(run, Resolution.RERUN)
    run.complete(0, attempt=1)
    assert run.kinds() == ["late"]
    assert run.open == [0]


def test_everybody_hears_of_the_new_start_and_of_the_new_end() -> None:
    notify = {phase: {"irc": ("#team",)} for phase in ("started", "completed", "failed")}
    run = Run(simple("noop:A"), EnginePolicy(notify=notify))
    run.fail(0)
    _retry(run)
    run.do(0)
    assert run.told() == [("started", "irc"), ("failed", "irc"), ("started", "irc"), ("completed", "irc")]
    abouts = [effect.about for effect in run.effects if isinstance(effect, e.Notify)]
    assert abouts == ["", "", "retry-1", "retry-1"]


# -- lost steps ------------------------------------------------------------------------------------


def _lost(around: EnginePolicy | None = None) -> Run:
    run = Run(simple("noop:A", "noop:B"), around)
    run.claim(0)
    run.gone()
    return run


def test_a_retry_says_what_became_of_a_lost_step_or_is_refused() -> None:
    run = _lost()
    assert run.status == "failed"
    assert "resolve it as `succeeded` or `rerun`" in _retry(run).reason
    assert _retry(run, Resolution.FAILED).verdict is Verdict.REFUSED


def test_a_lost_step_that_happened_counts_as_completed() -> None:
    run = _lost()
    _retry(run, Resolution.SUCCEEDED)
    assert run.statuses == ["completed", "dispatched"]
    assert run.kinds() == ["retried", "decided", "dispatched"]


def test_a_lost_step_can_be_done_again() -> None:
    run = _lost()
    _retry(run, Resolution.RERUN)
    assert run.dispatched() == [(0, 2)]


def test_by_a_setting_a_lost_step_waits_for_a_person() -> None:
    run = _lost(ASK)
    assert run.status == "waiting"
    assert run.due is None
    assert run.wait(3600).records == ()


def test_it_happened_lets_the_next_step_begin() -> None:
    run = _lost(ASK)
    _rule(run, Resolution.SUCCEEDED)
    assert run.statuses == ["completed", "dispatched"]
    assert run.status == "running"
    assert _answers(run) == [True]


def test_run_it_again_is_a_new_attempt_behind_a_fence() -> None:
    run = _lost(ASK)
    _rule(run, Resolution.RERUN)
    assert run.kinds() == ["decided", "fenced", "dispatched"]
    assert run.dispatched() == [(0, 2)]


def test_fail_ends_it_as_a_lost_step_does() -> None:
    run = _lost(ASK)
    _rule(run, Resolution.FAILED)
    assert run.status == "failed"
    assert run.statuses == ["lost", "skipped"]


def test_who_decided_and_why_is_in_the_journal() -> None:
    run = _lost(ASK)
    _rule(run, Resolution.SUCCEEDED)
    assert '"ruling":"happened","user":"ann","reason":"looked"' in run.journal[-1]


def test_the_same_decision_again_is_answered_again_and_another_one_is_refused() -> None:
    run = _lost(ASK)
    _rule(run, Resolution.SUCCEEDED)
    assert _rule(run, Resolution.SUCCEEDED).verdict is Verdict.REPEATED
    assert _rule(run, Resolution.RERUN, request="q2").verdict is Verdict.REFUSED


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
def test_a_resolution_that_was_carried_out_is_answered_again_when_the_deployment_has_ended(how: str) -> None:
    run = _lost(ASK)
    _rule(run, Resolution.SUCCEEDED)
    reach: dict[str, Callable[[], object]] = {
        "completed": lambda: run.do(1),
        "failed": lambda: run.fail(1),
        "cancelled": run.cancel,
    }
    reach[how]()
    assert run.status == how
    again = _rule(run, Resolution.SUCCEEDED)
    assert (again.verdict, again.records, _answers(run)) == (Verdict.REPEATED, (), [True])
    other = _rule(run, Resolution.RERUN, request="q2")
    assert (other.reason, _answers(run)) == (f"the deployment is {how}", [False])


def test_a_step_that_is_not_lost_waits_for_no_decision() -> None:
    assert _rule(_lost(ASK), Resolution.RERUN, step=1).verdict is Verdict.REFUSED


def test_a_waiting_deployment_can_be_cancelled() -> None:
    run = _lost(ASK)
    run.cancel()
    assert run.status == "cancelled"
    assert run.statuses == ["lost", "skipped"]


def test_other_chains_go_on_while_one_waits() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P", "noop:Q")), ASK)
    run.claim(0)
    run.gone()
    assert run.status == "waiting"
    run.do(2, 3)
    assert run.open == []
    assert run.status == "waiting"
    _rule(run, Resolution.SUCCEEDED)
    run.do(1)
    assert run.open == [4]


def test_a_failure_beside_it_ends_the_waiting() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)), ASK)
    run.claim(0)
    run.gone()
    run.fail(1)
    assert run.status == "failed"
    assert run.statuses[:2] == ["lost", "failed"]


def test_a_lost_action_is_not_asked_about() -> None:
    run = Run(simple("noop:A"), ASK._replace(actions=[action()]))
    run.do(0)
    run.claim(1)
    run.gone()
    assert run.status == "failed"
