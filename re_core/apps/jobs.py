"""Jobs: deployments that an app asks for. Pure; its side of the table JOB. What a job is for is the business of others.

The theory is in re_core/apps/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from re_core.apps import events as e
from re_core.apps import records as r
from re_core.apps import releasing, running
from re_core.apps.advancing import Advance, Refusal, known_already
from re_core.apps.asking import ask_in_next_turn
from re_core.apps.releasing import MOST_WHY, End
from re_core.apps.values import Job, Purpose
from re_core.jobs.table import JOB, JobAct, JobWord, word_of, word_of_created
from re_core.jobs.times import is_given_up, open_jobs, postponed_until, why_given_up
from re_core.jobs.words import Created


class Said(NamedTuple):
    """What a word says beside itself."""

    why: str = ""
    #: how the deployment ended
    status: str = ""


def on_created(go: Advance, event: Created) -> None:
    """The engine has answered."""
    job = go.state.jobs.get(event.job)
    if job is not None:  # else of a turn that is over
        word = word_of_created(event.accepted, event.reason, event.holder)
        _step(go, job, word, Said(event.detail or event.reason))


def on_fact(go: Advance, fact: e.Fact) -> None:
    """How a deployment stands; that of an earlier turn says nothing any more."""
    if (job := go.state.jobs.get(fact.deployment)) is not None:
        _step(go, job, word_of(fact.status), Said(fact.reason, fact.status))


def on_timer(go: Advance) -> None:
    """Of which jobs a time has come."""
    for job in open_jobs(go.state.jobs.values(), go.now):
        _step(go, job, JobWord.TIMER, Said())


def _step(go: Advance, job: Job, word: JobWord, said: Said) -> None:
    ACTS[JOB[job.status][word]](go, job, said)


def _accept(go: Advance, job: Job, said: Said) -> None:
    go.emit(r.JobAccepted(job.id))


def _refuse(go: Advance, job: Job, said: Said) -> None:
    _close(go, job, End(r.JobRefused(job.id, said.why[:MOST_WHY]), said.why or "its deployment was refused"))


def _end(go: Advance, job: Job, said: Said) -> None:
    why = said.why or f"its deployment is {said.status}"
    _close(go, job, End(r.JobEnded(job.id, said.status), why))


def _vanish(go: Advance, job: Job, said: Said) -> None:
    """It was accepted and its journal is deleted: it has ended, how is not known, and it is never started again."""
    _close(go, job, End(r.JobEnded(job.id, "vanished"), "the journal of its deployment is gone"))


def _close(go: Advance, job: Job, end: End) -> None:
    (running if job.purpose is Purpose.RUN else releasing).job_over(go, job, end)


def _postpone(go: Advance, job: Job, said: Said) -> None:
    if is_given_up(job, go.now):
        _refuse(go, job, Said(why_given_up(said.why)))
    else:
        go.emit(r.JobPostponed(job.id, postponed_until(job, go.now), said.why[:MOST_WHY]))


def _next_turn(go: Advance, job: Job, said: Said) -> None:
    ask_in_next_turn(go, job)


def _ask(go: Advance, job: Job, said: Said) -> None:
    go.do(e.AskDeployment(job.id))


def _ask_and_look(go: Advance, job: Job, said: Said) -> None:
    go.do(e.AskDeployment(job.id))
    go.do(e.Look(job.id))


def _look(go: Advance, job: Job, said: Said) -> None:
    go.do(e.Look(job.id))


def _miss(go: Advance, job: Job, said: Said) -> None:
    raise Refusal("not-now", f"deployment {job.id} is {job.status}")


_Rule = Callable[[Advance, Job, Said], None]

#: what an app does for an act of the table of jobs
ACTS: Mapping[JobAct, _Rule] = {
    JobAct.ACCEPT: _accept,
    JobAct.REFUSE: _refuse,
    JobAct.POSTPONE: _postpone,
    JobAct.NEXT_TURN: _next_turn,
    JobAct.ASK: _ask,
    JobAct.ASK_AND_LOOK: _ask_and_look,
    JobAct.LOOK: _look,
    JobAct.END: _end,
    JobAct.VANISH: _vanish,
    JobAct.KNOWN: known_already,
    JobAct.MISS: _miss,
}
