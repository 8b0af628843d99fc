"""The texts of notifications, and why a deployment stopped. Pure; must not know when they are sent or to whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from re_core.deployment.events import Notify
from re_core.deployment.plan import PlannedStep, StepKind
from re_core.deployment.state import State
from re_core.model import DeploymentStatus, StepStatus
from re_core.wire.messages import MAX_SLUG

#: status of a step -> phase of its notification
_PHASES = {
    StepStatus.STARTED: "started",
    StepStatus.COMPLETED: "completed",
    StepStatus.FAILED: "failed",
    StepStatus.TIMED_OUT: "failed",
    StepStatus.LOST: "failed",
    StepStatus.CANCELLED: "failed",
}

#: steps that did not go well, of each of which its author may want a notification
AWRY = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST})


def describe_step(planned: PlannedStep) -> str:
    """The step as a message names it: `service:Restart on web01`, `check "tests pass" (noop:Check)`."""
    spec = planned.spec
    if spec.kind in (StepKind.CHECK, StepKind.ACTION):
        return f"{spec.kind} {spec.label!r} ({spec.name})" if spec.label else f"{spec.kind} {spec.name}"
    name = f"{spec.label!r} ({spec.name})" if spec.label and spec.kind is not StepKind.TRIGGER else spec.name
    return f"{name} on {planned.host}" if planned.host else name


def step_notices(state: State, number: int, status: StepStatus) -> Iterable[Notify]:
    """The notifications of a step that gets this status."""
    return _step_notices(state, number, status) if state.plan.steps[number].spec.notify else ()


def _step_notices(state: State, number: int, status: StepStatus) -> Iterator[Notify]:
    planned = state.plan.steps[number]
    phase = _PHASES[status]
    for transport, target in planned.spec.notify.get(phase, {}).items():
        step = state.steps[number]
        about = f"{number}/{step.attempt}"
        slug = f"{status.replace('_', ' ')}: {describe_step(planned)} in {_name(state)}"
        text = (
            f"{describe_step(planned)} {status.replace('_', ' ')} in deployment {state.deployment} "
            f"of {state.accepted.group} / {state.accepted.playbook}."
        )
        if step.message:
            text += f" {step.message}"
        yield Notify(about, phase, transport, target, _short(slug), text)


def repeated_notices(state: State, about: int | None) -> Iterator[Notify]:
    """Notifications that a crash may have prevented, for an event that comes again and was applied before.

    That is what the state says of the event's own step (`about`, where it has one), of the steps that did not go well,
    and of the deployment's end. The ids are those of the first time, so a notifier that has delivered it drops it. What an
    attempt that was repeated has led to is not known any more.
    """
    for number, step in sorted(state.steps.items()):
        if number == about or step.status in AWRY:
            yield from _notices_of_step(state, number)
    if state.ended is not None:
        yield from deployment_notices(state)


def _notices_of_step(state: State, number: int) -> Iterator[Notify]:
    step = state.steps[number]
    if step.started_at is not None and step.begun == 1:
        yield from step_notices(state, number, StepStatus.STARTED)
    # a step that was withdrawn by a cancel has led to nothing
    if (
        step.ended_at is not None
        and step.status in _PHASES
        and (step.started_at or step.status is not StepStatus.CANCELLED)
    ):
        yield from step_notices(state, number, step.status)


def deployment_notices(state: State) -> Iterator[Notify]:
    """The notifications that the settings want for every deployment: its start, or its end once that has come."""
    yield from begin_notices(state) if state.ended is None else _end_notices(state)


def begin_notices(state: State) -> Iterator[Notify]:
    """That it was started, or retried, whatever has come of it since."""
    about = f"retry-{state.retries}" if state.retries else ""
    word = "retried" if state.retries else "started"
    by = f" by {state.accepted.user}" if state.accepted.user else ""
    for transport, target in state.plan.notify.get("started", {}).items():
        yield _notify(state, about, "started", transport, target, word, f"{word}{by}.")


def _end_notices(state: State) -> Iterator[Notify]:
    about = f"retry-{state.retries}" if state.retries else ""
    phase = "completed" if state.status is DeploymentStatus.COMPLETED else "failed"
    for transport, target in state.plan.notify.get(phase, {}).items():
        why = f": {state.reason}" if state.reason else "."
        yield _notify(state, about, phase, transport, target, state.status, f"{state.status}{why}")


def _notify(
    state: State, about: str, phase: str, transport: str, target: tuple[str, ...], word: str, ending: str
) -> Notify:
    text = f"Deployment {state.deployment} of {state.accepted.group} / {state.accepted.playbook} {ending}"
    # the outcome first: however long the name is, a subject says how it ended
    return Notify(about, phase, transport, target, _short(f"{word}: {_name(state)}"), text)


def _name(state: State) -> str:
    return f"{state.accepted.group}/{state.accepted.playbook}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_SLUG else text[: MAX_SLUG - 1] + "…"
