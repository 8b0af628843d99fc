"""What follows from what happened: the next steps, another attempt, the halt, the end. Pure; must not know events.

The rules call these; the theory is in re_core/deployment/machine.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import stopped_at
from re_core.deployment.notifications import deployment_notices, describe_step, step_notices
from re_core.deployment.plan import OnLost
from re_core.deployment.state import State, StepState
from re_core.model import DeploymentStatus, StepStatus

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
        if step.handed:
            continue
        if step.status is StepStatus.DISPATCHED:
            yield e.Dispatch(number, step.attempt, again=True)
        elif stopped_at(state, number) is not None:
            yield e.Stop(step.control, number, step.attempt)
        elif step.control and not state.plan.steps[number].spec.repeatable:
            yield e.Grant(step.control, number, step.attempt, step.token, go=True)


def begin(go: Advance, steps: list[int]) -> None:
    """Dispatch these steps; where there are none, the deployment is over or its actions begin."""
    for number in steps:
        dispatch(go, number)
    if not steps:
        try_finish(go)


def advance_from(go: Advance, done: int) -> None:
    """A step is done for good: its followers begin, unless the playbook is halted (actions follow each other always)."""
    begin(go, [] if stops(go.state, done) else list(go.state.followers(done)))


def stops(state: State, number: int) -> bool:
    """Whether the playbook goes no further, and this step is one of its steps: actions run always."""
    return number < state.plan.first_action and (state.halted is not None or state.cancel is not None)


def after_failure(go: Advance, number: int, may_repeat: bool) -> None:
    """Repeat the step where its author allows it; else it is final."""
    state = go.state
    stopping = stops(state, number)
    if may_repeat and not stopping:
        redispatch(go, number, state.steps[number].message or "the attempt failed")
        return
    go.effects.extend(step_notices(state, number, state.steps[number].status))
    if not stopping and _is_to_be_asked(state, number):
        go.emit(r.ResolutionRequested(number, DeploymentStatus.WAITING.value))
        return
    if number < state.plan.first_action and not stopping:
        halt(go, number)
    advance_from(go, number)


def halt(go: Advance, number: int) -> None:
    """The playbook goes no further, because of this step."""
    step = go.state.steps[number]
    reason = f"{describe_step(go.state.plan.steps[number])} {step.status.replace('_', ' ')}"
    go.emit(r.Halted(f"{reason}: {step.message}" if step.message else reason, goes_on(go.state)))


def _is_to_be_asked(state: State, number: int) -> bool:
    """Whether a person has to decide about the step. Actions run on whatever became of one."""
    lost = state.steps[number].status is StepStatus.LOST and number < state.plan.first_action
    return lost and state.plan.on_lost is OnLost.ASK


def withdraw(go: Advance, number: int, why: str) -> None:
    fence(go, number, why)
    status = StepStatus.SKIPPED if go.state.cancel is None else StepStatus.CANCELLED
    go.emit(r.Withdrawn(number, status.value))


def redispatch(go: Advance, number: int, why: str) -> None:
    fence(go, number, why)
    dispatch(go, number)


def dispatch(go: Advance, number: int) -> None:
    """The step's next attempt. It waits for a worker since an earlier one did, where no worker has begun that."""
    step = go.state.step(number)
    attempt = step.attempt + 1
    go.emit(r.Dispatched(number, attempt, step.waiting_since or 0))
    go.do(e.Dispatch(number, attempt))


def fence(go: Advance, number: int, why: str) -> None:
    """Who claimed the attempt, and has not ended it, has declined it: it does not count as begun."""
    step = go.state.steps[number]
    go.emit(r.Fenced(number, step.attempt, why, step.begun - (step.status is StepStatus.STARTED)))


def try_finish(go: Advance) -> None:
    """Nothing new begins: wait for what is open, then skip the rest, then the actions, then the end."""
    state = go.state
    if state.open or state.asked:
        return
    rest = state.never_begun()
    if rest:
        go.emit(r.Skipped(rest))
    actions = list(state.plan.first(state.plan.actions))
    if actions and state.is_pending(state.plan.first_action):
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
                f"{name} {step.status.replace('_', ' ')}: {step.message or 'the worker gave no reason'}",
            )
    if state.cancel is not None:
        by = f"cancelled by {state.cancel.user}" if state.cancel.user else "cancelled"
        return DeploymentStatus.CANCELLED, f"{by}: {state.cancel.reason}" if state.cancel.reason else by
    if state.halted is not None:
        return DeploymentStatus.FAILED, state.halted
    return DeploymentStatus.COMPLETED, ""


def runs(state: State) -> str:
    """What the deployment's status becomes because a worker has begun a step; empty where it stays."""
    return DeploymentStatus.RUNNING.value if state.status is DeploymentStatus.ACCEPTED else ""


def goes_on(state: State) -> str:
    """What the deployment's status becomes because no step waits for a person any more; empty where it stays."""
    return DeploymentStatus.RUNNING.value if state.status is DeploymentStatus.WAITING else ""


def begun_by_end(step: StepState) -> int:
    """Attempts that count as begun once the current one has ended: it has begun, also where no claim said so."""
    return step.begun + (step.status is StepStatus.DISPATCHED)


def mark_lost(go: Advance, number: int, step: StepState, text: str) -> None:
    spec = go.state.plan.steps[number].spec
    go.emit(r.Lost(number, step.attempt, text, begun_by_end(step)))
    may_repeat = step.begun - 1 < spec.retries or (spec.idempotent and step.begun < IDEMPOTENT_ATTEMPTS)
    after_failure(go, number, may_repeat)
