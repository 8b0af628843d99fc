"""What was begun in one process goes on in another: its claim moves, and with it what the core has to say."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.machine import Verdict
from re_core.deployment.plan import OnLost
from re_core.deployment.summary import claimants_of
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, simple

GO, NO_GO = [("t", True)], [("t", False)]


def _begun(around: EnginePolicy | None = None, **beside: Any) -> Run:
    run = Run(simple({"noop:A": {}, "timeout": 600, **beside}, "noop:B"), around)
    run.claim(0)
    return run


def _lost_and_asked() -> Run:
    run = _begun(EnginePolicy(on_lost=OnLost.ASK))
    run.gone()
    assert (run.status, run.state.asked) == ("waiting", {0})
    return run


def test_a_moved_claim_is_answered_go_and_belongs_to_the_new_worker() -> None:
    run = _begun()
    began = run.state.step(0).started_at
    run.now += 5_000
    run.move(0)
    assert run.last.records == (r.Moved(0, 1, "v", "control.v", 1),)
    assert run.grants() == GO
    step = run.state.step(0)
    assert (step.worker, step.control, step.token, step.started_at) == ("v", "control.v", "t", began)
    assert claimants_of(run.state) == ("v",)


@pytest.mark.parametrize("beside", [{"retries": 1}, {"idempotent": True}])
def test_the_claim_of_a_step_that_may_be_repeated_moves_alike(beside: dict[str, Any]) -> None:
    run = _begun(**beside)
    run.move(0)
    assert (run.kinds(), run.grants()) == (["moved"], GO)


def test_the_same_move_again_is_answered_again() -> None:
    run = _begun()
    run.move(0)
    run.move(0)
    assert (run.last.verdict, run.kinds(), run.grants()) == (Verdict.REPEATED, [], GO)


def test_of_two_processes_the_one_with_the_newer_row_has_it() -> None:
    run = _begun()
    run.move(0, 2, worker="v")
    for moves in (1, 2):
        run.move(0, moves, worker="x")
        assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)
    run.move(0, 3, worker="x")
    assert (run.kinds(), run.state.step(0).worker) == (["moved"], "x")


def test_the_first_claim_again_is_not_granted_once_another_process_has_it() -> None:
    run = _begun()
    run.move(0)
    run.claim(0)
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)


@pytest.mark.parametrize("token", ["u", ""])
def test_a_claim_with_another_token_does_not_move(token: str) -> None:
    run = _begun()
    run.move(0, by=token)
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, [(token, False)])


def test_what_was_not_begun_cannot_go_on() -> None:
    run = Run(simple("noop:A"))
    run.move(0)
    assert (run.last.verdict, run.grants(), run.statuses) == (Verdict.REFUSED, NO_GO, ["dispatched"])


def test_a_fenced_attempt_does_not_go_on() -> None:
    run = _begun(retries=1)
    run.gone()
    assert run.dispatched() == [(0, 2)]
    run.move(0, attempt=1)
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)
    run.claim(0, "t2")
    run.move(0, 2, attempt=1)
    assert run.grants() == NO_GO


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_what_has_ended_does_not_go_on(end: str) -> None:
    run = _begun()
    if end == "cancelled":
        run.cancel()
    if end == "completed":
        run.complete(0, token="t")
    else:
        run.fail(0, token="t")
    run.move(0)
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)


def test_the_silence_of_the_former_process_means_nothing_any_more_and_that_of_the_new_one_does() -> None:
    run = _begun()
    run.move(0)
    run.now += 1
    run.gone("w")
    assert run.statuses == ["started", "pending"]
    run.gone("v")
    assert run.statuses == ["lost", "skipped"]
    assert "lost contact with worker v" in run.state.reason


def test_a_process_that_was_silent_before_it_took_the_claim_keeps_it() -> None:
    run = _begun()
    silent_since = run.now + 10
    run.now += 20
    run.move(0)
    run.gone("v", silent_since)
    assert run.statuses == ["started", "pending"]


def test_a_cancel_goes_to_the_process_that_has_the_claim() -> None:
    run = _begun()
    run.move(0)
    run.cancel()
    assert e.Stop("control.v", 0, 1) in run.last.effects


def test_a_claim_that_moves_while_its_step_is_stopped_hears_of_that() -> None:
    run = _begun()
    run.cancel()
    run.move(0)
    assert run.last.effects == (e.Grant("control.v", 0, 1, "t", go=True), e.Stop("control.v", 0, 1))
    run.fail(0, "cancelled", token="t")
    assert (run.status, run.statuses[0]) == ("cancelled", "cancelled")


def test_its_time_goes_on_and_the_new_process_is_asked_to_stop() -> None:
    run = _begun()
    run.now += 300_000
    run.move(0)
    run.wait(300)
    assert (run.kinds(), run.last.effects[0]) == (["stop_requested"], e.Stop("control.v", 0, 1))


def test_its_outcome_counts_once_whichever_process_sends_it() -> None:
    run = _begun()
    run.move(0)
    run.complete(0, token="t", worker="v")
    assert run.statuses == ["completed", "dispatched"]
    run.complete(0, token="t", worker="w")
    assert (run.last.verdict, run.kinds()) == (Verdict.REPEATED, [])


def test_the_former_process_cannot_decline_what_it_has_no_more() -> None:
    run = _begun()
    run.move(0)
    assert run.send(e.ClaimReleased(0, 1, "t", "", "w")).verdict is Verdict.REFUSED
    run.send(e.ClaimReleased(0, 1, "t", "", "v"))
    assert run.kinds() == ["fenced", "dispatched"]


def test_a_new_attempt_has_not_moved() -> None:
    run = _begun(retries=1)
    run.move(0, 5)
    run.fail(0, token="t")
    run.claim(0, "t2", worker="z")
    assert (run.state.step(0).moves, run.state.step(0).moved_at) == (0, None)
    run.move(0, 1, "t2")
    assert run.kinds() == ["moved"]


def test_what_a_restart_awaits_of_a_moved_claim_is_its_grant() -> None:
    run = _begun(idempotent=True)
    run.move(0)
    run.gone(None, before=0)
    assert run.grants() == GO


# -- a restart of everything in one process ------------------------------------------------------------


def test_what_a_worker_of_this_start_goes_on_with_is_spared() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=()))
    run.claim(0)
    run.send(e.WorkerLost(2**62, None, ((0, 1),)))
    assert run.statuses[0] == "started"
    run.send(e.WorkerLost(2**62, None, ((0, 2), (1, 1))))
    assert run.statuses[0] == "lost"


# -- while an operator is asked ------------------------------------------------------------------------


def test_the_outcome_of_a_lost_step_settles_it_while_no_operator_has() -> None:
    run = _lost_and_asked()
    run.complete(0, token="t", data={"done": 1})
    assert run.kinds() == ["settled", "completed", "dispatched"]
    assert (run.status, run.statuses, run.state.asked) == ("running", ["completed", "dispatched"], set())
    assert run.last.records[0] == r.Settled(0, 1, "running")


def test_a_failure_settles_it_too_and_is_not_announced_twice() -> None:
    run = _lost_and_asked()
    run.fail(0, "no", token="t")
    assert run.kinds()[:2] == ["settled", "failed"]
    assert (run.status, run.statuses, run.state.step(0).message) == ("failed", ["failed", "skipped"], "no")
    assert run.told().count(("failed", "console")) <= 1


def test_the_end_of_what_had_been_stopped_settles_it_as_timed_out() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 60}), EnginePolicy(on_lost=OnLost.ASK))
    run.claim(0)
    run.wait(60)
    run.gone()
    assert run.status == "waiting"
    run.fail(0, "stopped at last", token="t")
    assert run.statuses == ["timed_out"]
    assert "60 s; stopped at last" in (run.state.step(0).message or "")


@pytest.mark.parametrize("token", ["u", ""])
def test_an_outcome_that_is_not_its_claimants_settles_nothing(token: str) -> None:
    run = _lost_and_asked()
    run.complete(0, token=token)
    assert (run.kinds(), run.status) == (["late"], "waiting")


def test_after_a_resolution_its_outcome_is_late() -> None:
    run = _lost_and_asked()
    run.send(e.Resolved(0, Resolution.FAILED, "ann", ""))
    run.complete(0, token="t")
    assert run.last.verdict is Verdict.REFUSED or run.kinds() == ["late"]
    assert run.statuses[0] == "lost"


def test_what_is_lost_and_final_stays_so() -> None:
    run = Run(simple("noop:A", hosts=("a", "b")))
    run.claim(0)
    run.gone()
    before = run.statuses
    run.complete(0, token="t")
    assert run.statuses == before


def test_a_deployment_that_waits_for_two_goes_on_after_the_second() -> None:
    playbook = simple("noop:A", hosts=("a", "b"), preflight=("noop:P",))
    run = Run(playbook, EnginePolicy(on_lost=OnLost.ASK))
    run.claim(0)
    run.claim(1)
    run.gone()
    assert run.state.asked == {0, 1}
    run.complete(0, token="t")
    assert (run.status, run.last.records[0]) == ("waiting", r.Settled(0, 1, ""))
    run.complete(1, token="t")
    assert (run.status, run.last.records[0]) == ("running", r.Settled(1, 1, "running"))


def test_a_run_whose_step_is_lost_may_go_on_until_it_is_resolved() -> None:
    run = _lost_and_asked()
    run.move(0)
    assert (run.last.verdict, run.kinds(), run.grants()) == (Verdict.REPEATED, [], GO)
    run.cancel()
    run.move(0, 2)
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)
