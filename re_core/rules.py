"""The rules: what each entry of the machine's tables does. Pure; must not know which state leads to which rule.

A rule emits records and effects on an `Advance`, or raises Refusal before it emitted anything. The theory is in
re_core/machine.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from re_core import events as e
from re_core import records as r
from re_core.deadlines import GRACE, REPEAT, deadline_of, told_to_stop
from re_core.model import DeploymentStatus, StepKind, StepSpec, StepStatus
from re_core.notices import deployment_notices, describe_step, step_notices
from re_core.state import State, StepState
from re_core.strict_json import dumps, equal

#: attempts in all of a step that is idempotent and says nothing of retries
IDEMPOTENT_ATTEMPTS = 3


class Refusal(Exception):
    """A rule found that the event does not fit after all. Raised before anything was emitted."""


class Advance:
    """One advance under way."""

    __slots__ = ("effects", "now", "records", "repeated", "state")

    def __init__(self, state: State, now: int) -> None:
        self.state = state
        self.now = now
        self.records: list[r.Record] = []
        self.effects: list[e.Effect] = []
        self.repeated = False

    def emit(self, record: r.Record) -> None:
        self.state.apply(record, self.now)
        self.records.append(record)

    def do(self, effect: e.Effect) -> None:
        self.effects.append(effect)


def awaited(state: State) -> Iterator[e.Effect]:
    """What the state still waits for, to be asked for again: the same ids, so that copies are recognised."""
    for number in sorted(state.open):
        step = state.steps[number]
        if step.status is StepStatus.DISPATCHED:
            yield e.Dispatch(number, step.attempt)
        elif step.control:
            if not state.plan.steps[number].spec.repeatable:
                yield e.Grant(step.control, number, step.attempt, step.token, go=True)
            if told_to_stop(state, number):
                yield e.Stop(step.control, number, step.attempt)


# -- claims, outcomes ------------------------------------------------------------------------------


def claim(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    first = step.begun == 0
    go.emit(r.Started(event.step, event.attempt, event.worker, event.token, event.control))
    if not go.state.plan.steps[event.step].spec.repeatable and event.control:
        go.do(e.Grant(event.control, event.step, event.attempt, event.token, go=True))
    if first:
        go.effects.extend(step_notices(go.state, event.step, StepStatus.STARTED))


def second_claim(go: Advance, step: StepState, event: e.ClaimMade) -> None:
    """The same claim again is answered again; anybody else's gets no-go, whatever its reason (design)."""
    if event.token != step.token:
        raise Refusal(f"step {event.step} was claimed by another worker")
    go.repeated = True
    if not go.state.plan.steps[event.step].spec.repeatable and event.control:
        go.do(e.Grant(event.control, event.step, event.attempt, event.token, go=True))


def outcome(go: Advance, step: StepState, event: e.OutcomeCame) -> None:
    spec = go.state.plan.steps[event.step].spec
    if step.token and event.token and event.token != step.token and not spec.repeatable:
        raise Refusal(f"step {event.step} was claimed by another worker")
    completed, message = _judge(spec, event)
    if completed:
        go.emit(r.Completed(event.step, event.attempt, event.data, message, event.cut))
        go.effects.extend(step_notices(go.state, event.step, StepStatus.COMPLETED))
        _go_on(go, event.step)
    else:
        go.emit(r.Failed(event.step, event.attempt, event.data, message, event.cut))
        _after_failure(go, event.step, step.begun - 1 < spec.retries)


def _judge(spec: StepSpec, event: e.OutcomeCame) -> tuple[bool, str | None]:
    """Whether the attempt succeeded, and what is said of it: a check's whole reply must equal what is expected."""
    if spec.kind is not StepKind.CHECK or spec.expectation is None:
        return event.completed, event.message
    if equal(event.body, spec.expectation):
        return True, event.message
    shown = event.body if event.shown is None else event.shown
    return False, f"expected the reply {dumps(spec.expectation):.200}, got {dumps(shown):.200}"


def repeat(go: Advance, step: StepState, event: Any) -> None:
    """It was applied before: what the state still awaits is asked for again."""
    go.repeated = True
    go.effects.extend(awaited(go.state))


def dropped(go: Advance, step: StepState, event: e.ClaimDropped) -> None:
    """A worker will not begin it: fence the attempt, whose claim may still be under way, and dispatch the step again."""
    if step.status is StepStatus.STARTED and event.token != step.token:
        raise Refusal(f"step {event.step} was claimed by another worker")
    why = event.reason or "the worker declined it"
    if _stops(go.state, event.step):
        _withdraw(go, event.step, why)
        _settle(go)
    else:
        _again(go, event.step, why)


def nobody(go: Advance, step: StepState, event: e.NobodyOffers) -> None:
    name = go.state.plan.steps[event.step].spec.name
    go.emit(r.Failed(event.step, event.attempt, message=f"no worker offers {name}"))
    _after_failure(go, event.step, may_repeat=False)


def outdated(go: Advance, step: StepState, event: Any) -> None:
    """Words of a fenced, lost or timed out attempt: kept for people, once."""
    if isinstance(event, e.ClaimMade | e.NobodyOffers):
        raise Refusal(f"attempt {event.attempt} of step {event.step} no longer counts")
    if isinstance(event, e.ClaimDropped):
        repeat(go, step, event)
        return
    completed, _ = _judge(go.state.plan.steps[event.step].spec, event)
    said = "completed" if completed else "failed"
    if (event.step, event.attempt, said) in go.state.late:
        repeat(go, step, event)
        return
    go.emit(r.Late(event.step, event.attempt, said, event.data, event.cut))


# -- cancel, time, loss ----------------------------------------------------------------------------


def cancel(go: Advance, event: e.CancelAsked) -> None:
    go.emit(r.CancelRequested(event.user, event.reason))
    _answer(go, event)
    for number in sorted(go.state.open):
        if number >= go.state.plan.first_action:
            continue
        step = go.state.steps[number]
        if step.status is StepStatus.DISPATCHED:
            _withdraw(go, number, "cancelled before it began")
        elif step.control:
            go.do(e.Stop(step.control, number, step.attempt))
    _settle(go)


def cancelled_already(go: Advance, event: e.CancelAsked) -> None:
    go.repeated = True
    _answer(go, event)
    go.effects.extend(awaited(go.state))


def _answer(go: Advance, event: e.CancelAsked) -> None:
    if event.reply_to:
        go.do(e.Answer(event.reply_to, event.request, accepted=True))


def time(go: Advance, event: e.TimeCame) -> None:
    """Whatever is due: ends of steps, and dispatches that nobody answered."""
    for number in sorted(go.state.open):
        step = go.state.steps[number]
        if step.status is StepStatus.DISPATCHED:
            _overdue_dispatch(go, number, step)
        elif go.now >= deadline_of(go.state, number, step):
            _overdue_step(go, number, step)


def _overdue_dispatch(go: Advance, number: int, step: StepState) -> None:
    waited = go.now - (step.dispatched_at or 0)
    patience = go.state.plan.patience
    if waited >= patience * 1000:
        go.emit(r.Fenced(number, step.attempt, "no worker began it"))
        go.emit(r.TimedOut(number, step.attempt, f"no worker began it within {patience:g} s"))
        _after_failure(go, number, may_repeat=False)
    elif waited >= REPEAT:
        go.do(e.Dispatch(number, step.attempt))


def _overdue_step(go: Advance, number: int, step: StepState) -> None:
    spec = go.state.plan.steps[number].spec
    if step.control:
        go.do(e.Stop(step.control, number, step.attempt))
    if told_to_stop(go.state, number) and go.now < (step.started_at or 0) + spec.timeout * 1000:
        go.emit(r.Lost(number, step.attempt, f"it did not stop within {GRACE // 1000} s of the cancel"))
        _after_failure(go, number, may_repeat=False)
    else:
        go.emit(r.TimedOut(number, step.attempt, f"it did not end within its timeout of {spec.timeout:g} s"))
        _after_failure(go, number, step.begun - 1 < spec.retries)


def gone(go: Advance, event: e.WorkersGone) -> None:
    """Claimed and silent is lost; the step's author decided beforehand what that means."""
    mine = [number for number in sorted(go.state.open) if _claimant_gone(go.state.steps[number], event)]
    for number in mine:
        _lose(go, number, go.state.steps[number])
    go.effects.extend(effect for effect in awaited(go.state) if effect not in go.effects)


def _claimant_gone(step: StepState, event: e.WorkersGone) -> bool:
    before = step.status is StepStatus.STARTED and (step.started_at or 0) < event.before
    return before and event.worker in (None, step.worker)


def _lose(go: Advance, number: int, step: StepState) -> None:
    spec = go.state.plan.steps[number].spec
    who = f"worker {step.worker}" if step.worker else "its worker"
    text = f"{who} was lost while the step ran; nobody knows whether it happened"
    may_repeat = step.begun - 1 < spec.retries or (spec.idempotent and step.begun < IDEMPOTENT_ATTEMPTS)
    go.emit(r.Lost(number, step.attempt, text))
    _after_failure(go, number, may_repeat)


# -- what follows ----------------------------------------------------------------------------------


def begin(go: Advance, steps: list[int]) -> None:
    """Dispatch these steps; where there are none, the deployment is over or its actions begin."""
    for number in steps:
        go.emit(r.Dispatched(number, 1))
        go.do(e.Dispatch(number, 1))
    if not steps:
        _settle(go)


def _go_on(go: Advance, done: int) -> None:
    """A step is done for good: its followers begin, unless the playbook is halted (actions follow each other always)."""
    begin(go, [] if _stops(go.state, done) else list(go.state.followers(done)))


def _stops(state: State, number: int) -> bool:
    """Whether the playbook goes no further, and this step is one of its steps: actions run always."""
    return number < state.plan.first_action and (state.halted is not None or state.cancel is not None)


def _after_failure(go: Advance, number: int, may_repeat: bool) -> None:
    """Repeat the step where its author allows it; else it is final."""
    state = go.state
    stops = _stops(state, number)
    if may_repeat and not stops:
        _again(go, number, state.steps[number].message or "the attempt failed")
        return
    go.effects.extend(step_notices(state, number, state.steps[number].status))
    if number < state.plan.first_action and not stops:
        status = state.steps[number].status.replace("_", " ")
        message = state.steps[number].message
        reason = f"{describe_step(state.plan.steps[number])} {status}"
        go.emit(r.Halted(f"{reason}: {message}" if message else reason))
    _go_on(go, number)


def _withdraw(go: Advance, number: int, why: str) -> None:
    go.emit(r.Fenced(number, go.state.steps[number].attempt, why))
    go.emit(r.Withdrawn(number))


def _again(go: Advance, number: int, why: str) -> None:
    attempt = go.state.steps[number].attempt
    go.emit(r.Fenced(number, attempt, why))
    go.emit(r.Dispatched(number, attempt + 1))
    go.do(e.Dispatch(number, attempt + 1))


def _settle(go: Advance) -> None:
    """Nothing new begins: wait for what is open, then skip the rest, then the actions, then the end."""
    state = go.state
    if state.open:
        return
    rest = state.never_begun()
    if rest:
        go.emit(r.Skipped(rest))
    actions = list(state.plan.first(state.plan.actions))
    if actions and state.plan.first_action not in state.steps:
        begin(go, actions)
        return
    status, reason = _end_of(state)
    go.emit(r.Ended(status, reason))
    go.effects.extend(deployment_notices(state))


def _end_of(state: State) -> tuple[DeploymentStatus, str]:
    """How it ends: a failed action fails it, then a cancel, then a halt; else it completed."""
    for number in range(state.plan.first_action, len(state.plan.steps)):
        step = state.steps[number]
        if step.status is not StepStatus.COMPLETED:
            name = describe_step(state.plan.steps[number])
            return (
                DeploymentStatus.FAILED,
                f"{name} {step.status.replace('_', ' ')}: {step.message or 'no reason given'}",
            )
    if state.cancel is not None:
        by = f"cancelled by {state.cancel.user}" if state.cancel.user else "cancelled"
        return DeploymentStatus.CANCELLED, f"{by}: {state.cancel.reason}" if state.cancel.reason else by
    if state.halted is not None:
        return DeploymentStatus.FAILED, state.halted
    return DeploymentStatus.COMPLETED, ""
