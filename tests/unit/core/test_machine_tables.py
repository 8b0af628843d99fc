"""Every pair of a status and an event: it is in the table, or it is refused and nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from re_core.deployment import events as e
from re_core.deployment import interventions
from re_core.deployment.machine import DEPLOYMENT, STEP, Verdict
from re_core.deployment.plan import OnLost
from re_core.model import ENDED, DeploymentStatus, Resolution, StepStatus
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, simple, slots_of

EVENTS: tuple[type[Any], ...] = get_args(e.Event)
#: events that speak of one attempt of one step
WORDS = (
    e.ClaimMade,
    e.OutcomeReported,
    e.ClaimReleased,
    e.AttemptLost,
    e.AttemptReleased,
    e.NoWorkerAvailable,
    e.HandOver,
    e.HandedInDoubt,
)


def _ended(how: str) -> Run:
    run = Run(simple("noop:A"))
    if how == "completed":
        run.complete(0)
    else:
        run.fail(0)
    return run


def _cancelled() -> Run:
    run = Run(simple("noop:A"))
    run.cancel()
    return run


def _running(run: Run) -> Run:
    run.claim(0)
    return run


def _cancelling() -> Run:
    run = _running(Run(simple("noop:A", "noop:B")))
    run.cancel()
    return run


def _waiting() -> Run:
    run = _running(Run(simple("noop:A", "noop:B"), EnginePolicy(on_lost=OnLost.ASK)))
    run.gone()
    return run


DEPLOYMENTS: dict[DeploymentStatus, Callable[[], Run]] = {
    DeploymentStatus.ACCEPTED: lambda: Run(simple("noop:A", "noop:B")),
    DeploymentStatus.RUNNING: lambda: _running(Run(simple("noop:A", "noop:B"))),
    DeploymentStatus.WAITING: _waiting,
    DeploymentStatus.CANCELLING: _cancelling,
    DeploymentStatus.COMPLETED: lambda: _ended("completed"),
    DeploymentStatus.FAILED: lambda: _ended("failed"),
    DeploymentStatus.CANCELLED: _cancelled,
}


#: events that change something in a deployment of DEPLOYMENTS, or say again what was said
_ALWAYS = {e.CancelAsked, e.TimerFired, e.WorkerLost}
_RUNS = {e.ClaimMade, e.OutcomeReported, e.ClaimReleased, e.AttemptLost, e.AttemptReleased, *_ALWAYS}
_LIVE = {*_RUNS, e.TakeBack}
TAKEN: dict[DeploymentStatus, set[type[Any]]] = {
    DeploymentStatus.ACCEPTED: {*_LIVE, e.NoWorkerAvailable, e.HandOver} - {e.AttemptReleased},
    DeploymentStatus.RUNNING: _LIVE,
    DeploymentStatus.WAITING: {e.OutcomeReported, e.AttemptLost, e.AttemptReleased, e.Resolved, e.TakeBack, *_ALWAYS},
    DeploymentStatus.CANCELLING: _RUNS,
    DeploymentStatus.COMPLETED: set(),
    DeploymentStatus.FAILED: {e.RetryAsked},
    DeploymentStatus.CANCELLED: set(),
}


def _make(kind: type[Any], step: int = 0, attempt: int = 1) -> e.Event:
    """An event that fits a deployment whose first step was claimed with the token `t`, or not at all."""
    events: dict[type[Any], e.Event] = {
        e.ClaimMade: e.ClaimMade(step, attempt, "w", "t", "control.w"),
        e.OutcomeReported: e.OutcomeReported(step, attempt, True),
        e.ClaimReleased: e.ClaimReleased(step, attempt, "t"),
        e.AttemptLost: e.AttemptLost(step, attempt, "t"),
        e.AttemptReleased: e.AttemptReleased(step, attempt, "t", "w"),
        e.NoWorkerAvailable: e.NoWorkerAvailable(step, attempt),
        e.HandOver: e.HandOver(step, attempt),
        e.HandedInDoubt: e.HandedInDoubt(step, attempt),
        e.Resolved: e.Resolved(step, Resolution.RERUN, "ann", ""),
        e.RetryAsked: e.RetryAsked("ann", ""),
        e.CancelAsked: e.CancelAsked("ann", "", "answers", "r1"),
        e.TakeBack: e.TakeBack("too late"),
        e.TimerFired: e.TimerFired(),
        e.WorkerLost: e.WorkerLost(2**53),
    }
    return events[kind]


def test_the_tables_speak_of_every_status() -> None:
    assert set(DEPLOYMENT) == set(DeploymentStatus)
    assert set(STEP) == set(StepStatus)


def test_the_tables_speak_of_no_event_that_does_not_exist() -> None:
    assert {kind for row in DEPLOYMENT.values() for kind in row} == set(EVENTS)
    assert {kind for row in STEP.values() for kind in row} == set(WORDS)


@pytest.mark.parametrize("status", sorted(ENDED - {DeploymentStatus.FAILED}))
def test_what_has_ended_only_answers_again_what_it_carried_out(status: DeploymentStatus) -> None:
    assert set(DEPLOYMENT[status].values()) == {interventions.carried_out_before}


def test_what_has_failed_can_be_retried_and_nothing_else() -> None:
    rules = dict(DEPLOYMENT[DeploymentStatus.FAILED])
    assert rules.pop(e.RetryAsked) is interventions.retry
    assert set(rules.values()) == {interventions.carried_out_before}


@pytest.mark.parametrize("status", list(DeploymentStatus))
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_a_deployment_takes_an_event_of_its_row_and_refuses_any_other(
    status: DeploymentStatus, kind: type[Any]
) -> None:
    run = DEPLOYMENTS[status]()
    assert run.state.status is status
    before = slots_of(run.folded())
    decision = run.send(_make(kind))
    if kind in TAKEN[status]:
        assert kind in DEPLOYMENT[status]
        assert decision.verdict is not Verdict.REFUSED
    else:
        assert decision.verdict is Verdict.REFUSED
        assert decision.reason
        assert not decision.records
        assert slots_of(run.state) == before


def _step_in(status: StepStatus) -> tuple[Run, int]:
    """A deployment that goes on, and one of its steps in this status."""
    around = EnginePolicy(checks=[check()], actions=[action()])
    run = Run(simple("noop:A", "noop:B", hosts=("a", "b"), preflight=("noop:P",)), around)
    if status is StepStatus.PENDING:
        return run, 3
    if status is StepStatus.SKIPPED:
        run.fail(0)
        return run, 1
    run.do(0)
    reach: dict[StepStatus, Callable[[], object]] = {
        StepStatus.DISPATCHED: lambda: None,
        StepStatus.STARTED: lambda: run.claim(1),
        StepStatus.COMPLETED: lambda: run.complete(1),
        StepStatus.FAILED: lambda: run.fail(1),
        StepStatus.TIMED_OUT: lambda: (run.claim(1), run.claim(2), run.wait(3600), run.fail(1)),
        StepStatus.LOST: lambda: (run.claim(1), run.gone()),
        StepStatus.CANCELLED: run.cancel,
    }
    reach[status]()
    return run, 1


@pytest.mark.parametrize("status", list(StepStatus))
@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_a_step_takes_a_word_of_its_row_and_refuses_any_other(status: StepStatus, kind: type[Any]) -> None:
    run, step = _step_in(status)
    assert run.state.step(step).status is status
    assert run.state.status not in ENDED
    before = slots_of(run.folded())
    attempt = max(1, run.attempt(step))
    decision = run.send(_make(kind, step, attempt))
    # only what was handed over can be in doubt, and of what is lost a claim only moves
    never = kind is e.HandedInDoubt or (status, kind) == (StepStatus.LOST, e.ClaimMade)
    if kind in STEP[status] and run.attempt(step) and not never:
        assert decision.verdict is not Verdict.REFUSED
    else:
        assert decision.verdict is Verdict.REFUSED
        assert decision.reason
        assert slots_of(run.state) == before


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("step", "attempt"), [(0, 2), (0, 0), (1, 1), (99, 1)])
def test_a_word_about_an_attempt_that_never_was_is_refused(kind: type[Any], step: int, attempt: int) -> None:
    run = Run(simple("noop:A", "noop:B"))
    assert run.send(_make(kind, step, attempt)).verdict is Verdict.REFUSED
