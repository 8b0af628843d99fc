"""When a step is repeated: its author's word decides, and three counts are kept apart."""

from __future__ import annotations

import pytest

from re_core.deployment.machine import Verdict
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, simple


def _step(**beside: object) -> dict[str, object]:
    return {"noop:A": {}, **beside}


@pytest.mark.parametrize("retries", [1, 2, 5])
def test_a_failed_attempt_is_repeated_as_often_as_retries_says(retries: int) -> None:
    run = Run(simple(_step(retries=retries)))
    for attempt in range(1, retries + 1):
        run.claim(0)
        run.fail(0, "again")
        assert run.dispatched() == [(0, attempt + 1)]
        assert run.kinds() == ["failed", "fenced", "dispatched"]
    run.fail(0, "enough")
    assert (run.status, run.attempt(0)) == ("failed", retries + 1)


def test_a_retry_that_completes_makes_the_step_completed() -> None:
    run = Run(simple(_step(retries=1)))
    run.fail(0)
    run.complete(0)
    assert (run.status, run.attempt(0)) == ("completed", 2)


def test_an_idempotent_step_is_begun_three_times_in_all_when_its_workers_are_lost() -> None:
    run = Run(simple(_step(idempotent=True)))
    for attempt in (1, 2):
        run.claim(0)
        run.gone()
        assert run.dispatched() == [(0, attempt + 1)]
    run.claim(0)
    run.gone()
    assert (run.status, run.statuses) == ("failed", ["lost"])
    assert "whether it finished is unknown" in run.state.reason


def test_an_idempotent_step_that_fails_is_not_repeated() -> None:
    run = Run(simple(_step(idempotent=True)))
    run.claim(0)
    run.fail(0)
    assert run.status == "failed"


def test_a_lost_attempt_counts_among_the_retries() -> None:
    run = Run(simple(_step(retries=1)))
    run.claim(0)
    run.gone()
    assert run.dispatched() == [(0, 2)]
    run.fail(0)
    assert run.status == "failed"


def test_more_retries_than_three_allow_an_idempotent_step_more_losses() -> None:
    run = Run(simple(_step(idempotent=True, retries=4)))
    for _ in range(4):
        run.claim(0)
        run.gone()
    assert run.attempt(0) == 5


def test_a_step_that_may_not_be_repeated_is_lost_for_good() -> None:
    run = Run(simple("noop:A", "noop:B"))
    run.claim(0, worker="w7")
    run.gone("w7")
    assert run.statuses == ["lost", "skipped"]
    assert run.state.reason == (
        "noop:A on web01 lost: lost contact with worker w7 while the step was running; whether it finished is unknown"
    )


def test_a_timed_out_attempt_is_repeated_only_by_retries() -> None:
    for beside, statuses in (({"idempotent": True}, ["timed_out"]), ({"retries": 1}, ["dispatched"])):
        run = Run(simple(_step(timeout=60, **beside)))
        run.claim(0)
        run.wait(60)
        run.fail(0)
        assert run.statuses == statuses


def test_what_was_said_of_an_earlier_attempt_is_recorded_once_and_changes_nothing() -> None:
    run = Run(simple(_step(idempotent=True)))
    run.claim(0)
    run.gone()
    late = run.complete(0, attempt=1, data="made it")
    assert late.verdict is Verdict.APPLIED
    assert run.kinds() == ["late"]
    assert run.statuses == ["dispatched"]
    assert run.complete(0, attempt=1, data="made it").verdict is Verdict.REPEATED
    assert run.fail(0, attempt=1).records  # another word is another record


def test_a_copy_of_the_failure_that_was_retried_is_no_late_word() -> None:
    """It was applied: what it caused may not have gone out, so the dispatch is repeated."""
    run = Run(simple(_step(retries=1)))
    run.fail(0, attempt=1)
    again = run.fail(0, attempt=1)
    assert (again.verdict, again.records) == (Verdict.REPEATED, ())
    assert run.dispatched() == [(0, 2)]


def test_a_copy_of_a_check_s_unexpected_reply_is_no_late_word() -> None:
    around = EnginePolicy(checks=[check(expectation={"status": "completed", "data": 1})])
    run = Run(simple("noop:A"), around, {"noop:Check": {"retries": 1}})
    run.complete(0, attempt=1, body={"status": "completed"})
    assert run.dispatched() == [(0, 2)]
    again = run.complete(0, attempt=1, body={"status": "completed"})
    assert (again.verdict, again.records) == (Verdict.REPEATED, ())


def test_a_late_word_of_a_lost_or_timed_out_step_is_kept_and_the_step_stays_as_it_is() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]))
    run.claim(0)
    run.wait(3600)
    run.fail(0)
    run.complete(0)
    assert run.kinds() == ["late"]
    assert run.statuses[0] == "timed_out"
    run.do(1)
    assert run.status == "failed"


def test_an_action_is_retried_even_though_the_playbook_failed() -> None:
    run = Run(simple("noop:A"), EnginePolicy(actions=[action()]), {"noop:Tidy": {"retries": 1}})
    run.fail(0)
    run.fail(1)
    assert run.dispatched() == [(1, 2)]
    run.do(1)
    assert run.statuses == ["failed", "completed"]


def test_an_attempt_that_was_declined_after_its_claim_is_fenced_and_the_step_dispatched_again() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    run.decline(0, "one", reason="no grant came in time")
    assert run.kinds() == ["fenced", "dispatched"]
    assert run.dispatched() == [(0, 2)]
    assert run.claim(0, "one", attempt=1).verdict is Verdict.REFUSED
    run.claim(0, "two")
    assert run.grants() == [("two", True)]


def test_a_decline_that_overtakes_its_claim_cannot_leave_the_step_with_nobody() -> None:
    """Granted to a worker that has dropped it, the step would have waited for its timeout."""
    run = Run(simple("noop:A"))
    run.decline(0, "one")
    assert run.dispatched() == [(0, 2)]
    run.claim(0, "one", attempt=1)
    assert run.grants() == [("one", False)]
    run.do(0)
    assert run.status == "completed"


def test_a_copy_of_an_applied_decline_asks_again_for_the_new_attempt() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.decline(0)
    assert run.decline(0, attempt=1).verdict is Verdict.REPEATED
    assert run.dispatched() == [(0, 2)]


def test_only_the_claimant_can_decline() -> None:
    run = Run(simple("noop:A"))
    run.claim(0, "one")
    assert run.decline(0, "two").verdict is Verdict.REFUSED
    assert run.begun(0)
