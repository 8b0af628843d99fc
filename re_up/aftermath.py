"""Which of the attempts that a killed engine began have not ended well. Must not know processes."""

from __future__ import annotations

from re_core.errors import BadMessage
from re_core.messages import parse_attempt
from re_core.model import StepStatus
from re_core.ports import Journal
from re_core.state import fold


class Unfinished:
    """The set of attempts whose programs must not go on: all but those of steps that completed.

    What a completed step left running, it left on purpose (a daemon that it started); everything else is about
    to be called lost or repeated, or was given up long ago.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __contains__(self, attempt: object) -> bool:
        try:
            deployment, step, _ = parse_attempt(str(attempt))
        except BadMessage:
            return False
        entries = self._journal.entries(deployment)
        return not entries or fold(entries).step(step).status is not StepStatus.COMPLETED
