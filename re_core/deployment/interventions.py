"""What an operator's request does: cancel, retry, the resolution of a lost step. Pure; must not know which state leads to which rule.

Also the take-back of a deployment whose caller has stopped waiting. The theory is in re_core/deployment/machine.py.
"""

from __future__ import annotations

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.nodes import brought_back
from re_core.deployment.notifications import deployment_notices, describe_step, step_notices
from re_core.deployment.numbering import ranges_of
from re_core.deployment.progress import (
    Advance,
    Refusal,
    advance_from,
    ask_parents,
    awaited,
    begin,
    goes_on,
    redispatch,
    withdraw,
)
from re_core.model import DeploymentStatus, Resolution, StepStatus


def cancel(go: Advance, event: e.CancelAsked) -> None:
    over = set(go.state.asked)  # these wait for no operator any longer
    go.emit(r.CancelRequested(event.user, event.reason, DeploymentStatus.CANCELLING.value))
    _answer(go, event)
    for number in sorted(go.state.open):
        if go.state.plan.runs_always(number):
            continue
        step = go.state.steps[number]
        if step.status is StepStatus.DISPATCHED and not step.handed:
            withdraw(go, number, "cancelled before it started")
            over.add(number)
        elif step.control:
            go.do(e.Stop(step.control, number, step.attempt))
    ask_parents(go, over)


def take_back(go: Advance, event: e.TakeBack) -> None:
    """Nothing begins after its caller has stopped waiting, unless another request was answered with it."""
    state = go.state
    if state.adopted:
        go.repeated = True
        go.effects.extend(awaited(state))
        return
    # the first entry begins nothing; what it says of steps that no worker offers is the engine's own judgement
    begun = state.started is not None or any(step.handed for step in state.steps.values())
    if state.entry > 1 and begun:
        cancel(go, e.CancelAsked("", event.reason))
        return
    go.emit(r.TakenBack(event.reason, DeploymentStatus.CANCELLING.value))
    for number in sorted(state.open):
        withdraw(go, number, "withdrawn before it started")
    if rest := state.pending(range(len(state.plan.steps))):
        go.emit(r.Skipped(rest))
    go.emit(r.Ended(DeploymentStatus.CANCELLED, event.reason))


def cancelled_already(go: Advance, event: e.CancelAsked) -> None:
    go.repeated = True
    _answer(go, event)
    go.effects.extend(awaited(go.state))


def resolve(go: Advance, event: e.Resolved) -> None:
    """An operator says what became of a lost step."""
    if _repeats(go, event):
        return
    if event.step not in go.state.asked:
        raise Refusal(f"step {event.step} does not wait for a resolution")
    if event.attempt not in (0, go.state.steps[event.step].attempt):
        raise Refusal(f"step {event.step} was lost again since attempt {event.attempt}; read the deployment again")
    _resolve(go, event.step, event.resolution, event)
    _answer(go, event)
    if event.resolution is Resolution.SUCCEEDED:
        go.effects.extend(step_notices(go.state, event.step, StepStatus.COMPLETED))
        advance_from(go, event.step)
    elif event.resolution is Resolution.RERUN:
        redispatch(go, event.step, f"{event.user or 'an operator'} asked for a rerun")
    else:
        advance_from(go, event.step)


def retry(go: Advance, event: e.RetryAsked) -> None:
    """Go on from what failed: it gets a new attempt, and what was skipped its turn. The actions run again at the end."""
    state = go.state
    if _repeats(go, event):
        return
    if event.forbidden:
        raise Refusal(event.forbidden)
    if state.cancel is not None:
        raise Refusal("the deployment was cancelled; start another one")
    if event.seen not in (None, state.retries):
        raise Refusal(f"the deployment was retried since: it now has {state.retries} retries; read it again")
    again = brought_back(state)
    lost = [n for n in again if state.steps[n].status is StepStatus.LOST and not state.plan.runs_always(n)]
    if lost and event.lost not in (Resolution.SUCCEEDED, Resolution.RERUN):
        names = ", ".join(f"{number}, {describe_step(state.plan.steps[number])}," for number in lost)
        raise Refusal(f"the outcome of step {names} is unknown; resolve it as `succeeded` or `rerun`")
    running = DeploymentStatus.RUNNING.value
    go.emit(r.Retried(event.user, event.reason, event.request, ranges_of(again), running))
    if event.lost is not None:
        for number in lost:
            _resolve(go, number, event.lost, event)
    _answer(go, event)
    go.effects.extend(deployment_notices(state))
    for number in lost if event.lost is Resolution.SUCCEEDED else ():
        go.effects.extend(step_notices(state, number, StepStatus.COMPLETED))
    begin(go)


def _resolve(go: Advance, number: int, resolution: Resolution, by: e.Resolved | e.RetryAsked) -> None:
    """An operator's resolution of a lost step becomes its status; the deployment goes on once it waits for no other answer."""
    said = r.Resolved(number, resolution.recorded, by.user, by.reason, by.request)
    if not go.state.asked - {number}:
        said = said._replace(deployment=goes_on(go.state))
    if resolution is Resolution.SUCCEEDED:
        message = f"{by.user or 'an operator'} resolved it as succeeded"
        said = said._replace(status=StepStatus.COMPLETED.value, message=message)
    go.emit(said)


def retried_already(go: Advance, event: e.RetryAsked) -> None:
    """It is running again: accept the request that caused this, refuse any other."""
    if not _repeats(go, event):
        raise Refusal(f"the deployment is {go.state.status}: there is nothing to retry")


def carried_out_before(go: Advance, event: e.Resolved | e.RetryAsked) -> None:
    """It has ended, perhaps because of this very request: a caller that missed the answer gets the same one."""
    if not _repeats(go, event):
        raise Refusal(f"the deployment is {go.state.status}")


def _repeats(go: Advance, event: e.Resolved | e.RetryAsked) -> bool:
    """Whether the very same request was carried out before; it is answered again then."""
    if not event.request or event.request not in go.state.requests:
        return False
    go.repeated = True
    _answer(go, event)
    go.effects.extend(awaited(go.state))
    return True


def _answer(go: Advance, event: e.OperatorRequest) -> None:
    if event.reply_to:
        go.do(e.Answer(event.reply_to, event.request, accepted=True))
