"""A step given to a worker that cannot be asked: sent once, never again, and silence is a loss."""

from __future__ import annotations

from re_core.deployment import events as e
from re_core.deployment.deadlines import CANCEL_GRACE
from re_core.deployment.machine import Decision, Verdict
from re_core.deployment.progress import awaited
from re_core.model import StepStatus
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, simple

PATIENCE = 60.0


def _handed(*steps: object, **around: object) -> Run:
    run = Run(simple(*(steps or ("noop:A", "noop:B"))), EnginePolicy(patience=PATIENCE, **around))  # type: ignore[arg-type]
    _hand(run)
    return run


def _hand(run: Run, step: int = 0) -> Decision:
    return run.send(e.HandOver(step, run.attempt(step)))


def test_handing_over_is_written_down_before_it_is_done() -> None:
    run = _handed()
    assert run.kinds() == ["handed"]
    assert run.last.effects == (e.HandedOver(0, 1),)


def test_a_handed_step_is_never_asked_for_again() -> None:
    run = _handed()
    assert list(awaited(run.state)) == []
    assert run.wait(45).effects == ()
    assert run.gone(worker=None).effects == ()


def test_it_is_handed_over_once() -> None:
    run = _handed()
    assert _hand(run).verdict is Verdict.REFUSED


def test_what_a_worker_says_of_a_handed_step_counts() -> None:
    run = _handed()
    run.claim(0, by="", worker="")
    assert run.begun(0)
    run.complete(0)
    assert run.statuses == ["completed", "dispatched"]


def test_a_worker_may_say_only_how_it_ended() -> None:
    run = _handed()
    run.complete(0)
    assert run.statuses == ["completed", "dispatched"]


def test_silence_is_a_loss_once_the_patience_is_over() -> None:
    run = _handed()
    assert run.due == PATIENCE
    run.wait(PATIENCE)
    assert run.statuses == ["lost", "skipped"]
    assert "cannot be asked" in run.state.reason


def test_a_doubtful_handing_over_is_a_loss_at_once() -> None:
    run = _handed()
    run.send(e.HandedInDoubt(0, 1))
    assert run.statuses == ["lost", "skipped"]


def test_doubt_about_what_was_not_handed_over_is_refused() -> None:
    run = Run(simple("noop:A"))
    assert run.send(e.HandedInDoubt(0, 1)).verdict is Verdict.REFUSED


def test_a_lost_handed_step_that_may_be_repeated_is_handed_over_again_as_a_new_attempt() -> None:
    run = _handed({"noop:A": {}, "retries": 1})
    run.send(e.HandedInDoubt(0, 1))
    assert run.dispatched() == [(0, 2)]
    assert _hand(run).effects == (e.HandedOver(0, 2),)


def test_a_cancel_cannot_take_back_what_was_handed_over_and_awaits_it() -> None:
    run = _handed()
    run.cancel()
    assert run.state.step(0).status is StepStatus.DISPATCHED
    assert run.due == CANCEL_GRACE / 1000
    run.complete(0)
    assert run.status == "cancelled"
    assert run.statuses == ["completed", "skipped"]


def test_after_a_cancel_silence_is_a_loss_within_the_grace() -> None:
    run = _handed()
    run.cancel()
    run.wait(CANCEL_GRACE / 1000)
    assert run.status == "cancelled"
    assert run.statuses[0] == "lost"


def test_a_cancelled_step_is_not_handed_over() -> None:
    run = Run(simple("noop:A"))
    run.cancel()
    assert run.send(e.HandOver(0, 1)).verdict is Verdict.REFUSED
