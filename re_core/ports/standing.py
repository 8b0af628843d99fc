"""How a deployment stands by its journal. Must not know who asks, and why.

Its row may be ahead of the journal, where a core died after it wrote the row; so the row says only from where to read.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from re_core.deployment.records import Accepted, Ended, Retried, never_began
from re_core.ports.reading import every_entry
from re_core.ports.store import Journal, Maintenance

#: entries before that of a row which are read with it: the row may be ahead of its journal by some
_TAIL = 3


class _Shelf(Journal, Maintenance, Protocol):
    """The part of a store that knows deployments."""


class Standing(NamedTuple):
    """What its journal says of a deployment."""

    #: number of the last entry that counts: by which it ended, or goes on again, or the first
    entry: int
    #: running, completed, failed, cancelled; void: it never began; missing: it has no journal
    status: str
    #: None for one that never began or has no journal
    accepted: Accepted | None = None
    #: when that was, milliseconds since the epoch
    accepted_at: int = 0
    #: why it ended
    reason: str = ""


def standing(store: _Shelf, deployment: str) -> Standing:
    """How it stands. Raises StoreUnavailable, StoreRefused."""
    first = store.entries(deployment, limit=1)
    if not first:
        return Standing(0, "missing")
    if never_began(first):
        return Standing(1, "void")
    accepted = first[0].records[0]
    row = next(iter(store.rows([deployment])), None)
    number, status, reason = _last_end(store, deployment, 0 if row is None else max(0, row.entry - _TAIL))
    if not status and row is not None and row.ended is not None:
        number, status, reason = _last_end(store, deployment, 0)
    began = accepted if isinstance(accepted, Accepted) else None
    return Standing(number, status or "running", began, first[0].at, reason)


def _last_end(store: Journal, deployment: str, after: int) -> tuple[int, str, str]:
    """Number of the last entry behind `after` by which it has ended or goes on again, how it stands, and why; (1, "", "") for none."""
    found = 1, "", ""
    for entry in every_entry(store, deployment, after):
        for record in entry.records:
            if isinstance(record, Ended):
                found = entry.number, record.status, record.reason
            elif isinstance(record, Retried):
                found = entry.number, "running", ""
    return found
