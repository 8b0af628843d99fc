"""Jobs: deployments that a pipeline asks for. Pure; its side of the table JOB. What a job is for is the business of others.

The theory is in re_core/cdpm/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance, known_already, miss
from re_core.cdpm.asking import TRIAL, ask_in_next_turn, open_jobs
from re_core.cdpm.receiving import Build, build_over
from re_core.cdpm.values import Job, JobStatus
from re_core.jobs import table
from re_core.jobs.table import JobAct, word_of, word_of_created
from re_core.jobs.table import JobWord as JobWord
from re_core.jobs.times import is_given_up, postponed_until, why_given_up


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
    word = word_of_created(event.accepted, event.reason, event.holder)
    JOB[job.status][word](go, job, Said(event.detail or event.reason))


def on_fact(go: Advance, job: Job, fact: e.Fact) -> None:
    """How the deployment of the job stands."""
    JOB[job.status][word_of(fact.status)](go, job, Said(status=fact.status))


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
    if is_given_up(job, go.now):
        _refuse(go, job, Said(why_given_up(said.why)))
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


_ACTS: Mapping[JobAct, Callable[..., None]] = {
    JobAct.ACCEPT: _accept,
    JobAct.REFUSE: _refuse,
    JobAct.POSTPONE: _postpone,
    JobAct.NEXT_TURN: _next_turn,
    JobAct.ASK: _ask_again,
    JobAct.ASK_AND_LOOK: _ask_and_look,
    JobAct.LOOK: _look,
    JobAct.END: _end,
    JobAct.VANISH: _vanish,
    JobAct.KNOWN: known_already,
    JobAct.MISS: miss,
}

#: what a job of a pipeline does with a word, by the table of all jobs
JOB: Mapping[JobStatus, Mapping[JobWord, Any]] = {
    status: {word: _ACTS[act] for word, act in row.items()} for status, row in table.JOB.items()
}
