"""What follows from a record that does not say it: the rules of the fold as they were in its format. Pure; these never change.

Until format 3 the fold decided what a record leads to, by the rules below, from the state before the record. Since format 4
the record says it (docs/decisions/0019). Since format 5 a block drains where the playbook was halted (0020). `upcast` makes
of an old record the one that says the same today, so that the fold knows one way only. A later format that changes what a
record means adds its own functions here, and leaves these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from re_core.deployment import records as r
from re_core.deployment.numbering import ranges_of
from re_core.deployment.plan import ROOT, Plan, StepKind
from re_core.model import DeploymentStatus, StepStatus


class Step(Protocol):
    """What these rules look at in a step."""

    @property
    def status(self) -> StepStatus: ...
    @property
    def begun(self) -> int: ...
    @property
    def waiting_since(self) -> int | None: ...


class Before(Protocol):
    """What these rules look at in the state before the record."""

    @property
    def status(self) -> DeploymentStatus: ...
    @property
    def cancel(self) -> object: ...
    @property
    def asked(self) -> set[int]: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def steps(self) -> Mapping[int, Step]: ...


def upcast(before: Before, record: r.Record, format: int) -> r.Record:
    """The record of an older format as today's has it. Raises KeyError or IndexError for one out of place."""
    if format < 4:
        rule = _RULES.get(type(record))
        record = record if rule is None else rule(before, record)
    if isinstance(record, r.Halted):
        return r.BlockDraining(ROOT, record.reason, record.deployment)
    return record


def _dispatched(before: Before, record: r.Dispatched) -> r.Record:
    step = before.steps.get(record.step)
    return record._replace(since=(step and step.waiting_since) or 0)


def _started(before: Before, record: r.Started) -> r.Record:
    return record._replace(begun=before.steps[record.step].begun + 1, deployment=_running(before))


def _ended(before: Before, record: Any) -> Any:
    return record._replace(begun=_begun(before, record.step), deployment=_running(before))


def _failed(before: Before, record: r.Failed) -> r.Record:
    is_action = before.plan.steps[record.step].spec.kind is StepKind.ACTION
    stopped = before.cancel is not None and not is_action
    said: r.Failed = _ended(before, record)
    return said._replace(status=StepStatus.CANCELLED.value if stopped else StepStatus.FAILED.value)


def _lost(before: Before, record: r.Lost) -> r.Record:
    return record._replace(begun=_begun(before, record.step))


def _fenced(before: Before, record: r.Fenced) -> r.Record:
    step = before.steps[record.step]
    return record._replace(begun=step.begun - (step.status is StepStatus.STARTED))


def _asked(before: Before, record: r.ResolutionRequested) -> r.Record:
    cancelling = before.status is DeploymentStatus.CANCELLING
    return record._replace(deployment="" if cancelling else DeploymentStatus.WAITING.value)


def _resolved(before: Before, record: r.Resolved) -> r.Record:
    goes_on = not before.asked - {record.step}
    said = record._replace(deployment=_not_waiting(before) if goes_on else "")
    if record.ruling != "happened":
        return said
    message = f"{record.user or 'an operator'} resolved it as succeeded"
    return said._replace(status=StepStatus.COMPLETED.value, message=message)


def _retried(before: Before, record: r.Retried) -> r.Record:
    steps = before.plan.steps
    again = [
        number
        for number, step in sorted(before.steps.items())
        if steps[number].spec.kind is StepKind.ACTION or step.status in _NOT_COMPLETED
    ]
    return record._replace(again=ranges_of(again))


def _withdrawn(before: Before, record: r.Withdrawn) -> r.Record:
    status = StepStatus.SKIPPED if before.cancel is None else StepStatus.CANCELLED
    return record._replace(status=status.value)


def _halted(before: Before, record: r.Halted) -> r.Record:
    return record._replace(deployment=_not_waiting(before))


def _begun(before: Before, number: int) -> int:
    """An attempt that ends without a claim has begun all the same."""
    step = before.steps[number]
    return step.begun + (step.status is StepStatus.DISPATCHED)


def _running(before: Before) -> str:
    return DeploymentStatus.RUNNING.value if before.status is DeploymentStatus.ACCEPTED else ""


def _not_waiting(before: Before) -> str:
    return DeploymentStatus.RUNNING.value if before.status is DeploymentStatus.WAITING else ""


_NOT_COMPLETED = frozenset(
    {StepStatus.FAILED, StepStatus.TIMED_OUT, StepStatus.LOST, StepStatus.SKIPPED, StepStatus.CANCELLED}
)

_RULES: Mapping[type[Any], Callable[[Before, Any], Any]] = {
    r.Dispatched: _dispatched,
    r.Started: _started,
    r.Completed: _ended,
    r.Failed: _failed,
    r.Lost: _lost,
    r.Fenced: _fenced,
    r.ResolutionRequested: _asked,
    r.Resolved: _resolved,
    r.Retried: _retried,
    r.Withdrawn: _withdrawn,
    r.Halted: _halted,
}
