"""Jobs: deployments that a pipeline asks for. Pure; the table JOB. What a job is for is the business of others.

The theory is in re_core/cdpm/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, known_already, miss
from re_core.cdpm.asking import GIVE_UP_AFTER, TRIAL, ask_in_next_turn, open_jobs, postponed_until
from re_core.cdpm.receiving import Build, build_over
from re_core.cdpm.values import Job, JobStatus

#: why a request was refused whose id can never begin anything
_NEVER = "expired"

#: statuses of a deployment by which it has ended
_ENDED = frozenset({"completed", "failed", "cancelled"})


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


class Said(NamedTuple):
    """What a word says beside itself."""

    why: str = ""
    #: how the deployment ended
    status: str = ""


def on_created(go: Advance, event: e.Created) -> None:
    """The engine has answered."""
    job = go.state.jobs.get(event.job)
    if job is None:
        return  # of a turn that is over
    if event.accepted:
        word = JobWord.CREATED
    elif event.reason == _NEVER:
        word = JobWord.VOID
    else:
        word = JobWord.HELD if event.holder else JobWord.REFUSED
    JOB[job.status][word](go, job, Said(event.detail or event.reason))


def on_fact(go: Advance, job: Job, fact: e.Fact) -> None:
    """How the deployment of the job stands."""
    words = {"void": JobWord.VOID, "missing": JobWord.MISSING}
    word = JobWord.ENDED if fact.status in _ENDED else words.get(fact.status, JobWord.RUNNING)
    JOB[job.status][word](go, job, Said(status=fact.status))


def on_timer(go: Advance) -> None:
    """Of which jobs a time has come."""
    for job in open_jobs(go.state, go.now):
        JOB[job.status][JobWord.TIMER](go, job, Said())


def _accept(go: Advance, job: Job, said: Said) -> None:
    go.emit(r.JobAccepted(job.id))


def _refuse(go: Advance, job: Job, said: Said) -> None:
    _close(go, job, r.JobRefused(job.id, said.why), "")


def _end(go: Advance, job: Job, said: Said) -> None:
    _close(go, job, r.JobEnded(job.id, said.status), said.status)


def _vanish(go: Advance, job: Job, said: Said) -> None:
    """It was accepted and its journal is deleted: it has ended, how is not known, and it is never started again."""
    _close(go, job, r.JobEnded(job.id, "vanished"), "vanished")


def _close(go: Advance, job: Job, record: r.JobEnded | r.JobRefused, status: str) -> None:
    if job.purpose == TRIAL:
        build_over(go, Build(job, record, status))
    else:
        go.emit(record)


def _postpone(go: Advance, job: Job, said: Said) -> None:
    if go.now - job.first >= GIVE_UP_AFTER:
        _refuse(go, job, Said(f"it could not begin within {GIVE_UP_AFTER // 3_600_000} hours: {said.why}"))
    else:
        go.emit(r.JobPostponed(job.id, postponed_until(job, go.now), said.why))


def _next_turn(go: Advance, job: Job, said: Said) -> None:
    ask_in_next_turn(go, job)


def _ask_again(go: Advance, job: Job, said: Said) -> None:
    go.do(e.AskDeployment(job.id))


def _ask_and_look(go: Advance, job: Job, said: Said) -> None:
    go.do(e.AskDeployment(job.id))
    go.do(e.Look(job.id))


def _look(go: Advance, job: Job, said: Said) -> None:
    go.do(e.Look(job.id))


_Rule = Callable[[Advance, Job, Said], None]

_CLOSED: Mapping[JobWord, _Rule] = dict.fromkeys(JobWord, known_already)

#: what a job does with a word
JOB: Mapping[JobStatus, Mapping[JobWord, Any]] = {
    JobStatus.ASKED: {
        JobWord.CREATED: _accept,
        JobWord.REFUSED: _refuse,
        JobWord.HELD: _postpone,
        JobWord.VOID: _next_turn,
        JobWord.RUNNING: _accept,
        JobWord.ENDED: _end,
        JobWord.MISSING: _ask_again,
        JobWord.TIMER: _ask_and_look,
    },
    JobStatus.ACCEPTED: {
        JobWord.CREATED: known_already,
        JobWord.REFUSED: miss,
        JobWord.HELD: miss,
        JobWord.VOID: _next_turn,
        JobWord.RUNNING: known_already,
        JobWord.ENDED: _end,
        JobWord.MISSING: _vanish,
        JobWord.TIMER: _look,
    },
    JobStatus.POSTPONED: {
        JobWord.CREATED: _accept,
        JobWord.REFUSED: _refuse,
        JobWord.HELD: known_already,
        JobWord.VOID: _next_turn,
        JobWord.RUNNING: _accept,
        JobWord.ENDED: _end,
        JobWord.MISSING: known_already,
        JobWord.TIMER: _next_turn,
    },
    JobStatus.ENDED: _CLOSED,
    JobStatus.REFUSED: _CLOSED,
}
