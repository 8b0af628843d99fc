"""Which of the attempts that a killed engine began have not ended well. Must not know processes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from re_core.deployment.records import Completed, Failed, Fenced, Lost, Record, Resolved, Started, TimedOut
from re_core.errors import BadMessage, StoreRefused
from re_core.model import Resolution
from re_core.ports import Journal
from re_core.wire.messages import parse_attempt

_log = logging.getLogger(__name__)


class OrphanPolicy:
    """The set of attempts whose programs must not go on: those that are about to be called lost or repeated, or were given up.

    What is recorded on its host, this machine, goes on: a worker of this start adopts it.

    What an attempt that completed or failed left running, it left on purpose (a daemon that it started), and the engine of
    that time left it alone. A deployment without a journal has ended and was deleted (`rectl store prune`,
    RE_PRUNE_OLDER); one whose journal cannot be read does not continue, so nothing of it is repeated beside its program.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __contains__(self, attempt: object) -> bool:
        """Raises StoreUnavailable."""
        try:
            deployment, step, number = parse_attempt(str(attempt))
        except BadMessage:
            return False
        try:
            entries = self._journal.entries(deployment)
        except StoreRefused as error:
            _log.warning(
                "the processes that %s left running continue: %s", attempt, error, extra={"action": "journal_unread"}
            )
            return False
        records = [one for entry in entries for one in entry.records]
        over = any(_is_end_of(one, step, number) for one in records) or _is_adopted(records, step, number)
        return bool(entries) and not over


def _is_adopted(records: Iterable[Record], step: int, attempt: int) -> bool:
    """Whether it is recorded on its host, and was not given up."""
    of_it = [one for one in records if (getattr(one, "step", None), getattr(one, "attempt", None)) == (step, attempt)]
    recorded = any(isinstance(one, Started) and one.recorded for one in of_it)
    return recorded and not any(isinstance(one, Fenced | Lost | TimedOut) for one in of_it)


def _is_end_of(record: Record, step: int, attempt: int) -> bool:
    """Whether it says that the attempt's own program has ended, or that the step counts as done."""
    if isinstance(record, Completed | Failed):
        return (record.step, record.attempt) == (step, attempt)
    return isinstance(record, Resolved) and record.step == step and record.ruling == Resolution.SUCCEEDED.recorded
