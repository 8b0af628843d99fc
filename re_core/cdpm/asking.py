"""Deployments that a pipeline asks for: under which id, and when it asks and looks again. Pure; must not know why it asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from re_core.cdpm import events as e
from re_core.cdpm import records as r
from re_core.cdpm.advancing import Advance
from re_core.cdpm.ids import deployment_id
from re_core.cdpm.state import State
from re_core.cdpm.values import Candidate, Job, JobStatus

#: milliseconds after which it asks again for a job that was not answered, and the longest time between two times
ASK_AFTER, ASK_MOST = 10_000, 600_000
#: milliseconds after which it looks how an accepted job stands, should the hint that it ended be lost
LOOK_AFTER, LOOK_MOST = 60_000, 300_000
#: milliseconds after which a job is asked for again that had to wait for another deployment; and after which it is given up
POSTPONE, POSTPONE_MOST, GIVE_UP_AFTER = 30_000, 600_000, 86_400_000

#: looks of one timer, so that two hundred open builds are not all read whenever one is due; each has a time of its own
LOOKS = 32

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


def postponed_until(job: Job, now: int) -> int:
    """When a job that has to wait once more is asked for again."""
    return now + min(POSTPONE_MOST, POSTPONE << min(job.postponed, 10))


def awaited(state: State) -> list[e.Effect]:
    """What a crash may have cut off: the jobs that were asked for and not answered, the newest first. The same ids."""
    asked = [job for job in state.jobs.values() if job.status is JobStatus.ASKED]
    asked.sort(key=lambda job: job.asked, reverse=True)
    return [e.AskDeployment(job.id) for job in asked[:LOOKS]]


def open_jobs(state: State, now: int) -> list[Job]:
    """Jobs of which a time has come, those whose time came last first; at most LOOKS."""
    due = [(slot, job) for job in state.jobs.values() if (slot := _slot(job, now)) is not None]
    due.sort(key=lambda pair: pair[0], reverse=True)
    return [job for _, job in due[:LOOKS]]


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
    for job in state.jobs.values():
        if job.status is JobStatus.ASKED:
            yield next_slot(job.asked, ASK_AFTER, ASK_MOST, now)
        elif job.status is JobStatus.ACCEPTED:
            yield next_slot(job.accepted, LOOK_AFTER, LOOK_MOST, now)
        elif job.status is JobStatus.POSTPONED:
            yield job.until
    for one in state.candidates.values():
        yield next_slot(one.since, LOOK_AFTER, LOOK_MOST, now)


def next_slot(since: int, first: int, most: int, now: int) -> int:
    """The first of since + first, since + 2 first, since + 4 first … that is after `now`; at most `most` apart."""
    offset = _offset(since, first, most, now)
    return since + (first if offset is None else offset + min(offset, most))


def last_slot(since: int, first: int, most: int, now: int) -> int | None:
    """The last of these that is not after `now`."""
    offset = _offset(since, first, most, now)
    return None if offset is None else since + offset


def _offset(since: int, first: int, most: int, now: int) -> int | None:
    past, offset = now - since, first
    if past < first:
        return None
    while offset < most and offset * 2 <= past:
        offset *= 2
    if offset >= most:
        offset += (past - offset) // most * most
    return offset


def _slot(job: Job, now: int) -> int | None:
    if job.status is JobStatus.ASKED:
        return last_slot(job.asked, ASK_AFTER, ASK_MOST, now)
    if job.status is JobStatus.ACCEPTED:
        return last_slot(job.accepted, LOOK_AFTER, LOOK_MOST, now)
    return job.until if job.status is JobStatus.POSTPONED and job.until <= now else None
