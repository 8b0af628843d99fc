"""When something is due: timeouts, the grace after a cancel, repetitions. Pure; must not know what is done about it."""

from __future__ import annotations

from re_core.model import StepStatus
from re_core.state import State, StepState

#: milliseconds that a step which was told to stop is awaited
GRACE = 30_000

#: milliseconds after which a dispatch that nobody claimed is repeated; doubles every time
REPEAT = 30_000


def due_at(state: State, now: int) -> int | None:
    """When the next thing is due, as far as this state says; None where nothing is open."""
    return min((due_of(state, number, now) for number in state.open), default=None)


def told_to_stop(state: State, number: int) -> bool:
    """Whether a cancel has asked this step to end."""
    return state.cancelled_at is not None and number < state.plan.first_action


def deadline_of(state: State, number: int, step: StepState) -> int:
    """When a step that runs is due: its timeout, or the end of the grace after a cancel."""
    end = (step.started_at or 0) + int(state.plan.steps[number].spec.timeout * 1000)
    return min(end, (state.cancelled_at or 0) + GRACE) if told_to_stop(state, number) else end


def due_of(state: State, number: int, now: int) -> int:
    """When something about this open step is due next."""
    step = state.steps[number]
    if step.status is StepStatus.STARTED:
        return deadline_of(state, number, step)
    since = step.dispatched_at or 0
    wait = REPEAT
    while since + wait <= now:
        wait *= 2
    return min(since + wait, since + int(state.plan.patience * 1000))
