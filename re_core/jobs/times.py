"""When a job is asked for again, and when it is looked at again. Pure; must not know what a job is for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from re_core.jobs.table import JobStatus

#: milliseconds after which it asks again for a job that was not answered, and the longest time between two times
ASK_AFTER, ASK_MOST = 10_000, 600_000
#: milliseconds after which it looks how an accepted job stands, should the hint that it ended be lost
LOOK_AFTER, LOOK_MOST = 60_000, 300_000
#: milliseconds after which a job is asked for again that had to wait for another deployment; and after which it is given up
POSTPONE, POSTPONE_MOST, GIVE_UP_AFTER = 30_000, 600_000, 86_400_000

#: looks of one timer, so that two hundred open jobs are not all read whenever one is due; each has a time of its own
LOOKS = 32


class Job(Protocol):
    """A job as times know it. All times in milliseconds since the epoch."""

    @property
    def status(self) -> JobStatus: ...
    @property
    def first(self) -> int:
        """When its first turn was asked for."""
        ...

    @property
    def asked(self) -> int: ...
    @property
    def accepted(self) -> int: ...
    @property
    def until(self) -> int:
        """When one that has to wait is asked for again."""
        ...

    @property
    def postponed(self) -> int:
        """How often it had to wait."""
        ...


_Job = TypeVar("_Job", bound=Job)


def awaited(jobs: Iterable[_Job]) -> list[_Job]:
    """What a crash may have cut off: the jobs that were asked for and not answered, the newest first; at most LOOKS."""
    asked = [job for job in jobs if job.status is JobStatus.ASKED]
    asked.sort(key=lambda job: job.asked, reverse=True)
    return asked[:LOOKS]


def open_jobs(jobs: Iterable[_Job], now: int) -> list[_Job]:
    """Jobs of which a time has come, those whose time came last first; at most LOOKS."""
    due = [(slot, job) for job in jobs if (slot := _slot(job, now)) is not None]
    due.sort(key=lambda pair: pair[0], reverse=True)
    return [job for _, job in due[:LOOKS]]


def next_times(jobs: Iterable[Job], now: int) -> Iterator[int]:
    """When something is due about each job that is open."""
    for job in jobs:
        if job.status is JobStatus.ASKED:
            yield next_slot(job.asked, ASK_AFTER, ASK_MOST, now)
        elif job.status is JobStatus.ACCEPTED:
            yield next_slot(job.accepted, LOOK_AFTER, LOOK_MOST, now)
        elif job.status is JobStatus.POSTPONED:
            yield job.until


def postponed_until(job: Job, now: int) -> int:
    """When a job that has to wait once more is asked for again."""
    return now + min(POSTPONE_MOST, POSTPONE << min(job.postponed, 10))


def is_given_up(job: Job, now: int) -> bool:
    """Whether a job that has to wait once more has waited long enough."""
    return now - job.first >= GIVE_UP_AFTER


def why_given_up(why: str) -> str:
    """The reason of that; `why` it had to wait."""
    return f"it could not begin within {GIVE_UP_AFTER // 3_600_000} hours: {why}"


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
