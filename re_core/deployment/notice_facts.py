"""From the state of a deployment to what its notifications are about. Pure; must not know the texts (notifications.py).

Everything here was redacted before it came into the journal, but for the values of the caller: those come as text.
"""

from __future__ import annotations

from re_core.deployment.notifications import AWRY, describe_step
from re_core.deployment.state import State, StepState
from re_core.wire.notice_facts import HOSTS, LINES, Facts, StepFacts

#: where the result of `command:*` has the last lines of a program that failed
_OUTPUT = "output"


def facts_of(state: State, step: int | None, phase: str, values: str = "") -> Facts:
    """Of a notification of this phase about the deployment, or about one of its steps.

    `values`: what the deployment was started with, as people may read it.
    """
    hosts = list(dict.fromkeys(planned.host for planned in state.plan.steps if planned.host))
    known = state.steps.get(step) if step is not None else None
    begin = phase == "started"
    outcome = phase if begin else str(state.status if step is None else known.status if known else phase)
    at, took = _when(state, known, step is not None, begin)
    return Facts(
        deployment=state.deployment,
        group=state.accepted.group,
        playbook=state.accepted.playbook,
        revision=state.accepted.revision,
        user=state.accepted.user,
        outcome=outcome,
        at=at,
        took=took,
        hosts=tuple(hosts[:HOSTS]),
        host_count=len(hosts),
        values=values,
        step=_step_facts(state, step if step is not None else None if begin else first_awry(state)),
    )


def first_awry(state: State) -> int | None:
    """Number of the step that did not go well first; None where all did."""
    awry = [(step.ended_at or 0, number) for number, step in state.steps.items() if step.status in AWRY]
    return min(awry)[1] if awry else None


def _when(state: State, step: StepState | None, of_step: bool, begin: bool) -> tuple[int, int | None]:
    """When it happened, and how many milliseconds were taken by then."""
    if of_step:
        first, last = (step.started_at, step.ended_at) if step is not None else (None, None)
    else:
        first, last = state.started or state.created, state.ended
    if begin:
        return first or state.entry_at, None
    return last or state.entry_at, None if first is None or last is None else max(0, last - first)


def _step_facts(state: State, number: int | None) -> StepFacts | None:
    if number is None:
        return None
    planned, step = state.plan.steps[number], state.step(number)
    return StepFacts(
        number=number,
        name=describe_step(planned),
        host=planned.host or "",
        status=str(step.status),
        message=step.message or "",
        lines=_last_lines(step),
    )


def _last_lines(step: StepState) -> tuple[str, ...]:
    """What a program printed last, where its result has that and the state has kept the result."""
    data = step.result.data if step.result is not None and step.result.inline else None
    lines = data.get(_OUTPUT) if isinstance(data, dict) else None
    if not isinstance(lines, list):
        return ()
    return tuple(line for line in lines if isinstance(line, str))[-LINES:]
