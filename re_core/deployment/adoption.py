"""What becomes of an attempt that is recorded on its host when its worker is gone: it is offered to others. Pure; must not know messages.

What such an attempt has begun goes on without its worker, and the host itself knows how it ends. So it is not lost with its
worker, but *orphaned*: the core offers it until a worker has moved its claim (docs/decisions/0027), or its time is over. Which
state leads to which rule is in re_core/deployment/machine.py; docs/decisions/0037 says why it is done like this.
"""

from __future__ import annotations

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import REDISPATCH_AFTER, end_of_offer, stopped_at, time_is_over
from re_core.deployment.progress import Advance, Refusal, after_failure, begun_by_end, mark_lost
from re_core.deployment.reasons import too_long, whose
from re_core.deployment.state import StepState

#: workers that may be lost with one attempt before it counts as lost itself: it may be what kills them
MOST_DEATHS = 5


def orphan(go: Advance, number: int, step: StepState, why: str, died: bool) -> None:
    """Its worker is gone, for this reason: offer the attempt to others; `died`: it did not leave in order."""
    deaths = step.deaths + died
    if deaths > MOST_DEATHS:
        text = f"{why}, as with {MOST_DEATHS} workers before; no other is asked to go on with the step"
        give_up(go, number, step, f"{text}; whether it finished is unknown")
        return
    go.emit(r.Orphaned(number, step.attempt, step.moves + 1, why, deaths))
    go.do(offer_of(number, step))


def offer_of(number: int, step: StepState) -> e.Adopt:
    """What offers the orphaned step to other workers."""
    return e.Adopt(number, step.attempt, step.offered, step.token)


def move_message(step: StepState, worker: str) -> str | None:
    """What a step says of itself once this worker goes on with it; None where it was not orphaned."""
    if not step.offered:
        return None
    return f"{step.message or 'its worker is gone'}; worker {worker} goes on with it"


def on_released(go: Advance, step: StepState, event: e.AttemptReleased) -> None:
    """Its worker leaves in order, and what it has begun goes on without it."""
    if event.token != step.token or event.worker != step.worker:
        raise Refusal(f"step {event.step} was claimed by another worker")
    if step.offered:
        go.repeated = True
        go.do(offer_of(event.step, step))
    elif step.recorded:
        orphan(go, event.step, step, f"worker {step.worker} has stopped", died=False)
    else:
        give_up(go, event.step, step, f"worker {step.worker} has stopped; whether the step finished is unknown")


def look_after_orphan(go: Advance, number: int, step: StepState) -> None:
    """Time has passed, and no worker goes on with it yet."""
    if go.now >= end_of_offer(go.state, number, step):
        said = step.message or "its worker is gone"
        none = f"no worker{whose(go.state, number)} came to go on with the step"
        give_up(go, number, step, f"{said}; {none}; whether it finished is unknown")
        return
    if stopped_at(go.state, number) is None and time_is_over(go.state, number, step, go.now):
        # the worker that comes ends it, and says how that went
        go.emit(r.StopRequested(number, step.attempt))
    if go.now - (step.orphaned_at or 0) >= REDISPATCH_AFTER:
        go.do(offer_of(number, step))


def give_up(go: Advance, number: int, step: StepState, text: str) -> None:
    """It is lost. After its timeout only `retries` repeat it, as where no reply comes: what was started may still run."""
    if step.stop_requested_at is None:
        mark_lost(go, number, step, text)
        return
    spec = go.state.plan.steps[number].spec
    go.emit(r.Lost(number, step.attempt, f"{too_long(spec)}; {text}", begun_by_end(step)))
    after_failure(go, number, may_repeat=step.begun - 1 < spec.retries)
