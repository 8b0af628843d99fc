"""A deployment as a document for people and programs. Must not know addresses: links are the front end's."""

from __future__ import annotations

from typing import Literal, TypedDict

from re_core.api import answers
from re_core.deployment.plan import Plan, PlannedStep
from re_core.deployment.results import Result
from re_core.deployment.state import State, StepState
from re_core.model import DeploymentStatus, StepStatus
from re_core.rows import OutputLine, View
from re_core.usecases.times import rfc3339, seconds_between
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import loads


def deployment_document(
    state: State, id: str, now: int, redaction: Redaction, links: answers.Links
) -> answers.Deployment:
    """Everything about one deployment; `now` in milliseconds ends the duration of one that runs.

    `links` are the front end's; addresses of results begin with their `self`.
    `dynamic` has the values that its caller supplied as people may see them (Redaction.shown); `stages` the descriptions
    of the sequences, by their number.
    """
    accepted = state.accepted
    steps = [
        _step(number, step, state.steps.get(number), number in state.asked, links["self"])
        for number, step in enumerate(state.plan.steps)
    ]
    completed = sum(step["status"] == StepStatus.COMPLETED for step in steps)
    return {
        "id": id,
        "status": state.status,
        "group": accepted.group,
        "playbook_id": accepted.playbook_id,
        "playbook": accepted.playbook,
        "revision": accepted.revision,
        "exclusive": accepted.exclusive,
        "dynamic": redaction.shown(accepted.dynamic),
        "user": accepted.user,
        "source": accepted.source,
        "created": rfc3339(state.created),
        "started": rfc3339(state.started),
        "ended": rfc3339(state.ended),
        "duration": seconds_between(state.created, now if state.ended is None else state.ended),
        "reason": state.reason,
        "retries": state.retries,
        "stages": list(state.plan.stages),
        "steps": steps,
        "counts": {"completed": completed, "total": len(steps)},
        "links": links,
    }


def possible(state: State) -> tuple[Literal["retry", "resolve", "decide"], ...]:
    """What an operator may request of it now, beside what is always possible: names of the front ends' routes."""
    if state.status is DeploymentStatus.FAILED and state.cancel is None:
        return ("retry",)
    return ("resolve", "decide") if state.asked else ()


def planned_document(number: int, step: PlannedStep) -> answers.PlannedStep:
    """A step that has not been run: its place, and what its worker would get."""
    return {
        **_place(number, step),
        "parameters": step.spec.parameters,
        "timeout": step.spec.timeout,
        "idempotent": step.spec.idempotent,
        "retries": step.spec.retries,
        "pool": step.spec.pool or None,
        "environment": step.spec.environment or None,
    }


def view_document(view: View, redaction: Redaction) -> answers.DeploymentRow:
    """One row of the list; `revision` and `dynamic` are None where the row does not say."""
    return {
        "id": view.id,
        "status": view.status,
        "group": view.group,
        "playbook_id": view.playbook_id,
        "playbook": view.playbook,
        "revision": view.revision or None,
        "dynamic": redaction.shown(loads(view.dynamic)) if view.dynamic else None,
        "user": view.user,
        "created": rfc3339(view.created),
        "ended": rfc3339(view.ended),
        "done": view.done,
        "total": view.total,
        "step": view.step,
        "reason": view.reason,
    }


def line_document(line: OutputLine, plan: Plan) -> answers.Line:
    """One line of output, with the host that its step ran on."""
    known = line.step is not None and 0 <= line.step < len(plan.steps)
    host = plan.steps[line.step].host if line.step is not None and known else None
    return {"number": line.number, "step": line.step, "host": host, "at": rfc3339(line.at), "text": line.text}


def _place(number: int, step: PlannedStep) -> answers.StepPlace:
    return {
        "number": number,
        "name": step.spec.name,
        "kind": step.spec.kind,
        "host": step.host,
        "sequence": step.sequence,
        "label": step.spec.label,
    }


def _message(step: StepState) -> str | None:
    if not step.offered:
        return step.message
    return f"{step.message or 'its worker is gone'}; it goes on on its host, and another worker is asked to see to it"


def _step(number: int, step: PlannedStep, state: StepState | None, asks: bool, here: str) -> answers.Step:
    place = _place(number, step)
    if state is None:
        return {**place, "asks": asks, **_NOT_YET}
    known = result_document(state.result)
    return {
        **place,
        "asks": asks,
        "status": state.status,
        "attempt": state.attempt,
        "worker": state.worker or None,
        "dispatched": rfc3339(state.dispatched_at),
        "started": rfc3339(state.started_at),
        "ended": rfc3339(state.ended_at),
        "message": _message(state),
        "data": None if state.result is None else state.result.data,
        "result": None if known is None else {**known, "href": f"{here}/steps/{number}/result"},
    }


def result_document(result: Result | None) -> answers.ResultSize | None:
    """What is known of a result, without the result."""
    if result is None:
        return None
    return {"size": result.size, "digest": f"sha256:{result.digest}", "cut": result.cut, "inline": result.inline}


class _NotYet(TypedDict):
    status: str
    attempt: int
    worker: None
    dispatched: None
    started: None
    ended: None
    message: None
    data: None
    result: None


_NOT_YET: _NotYet = {
    "status": StepStatus.PENDING,
    "attempt": 0,
    "worker": None,
    "dispatched": None,
    "started": None,
    "ended": None,
    "message": None,
    "data": None,
    "result": None,
}
