"""What a step does with a claim, an outcome, its timeout, the loss of its worker. Pure; must not know which state leads to which rule.

A rule emits records and effects on an `Advance`, or raises Refusal before it emitted anything. The theory is in
re_core/deployment/machine.py; when something is due, re_core/deployment/deadlines.py says; what an operator's request does,
re_core/deployment/interventions.py.
"""

from __future__ import annotations

from typing import Any

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.adoption import give_up, look_after_orphan, move_message, orphan
from re_core.deployment.deadlines import (
    CANCEL_GRACE,
    INQUIRE_AFTER,
    REDISPATCH_AFTER,
    deadline_of,
    is_cancelled,
    patience_end,
    stopped_at,
)
from re_core.deployment.notifications import step_notices
from re_core.deployment.plan import StepKind, StepSpec
from re_core.deployment.progress import (
    Advance,
    Refusal,
    advance_from,
    after_failure,
    awaited,
    begun_by_end,
    fence,
    goes_on,
    mark_lost,
    redispatch,
    runs,
    stops,
    withdraw,
)
from re_core.deployment.reasons import too_long, whose
from re_core.deployment.state import State, StepState
from re_core.model import StepStatus
from re_core.wire.strict_json import dumps, equal

#: attempts of a step after which one that was claimed and declined is followed by the next not at once, but after REDISPATCH_AFTER
MOST_DECLINED_AT_ONCE = 8

#: the message of a worker about a step that it has ended because of a cancel
_STOPPED = "cancelled"


def guessed(state: State) -> dict[str, int]:
    """Step and attempt that a reply without either can only mean: the one that waits for a worker. Raises Refusal."""
    waiting = [number for number in sorted(state.open) if not state.steps[number].control]
    if len(waiting) != 1:
        raise Refusal(f"the reply names no attempt, and {len(waiting)} steps wait for a reply")
    return {"step": waiting[0], "attempt": state.steps[waiting[0]].attempt}


# -- claims, outcomes ------------------------------------------------------------------------------


def not_of_environment(state: State, event: e.ClaimMade) -> str:
    """Why a worker that is bound to environments must not have the step; empty where it may, or is bound to none."""
    if not event.environments or not 0 <= event.step < len(state.plan.steps):
        return ""
    environment = state.plan.steps[event.step].spec.environment
    if environment in event.environments:
        return ""
    whose = f"of the environment {environment}" if environment else "of no environment"
    return f"worker {event.worker} is bound to {', '.join(event.environments)}; step {event.step} is {whose}"


def claim(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    if why := not_of_environment(go.state, event):
        raise Refusal(why)
    if event.moves:
        raise Refusal(f"step {event.step} was not begun, so no other worker can go on with it")
    first = step.begun == 0
    begun = step.begun + 1
    recorded = event.recorded and bool(event.control)
    go.emit(
        r.Started(event.step, event.attempt, event.worker, event.token, event.control, begun, runs(go.state), recorded)
    )
    _grant(go, event)
    if first:
        go.effects.extend(step_notices(go.state, event.step, StepStatus.STARTED))


def second_claim(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    """The same claim again is answered again; any other gets no-go, whatever its reason (docs/decisions/0004)."""
    if event.token != step.token:
        raise Refusal(f"step {event.step} was claimed by another worker")
    if event.moves:
        _move(go, step, event)
        return
    if step.moves:
        raise Refusal(f"another worker goes on with step {event.step}")
    go.repeated = True
    if stopped_at(go.state, event.step) is None:
        _grant(go, event)
    else:
        go.do(e.Stop(step.control, event.step, event.attempt))


def _move(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    """The claim of what goes on without its process: the newest move has it, and of the same one the process that made it."""
    if why := not_of_environment(go.state, event):
        raise Refusal(why)
    if event.moves > step.moves:
        said = move_message(step, event.worker)
        go.emit(r.Moved(event.step, event.attempt, event.worker, event.control, event.moves, said))
    elif (event.moves, event.worker) == (step.moves, step.worker):
        go.repeated = True
    else:
        raise Refusal(f"another worker goes on with step {event.step}")
    _grant(go, event)
    if stopped_at(go.state, event.step) is not None:
        go.do(e.Stop(step.control, event.step, event.attempt))


def moved_when_lost(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    """What went on of a step that an operator has not resolved yet may go on: its outcome settles the step."""
    if not event.moves or event.token != step.token or event.step not in go.state.asked:
        raise Refusal(f"step {event.step} is {step.status}")
    go.repeated = True
    _grant(go, event)


def _grant(go: Advance, event: e.ClaimMade) -> None:
    if event.control and (event.asks or not go.state.plan.steps[event.step].spec.repeatable):
        go.do(e.Grant(event.control, event.step, event.attempt, event.token, go=True))


def outcome(go: Advance, step: StepState, event: e.OutcomeReported) -> None:
    spec = go.state.plan.steps[event.step].spec
    if step.token and event.token and event.token != step.token and not spec.repeatable:
        raise Refusal(f"step {event.step} was claimed by another worker")
    completed, message = _judge(spec, event)
    if completed:
        _complete(go, step, event, message)
        return
    if step.token and event.token and event.token != step.token and stopped_at(go.state, event.step) is not None:
        raise Refusal(f"a copy of step {event.step} has ended; the core waits for the outcome of the claimed one")
    _fail(go, step, event, message)
    after_failure(go, event.step, step.begun - 1 < spec.retries)


def outcome_of_lost(go: Advance, step: StepState, event: e.OutcomeReported) -> None:
    """Of a lost step that an operator has not resolved yet its claimant's outcome counts, as if it had come in time.

    That it did not complete was announced when it was lost.
    """
    if event.step not in go.state.asked or not event.token or event.token != step.token:
        outdated(go, step, event)
        return
    completed, message = _judge(go.state.plan.steps[event.step].spec, event)
    others = go.state.asked - {event.step}
    go.emit(r.Settled(event.step, event.attempt, "" if others else goes_on(go.state)))
    if completed:
        _complete(go, step, event, message)
    else:
        _fail(go, step, event, message)
        advance_from(go, event.step)


def _complete(go: Advance, step: StepState, event: e.OutcomeReported, message: str | None) -> None:
    counts = begun_by_end(step), runs(go.state)
    go.emit(r.Completed(event.step, event.attempt, event.data, message, event.cut, *counts))
    go.effects.extend(step_notices(go.state, event.step, StepStatus.COMPLETED))
    advance_from(go, event.step)


def _fail(go: Advance, step: StepState, event: e.OutcomeReported, message: str | None) -> None:
    if step.stop_requested_at is None:
        go.emit(_failed(go, step, event, message))
        return
    # its program has ended: now, and not before, it is over
    overdue = too_long(go.state.plan.steps[event.step].spec)
    text = overdue if message in (None, "", _STOPPED, overdue) else f"{overdue}; {message}"
    go.emit(r.TimedOut(event.step, event.attempt, text, event.data, event.cut, "failed"))


def _failed(go: Advance, step: StepState, event: e.OutcomeReported, message: str | None) -> r.Failed:
    """What ends after a cancel, was ended by it."""
    status = StepStatus.CANCELLED if is_cancelled(go.state, event.step) else StepStatus.FAILED
    counts = begun_by_end(step), runs(go.state)
    return r.Failed(event.step, event.attempt, event.data, message, event.cut, status.value, *counts)


def _judge(spec: StepSpec, event: e.OutcomeReported) -> tuple[bool, str | None]:
    """Whether the attempt succeeded, and what is said of it: a check's whole reply must equal what is expected."""
    if spec.kind is not StepKind.CHECK or spec.expectation is None:
        return event.completed, event.message
    if equal(event.body, spec.expectation):
        return True, event.message
    shown = event.body if event.shown is None else event.shown
    return False, f"expected the reply {dumps(spec.expectation):.200}, received {dumps(shown):.200}"


def repeat(go: Advance, step: StepState, event: Any) -> None:
    """It was applied before: what the state still awaits is asked for again."""
    go.repeated = True
    go.effects.extend(awaited(go.state))


def on_declined(go: Advance, step: StepState, event: e.ClaimReleased) -> None:
    """A worker will not begin it: fence the attempt, whose claim may still be under way, and dispatch the step again."""
    if step.status is StepStatus.STARTED and event.token != step.token:
        raise Refusal(f"step {event.step} was claimed by another worker")
    if step.moves and event.worker != step.worker:
        raise Refusal(f"another worker goes on with step {event.step}")
    why = event.reason or "the worker declined it"
    if stops(go.state, event.step):
        withdraw(go, event.step, why)
        advance_from(go, event.step)
        return
    waited = go.now - (step.waiting_since or go.now)
    again_and_again = step.status is StepStatus.STARTED and event.attempt >= MOST_DECLINED_AT_ONCE
    redispatch(go, event.step, why)
    if waited >= REDISPATCH_AFTER or again_and_again:
        # a worker that declines after a long wait does so because the cores are behind: more messages would not help them.
        # Nor would one that declines whatever it claims
        go.effects.pop()


def on_no_worker(go: Advance, step: StepState, event: e.NoWorkerAvailable) -> None:
    name = go.state.plan.steps[event.step].spec.name
    outcome = e.OutcomeReported(event.step, event.attempt, completed=False)
    go.emit(_failed(go, step, outcome, event.reason or f"no worker offers {name}"))
    after_failure(go, event.step, may_repeat=False)


def hand_over(go: Advance, step: StepState, event: e.HandOver) -> None:
    """The journal has it before the worker does: a core that reads it afterwards does not send the step once more."""
    if step.handed:
        raise Refusal(f"step {event.step} was already handed over")
    go.emit(r.Handed(event.step, event.attempt))
    go.do(e.HandedOver(event.step, event.attempt))


def handed_in_doubt(go: Advance, step: StepState, event: e.HandedInDoubt) -> None:
    if not step.handed:
        raise Refusal(f"step {event.step} was not handed over")
    mark_lost(
        go,
        event.step,
        step,
        "hand-over in doubt: whether the worker of 2014 received it is unknown, and such a worker cannot be asked",
    )


def outdated(go: Advance, step: StepState, event: Any) -> None:
    """Replies of a fenced, lost or timed out attempt: kept for people, once."""
    if not isinstance(event, e.OutcomeReported | e.ClaimReleased | e.AttemptLost | e.AttemptReleased):
        raise Refusal(f"attempt {event.attempt} of step {event.step} no longer counts")
    if isinstance(event, e.ClaimReleased | e.AttemptLost | e.AttemptReleased):
        repeat(go, step, event)
        return
    completed, _ = _judge(go.state.plan.steps[event.step].spec, event)
    said = "completed" if completed else "failed"
    if (event.step, event.attempt, said) in go.state.late:
        repeat(go, step, event)
        return
    go.emit(r.Late(event.step, event.attempt, said, event.data, event.cut))


# -- time, loss -----------------------------------------------------------------------------------


def on_timer(go: Advance, event: e.TimerFired) -> None:
    """Whatever is due: ends of steps, and dispatches without a claim."""
    for number in sorted(go.state.open):
        step = go.state.steps[number]
        if step.status is StepStatus.DISPATCHED and not step.handed:
            _overdue_dispatch(go, number, step)
        elif step.offered:
            look_after_orphan(go, number, step)
        elif go.now >= deadline_of(go.state, number, step):
            _overdue_step(go, number, step)
        elif step.control and go.now - (step.started_at or 0) >= INQUIRE_AFTER:
            go.do(e.Inquire(step.control, number, step.attempt))


def _overdue_dispatch(go: Advance, number: int, step: StepState) -> None:
    patience = go.state.plan.patience
    if go.now >= patience_end(go.state, step):
        fence(go, number, "no worker started it")
        go.emit(
            r.TimedOut(number, step.attempt, f"no worker{whose(go.state, number)} started it within {patience:g} s")
        )
        after_failure(go, number, may_repeat=False)
    elif go.now - (step.dispatched_at or 0) >= REDISPATCH_AFTER:
        go.do(e.Dispatch(number, step.attempt, again=True))


def _overdue_step(go: Advance, number: int, step: StepState) -> None:
    """Its time is over, or its worker has not said within the grace that it has ended it."""
    spec = go.state.plan.steps[number].spec
    may_repeat = step.begun - 1 < spec.retries
    in_time = go.now < (step.started_at or 0) + spec.timeout * 1000
    if step.control:
        go.do(e.Stop(step.control, number, step.attempt))
    if _may_be_stopped_by_another(go.state, number, step):
        why = f"worker {step.worker} did not say within {CANCEL_GRACE // 1000} s that it has ended it"
        orphan(go, number, step, why, died=True)
    elif step.status is StepStatus.DISPATCHED:
        mark_lost(go, number, step, "the worker of 2014 that received it did not reply in time, and cannot be asked")
    elif step.stop_requested_at is not None:
        text = f"{too_long(spec)}, and did not stop within {CANCEL_GRACE // 1000} s after it"
        go.emit(r.Lost(number, step.attempt, text, begun_by_end(step)))
        after_failure(go, number, may_repeat)
    elif is_cancelled(go.state, number) and (in_time or step.control):
        text = f"it did not stop within {CANCEL_GRACE // 1000} s of the cancel"
        go.emit(r.Lost(number, step.attempt, text, begun_by_end(step)))
        after_failure(go, number, may_repeat=False)
    elif step.control:
        go.emit(r.StopRequested(number, step.attempt))
    else:
        go.emit(r.TimedOut(number, step.attempt, too_long(spec)))
        after_failure(go, number, may_repeat)


def _may_be_stopped_by_another(state: State, number: int, step: StepState) -> bool:
    """Its worker did not end it when it was asked to, and no other was asked yet."""
    stopped = stopped_at(state, number)
    return step.recorded and stopped is not None and (step.orphaned_at or 0) < stopped


def on_worker_lost(go: Advance, event: e.WorkerLost) -> None:
    """Claimed and silent is lost; the step's author decided beforehand what that means."""
    mine = [number for number in sorted(go.state.open) if _claimant_gone(number, go.state.steps[number], event)]
    for number in mine:
        step = go.state.steps[number]
        who = f"worker {step.worker}" if step.worker else "its worker"
        if step.recorded:
            orphan(go, number, step, f"lost contact with {who}", died=True)
            continue
        mark_lost(
            go, number, step, f"lost contact with {who} while the step was running; whether it finished is unknown"
        )
    if event.workers is None:
        sent = {(effect.step, effect.attempt) for effect in go.effects if isinstance(effect, e.Dispatch | e.Adopt)}
        go.effects.extend(one for one in awaited(go.state) if not _is_sent(one, sent))


def _is_sent(effect: e.Effect, sent: set[tuple[int, int]]) -> bool:
    return isinstance(effect, e.Dispatch | e.Adopt) and (effect.step, effect.attempt) in sent


def on_attempt_lost(go: Advance, step: StepState, event: e.AttemptLost) -> None:
    """Its worker lives, and has lost what it had started: the step's author decided beforehand what that means."""
    if step.status is StepStatus.STARTED and event.token != step.token:
        raise Refusal(f"step {event.step} was claimed by another worker")
    if step.recorded and step.moves and not step.offered and event.worker != step.worker:
        raise Refusal(f"another worker goes on with step {event.step}")
    text = event.reason or "its worker lost contact with what it had started; whether it finished is unknown"
    give_up(go, event.step, step, text)


def _claimant_gone(number: int, step: StepState, event: e.WorkerLost) -> bool:
    if step.offered or (number, step.attempt) in event.spared:
        return False
    before = step.status is StepStatus.STARTED and (step.moved_at or step.started_at or 0) < event.before
    return before and (event.workers is None or step.worker in event.workers)
