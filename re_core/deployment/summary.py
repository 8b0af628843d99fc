"""One row of the list of deployments, from the state of one. Pure; must not know when rows are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.deployment.state import State
from re_core.model import ENDED, StepStatus
from re_core.rows import View
from re_core.wire.strict_json import dumps

#: values that a row of the list holds, and characters of their JSON
MAX_VALUES, MAX_TEXT = 20, 1000

#: what a list shows of a deployment that has ended: the step that did not go well
_TELLING = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST, StepStatus.CANCELLED})


def view_of(state: State, due: int | None, published: int = 0) -> View:
    """The row of the list; `published` as View has it."""
    current = min(state.open, default=None)
    if current is None:
        current = next((n for n, step in sorted(state.steps.items()) if step.status in _TELLING), None)
    return View(
        id=state.deployment,
        group=state.accepted.group,
        playbook_id=state.accepted.playbook_id,
        playbook=state.accepted.playbook,
        user=state.accepted.user,
        status=state.status,
        created=state.created,
        ended=state.ended,
        done=state.count_done(),
        total=len(state.plan.steps),
        step="" if current is None else state.plan.steps[current].spec.name,
        reason=state.reason,
        due=None if state.status in ENDED else due,
        entry=state.entry,
        published=published,
        revision=state.accepted.revision,
        dynamic=_brief(state.accepted.dynamic),
        claimants=claimants_of(state),
    )


def claimants_of(state: State) -> tuple[str, ...]:
    """The workers that have claimed a step which has not ended, in order; none of 2014, which have no id."""
    steps = map(state.steps.__getitem__, state.open)
    workers = {step.worker for step in steps if step.status is StepStatus.STARTED and step.worker}
    return tuple(sorted(workers)) if len(workers) > 1 else tuple(workers)


def _brief(dynamic: Mapping[str, Any]) -> str:
    """The values as JSON, whole or not at all: what is cut before secrets are looked for may show a part of one."""
    if not dynamic or len(dynamic) > MAX_VALUES:
        return "" if dynamic else "{}"
    text = dumps(dynamic)
    return text if len(text) <= MAX_TEXT else ""
