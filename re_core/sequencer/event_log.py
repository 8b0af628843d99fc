"""What is logged of a deployment, so that one search by its id finds the whole story. Must not know how logs look.

The begin, the end and whatever did not go well are logged at INFO; all the rest, several records a step, at DEBUG.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from re_core.deployment import records as r
from re_core.deployment.notifications import describe_step
from re_core.deployment.plan import ROOT
from re_core.deployment.state import State

_log = logging.getLogger(__name__)

#: what is logged at INFO
_NOTABLE = (
    r.Accepted,
    r.ResolutionRequested,
    r.CancelRequested,
    r.Resolved,
    r.Ended,
    r.Failed,
    r.Fenced,
    r.BlockDraining,
    r.Late,
    r.Lost,
    r.Moved,
    r.Orphaned,
    r.Retried,
    r.Settled,
    r.StopRequested,
    r.TimedOut,
)


def log_records(state: State, records: Sequence[r.Record]) -> None:
    """Log what the journal has of this deployment since the last time."""
    if not _log.isEnabledFor(logging.INFO):
        return
    detailed = _log.isEnabledFor(logging.DEBUG)
    for record in records:
        notable = isinstance(record, _NOTABLE)
        if notable or detailed:
            _log.log(
                logging.INFO if notable else logging.DEBUG, "%s", _words(state, record), extra=_known(state, record)
            )


def _words(state: State, record: r.Record) -> str:
    if isinstance(record, r.Accepted):
        by = f", requested by {record.user}" if record.user else ""
        return f"deployment of {record.group} / {record.playbook} accepted, {len(state.plan.steps)} steps{by}"
    if isinstance(record, r.Ended):
        return f"deployment {record.status}" + (f": {record.reason}" if record.reason else "")
    if isinstance(record, r.BlockDraining):
        of = "" if record.node == ROOT else " of a block"
        return f"running steps{of} finish, no new one starts: {record.reason}"
    words = r.kind_of(record).replace("_", " ")
    number = getattr(record, "step", None)
    if isinstance(number, int):
        words = f"{describe_step(state.plan.steps[number])} {words}"
    detail = getattr(record, "message", None) or getattr(record, "reason", None)
    return f"{words}: {detail}" if detail else words


def _known(state: State, record: r.Record) -> dict[str, str]:
    number = getattr(record, "step", None)
    planned = state.plan.steps[number] if isinstance(number, int) else None
    return {
        "action": r.kind_of(record),
        "deployment_id": state.deployment,
        "playbook_id": state.accepted.playbook_id,
        "user_id": state.accepted.user,
        "source_ip": state.accepted.source,
        "active_step": planned.spec.name if planned else "",
        "deploy_phase": str(planned.spec.kind) if planned else "",
        "step": "" if number is None else str(number),
        "worker": str(getattr(record, "worker", "")),
    }
