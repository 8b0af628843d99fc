"""The table JOB: what a job does with what becomes known of it. Pure; must not know who asked for the job, or what it is for.

A job is a deployment under an id that is derived and recorded before it is asked for, so that asking twice starts one. Only what can
never begin (its journal says `void`), or had to wait for another deployment, gets another id, with the next turn. What was accepted
and has no journal any more has vanished: it has no result, and is never started again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

#: why a request was refused whose id can never begin anything
_NEVER = "expired"

#: statuses of a deployment by which it has ended
_ENDED = frozenset({"completed", "failed", "cancelled"})


class JobStatus(StrEnum):
    """How far a deployment is that was asked for."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    POSTPONED = "postponed"
    ENDED = "ended"
    REFUSED = "refused"


#: statuses of a job with which there is nothing left to do
CLOSED = frozenset({JobStatus.ENDED, JobStatus.REFUSED})


class JobWord(StrEnum):
    """What can become known of a job."""

    CREATED = "created"
    REFUSED = "refused"
    HELD = "refused, another deployment holds the lock"
    VOID = "never began"
    RUNNING = "runs"
    ENDED = "ended"
    MISSING = "has no journal"
    TIMER = "timer"


class JobAct(StrEnum):
    """What then has to be done: the records and effects are the aggregate's own."""

    #: it exists
    ACCEPT = "accept"
    #: it will not begin
    REFUSE = "refuse"
    #: it is asked for again later
    POSTPONE = "postpone"
    #: it is asked for under the id of the next turn
    NEXT_TURN = "next turn"
    ASK = "ask"
    ASK_AND_LOOK = "ask and look"
    LOOK = "look"
    END = "end"
    #: it was accepted and its journal is deleted
    VANISH = "vanish"
    #: it was known before
    KNOWN = "known"
    #: nothing follows from it
    MISS = "miss"


def word_of_created(accepted: bool, reason: str, holder: str) -> JobWord:
    """What the engine's answer to a request says; `holder` is the deployment that stands in the way."""
    if accepted:
        return JobWord.CREATED
    if reason == _NEVER:
        return JobWord.VOID
    return JobWord.HELD if holder else JobWord.REFUSED


def word_of(status: str) -> JobWord:
    """What the status of a deployment by its journal says: that of a deployment, `void` or `missing`."""
    words = {"void": JobWord.VOID, "missing": JobWord.MISSING}
    return JobWord.ENDED if status in _ENDED else words.get(status, JobWord.RUNNING)


def is_certain(status: str, job: JobStatus) -> bool:
    """Whether a look at the journal says something, where `job` is what was known when the look began.

    A deployment that had no journal may begin, and be known as accepted, before the job hears of the look: only a journal that
    was there before has vanished.
    """
    return status != "missing" or job is JobStatus.ACCEPTED


_CLOSED: Mapping[JobWord, JobAct] = dict.fromkeys(JobWord, JobAct.KNOWN)

#: what a job does with a word
JOB: Mapping[JobStatus, Mapping[JobWord, JobAct]] = {
    JobStatus.ASKED: {
        JobWord.CREATED: JobAct.ACCEPT,
        JobWord.REFUSED: JobAct.REFUSE,
        JobWord.HELD: JobAct.POSTPONE,
        JobWord.VOID: JobAct.NEXT_TURN,
        JobWord.RUNNING: JobAct.ACCEPT,
        JobWord.ENDED: JobAct.END,
        JobWord.MISSING: JobAct.ASK,
        JobWord.TIMER: JobAct.ASK_AND_LOOK,
    },
    JobStatus.ACCEPTED: {
        JobWord.CREATED: JobAct.KNOWN,
        JobWord.REFUSED: JobAct.MISS,
        JobWord.HELD: JobAct.MISS,
        JobWord.VOID: JobAct.NEXT_TURN,
        JobWord.RUNNING: JobAct.KNOWN,
        JobWord.ENDED: JobAct.END,
        JobWord.MISSING: JobAct.VANISH,
        JobWord.TIMER: JobAct.LOOK,
    },
    JobStatus.POSTPONED: {
        JobWord.CREATED: JobAct.ACCEPT,
        JobWord.REFUSED: JobAct.REFUSE,
        JobWord.HELD: JobAct.KNOWN,
        JobWord.VOID: JobAct.NEXT_TURN,
        JobWord.RUNNING: JobAct.ACCEPT,
        JobWord.ENDED: JobAct.END,
        JobWord.MISSING: JobAct.KNOWN,
        JobWord.TIMER: JobAct.NEXT_TURN,
    },
    JobStatus.ENDED: _CLOSED,
    JobStatus.REFUSED: _CLOSED,
}
