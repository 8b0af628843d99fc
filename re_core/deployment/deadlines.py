"""When something is due: timeouts, the grace after a stop, repetitions. Pure; must not know what is done about it."""

from __future__ import annotations

from re_core.deployment.state import State, StepState
from re_core.model import StepStatus

#: milliseconds that a step is awaited after a stop: its worker asks the program to end, kills it after 5 s, and has
#: the rest of the time to report
CANCEL_GRACE = 30_000

#: milliseconds after which the sweeper looks at a deployment that has not ended, though nothing should be due
SWEEP_INTERVAL = 300_000

#: milliseconds after which a step that runs is asked how it stands, in case its outcome went with a queue; doubles every time
INQUIRE_AFTER = 60_000

#: milliseconds after which a dispatch without a claim is repeated; doubles every time
REDISPATCH_AFTER = 30_000


def due_at(state: State, now: int) -> int | None:
    """When the next thing is due, as far as this state says; None where nothing is open."""
    return min((due_of(state, number, now) for number in state.open), default=None)


def next_look(state: State, now: int) -> int:
    """When the sweeper shall look at a deployment that has not ended: when something is due, and every SWEEP_INTERVAL in any case."""
    due = due_at(state, now)
    return now + SWEEP_INTERVAL if due is None else min(due, now + SWEEP_INTERVAL)


def is_cancelled(state: State, number: int) -> bool:
    """Whether a cancel has asked this step to end."""
    return state.cancelled_at is not None and not state.plan.runs_always(number)


def stopped_at(state: State, number: int) -> int | None:
    """When this step's worker was first asked to end it, by a cancel or because its time was over; None where it was not."""
    step = state.step(number)
    if not step.control:
        return None
    cancelled = state.cancelled_at if is_cancelled(state, number) else None
    return min((at for at in (step.stop_requested_at, cancelled) if at is not None), default=None)


def deadline_of(state: State, number: int, step: StepState) -> int:
    """When a step that runs, or was handed over, is due: its timeout or patience, or the end of the grace after a stop.

    A step that cannot be stopped (of a worker of 2014) has the grace of a cancel all the same, and no other one.
    """
    stopped = stopped_at(state, number)
    if stopped is not None:
        # a worker that goes on with what another one had begun hears of the stop when it does
        return max(stopped, (step.moved_at or 0) if step.recorded else 0) + CANCEL_GRACE
    if step.status is StepStatus.DISPATCHED:
        end = (step.dispatched_at or 0) + int(state.plan.patience * 1000)
    else:
        end = _end_of_time(state, number, step)
    return min(end, (state.cancelled_at or 0) + CANCEL_GRACE) if is_cancelled(state, number) else end


def due_of(state: State, number: int, now: int) -> int:
    """When something about this open step is due next."""
    step = state.steps[number]
    if step.offered:
        return _due_of_offer(state, number, step, now)
    if step.status is StepStatus.STARTED:
        deadline = deadline_of(state, number, step)
        return min(deadline, _doubling(step.started_at or 0, INQUIRE_AFTER, now)) if step.control else deadline
    if step.handed:
        return deadline_of(state, number, step)
    return min(_doubling(step.dispatched_at or 0, REDISPATCH_AFTER, now), patience_end(state, step))


def _due_of_offer(state: State, number: int, step: StepState, now: int) -> int:
    due = min(_doubling(step.orphaned_at or 0, REDISPATCH_AFTER, now), end_of_offer(state, number, step))
    return due if stopped_at(state, number) is not None else min(due, _end_of_time(state, number, step))


def end_of_offer(state: State, number: int, step: StepState) -> int:
    """When an orphaned step has waited for another worker for long enough: its patience, but its own time and some grace at most."""
    stopped = stopped_at(state, number)
    own = _end_of_time(state, number, step) if stopped is None else stopped
    since = step.orphaned_at or 0
    return min(since + int(state.plan.patience * 1000), max(own, since) + CANCEL_GRACE)


def time_is_over(state: State, number: int, step: StepState, now: int) -> bool:
    """Whether a step that was started has had its timeout."""
    return now >= _end_of_time(state, number, step)


def _end_of_time(state: State, number: int, step: StepState) -> int:
    return (step.started_at or 0) + int(state.plan.steps[number].spec.timeout * 1000)


def patience_end(state: State, step: StepState) -> int:
    """When a dispatched step has waited for a worker for long enough, however often one declined it meanwhile."""
    return (step.waiting_since or 0) + int(state.plan.patience * 1000)


def _doubling(since: int, wait: int, now: int) -> int:
    """The first of since + wait, since + 2 waits, since + 4 waits … that is still to come."""
    while since + wait <= now:
        wait *= 2
    return since + wait
