"""Deployments that a pipeline asks for: under which id, and when it asks and looks again. Pure; must not know why it asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance
from re_core.cdpm.ids import deployment_id
from re_core.cdpm.state import State
from re_core.cdpm.values import Candidate, Job
from re_core.jobs import times
from re_core.jobs.times import GIVE_UP_AFTER as GIVE_UP_AFTER
from re_core.jobs.times import LOOK_AFTER as LOOK_AFTER
from re_core.jobs.times import LOOK_MOST
from re_core.jobs.times import LOOKS as LOOKS
from re_core.jobs.times import last_slot as last_slot
from re_core.jobs.times import next_slot as next_slot

#: what a deployment is started for
TRIAL = "trial"


def ask(
    go: Advance,
    purpose: str,
    playbook_id: str,
    dynamic: Mapping[str, Any],
    source: str,
    id: int | str,
    dependency: str = "",
    created_at: str = "",
    major: bool = False,
) -> None:
    """Ask for a deployment."""
    state = go.state
    job = deployment_id(go.now, state.key, purpose, dependency, str(id), created_at, "1")
    user = f"cdpm:{state.group}/{state.name}"
    go.emit(
        r.JobAsked(
            job,
            purpose,
            playbook_id,
            dynamic,
            user,
            source,
            dependency=dependency,
            id=id,
            created_at=created_at,
            major=major,
        )
    )
    go.do(e.AskDeployment(job))


def ask_in_next_turn(go: Advance, job: Job) -> None:
    """Ask under another id: the one before can never begin, or was refused and may not come back."""
    turn = job.turn + 1
    id = deployment_id(go.now, go.state.key, job.purpose, job.dependency, str(job.release), job.created_at, str(turn))
    go.emit(
        r.JobAsked(
            id,
            job.purpose,
            job.playbook_id,
            job.dynamic,
            job.user,
            job.source,
            turn,
            job.id,
            job.dependency,
            job.release,
            job.created_at,
            job.major,
        )
    )
    go.do(e.AskDeployment(id))


def awaited(state: State) -> list[e.Effect]:
    """What a crash may have cut off: the jobs that were asked for and not answered, the newest first. The same ids."""
    return [e.AskDeployment(job.id) for job in times.awaited(state.jobs.values())]


def open_jobs(state: State, now: int) -> list[Job]:
    """Jobs of which a time has come, those whose time came last first; at most LOOKS."""
    return times.open_jobs(state.jobs.values(), now)


def open_candidates(state: State, now: int) -> list[Candidate]:
    """As `open_jobs`, of candidates."""
    due = [
        (slot, one)
        for one in state.candidates.values()
        if (slot := last_slot(one.since, LOOK_AFTER, LOOK_MOST, now)) is not None
    ]
    due.sort(key=lambda pair: pair[0], reverse=True)
    return [one for _, one in due[:LOOKS]]


def next_times(state: State, now: int) -> Iterable[int]:
    """When something is due about the jobs and candidates that are open."""
    yield from times.next_times(state.jobs.values(), now)
    for one in state.candidates.values():
        yield next_slot(one.since, LOOK_AFTER, LOOK_MOST, now)
