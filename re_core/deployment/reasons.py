"""Texts that say why a step or a deployment ends. Pure; must not know who reads them."""

from __future__ import annotations

from re_core.deployment.deadlines import stopped_at
from re_core.deployment.plan import StepSpec
from re_core.deployment.records import CancelRequested
from re_core.deployment.state import State


def too_long(spec: StepSpec) -> str:
    """Of a step whose time was over."""
    return f"it did not end within its timeout of {spec.timeout:g} s"


def cancelled_by(request: CancelRequested) -> str:
    """Of a deployment that was cancelled: by whom, and why, as far as that was said."""
    by = f"cancelled by {request.user}" if request.user else "cancelled"
    return f"{by}: {request.reason}" if request.reason else by


def whose(state: State, number: int) -> str:
    """Of which workers a step needs one: ` of the pool dmz`, or nothing where any will do."""
    pool = state.plan.steps[number].spec.pool
    return f" of the pool {pool}" if pool else ""


def stop_reason(state: State, number: int, attempt: int) -> str:
    """Why the worker of that attempt is asked to end it."""
    step = state.step(number)
    if step.attempt != attempt or stopped_at(state, number) is None:
        return "the deployment does not await it any more"
    if step.stop_requested_at is None and state.cancel is not None:
        return cancelled_by(state.cancel)
    return too_long(state.plan.steps[number].spec)
