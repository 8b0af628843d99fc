"""The fold of an app's journal. Pure; must not know events: a record says what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from re_core.apps import records as r
from re_core.apps.names import app_id
from re_core.apps.values import (
    AppStatus,
    ConfigRef,
    Job,
    Kind,
    Payload,
    Purpose,
    Run,
    Status,
    Version,
    Wanted,
)
from re_core.deployment.checkpoints import Checkpoint
from re_core.deployment.records import Void
from re_core.jobs.table import CLOSED, JobStatus

#: what a state keeps at most; what is beyond is refused with its reason, or the oldest goes
MOST_VERSIONS, MOST_OLD, MOST_PENDING, MOST_OPEN_RUNS = 100, 1_000, 10, 5
MOST_RUNS, MOST_CLOSED, MOST_COUNTS = 50, 100, 40


class State:
    """One app. Its parts are immutable values."""

    __slots__ = (
        "active",
        "base",
        "checkpointed",
        "closed",
        "config",
        "counts",
        "current",
        "destroyed",
        "ended",
        "entry",
        "entry_at",
        "formation",
        "generation",
        "group",
        "jobs",
        "key",
        "last",
        "last_run",
        "name",
        "old",
        "pending",
        "registered",
        "restart",
        "runs",
        "touched",
        "versions",
        "zones",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        #: number of its last entry, and when that was written
        self.entry, self.entry_at = 0, 0
        #: when it was registered and destroyed; 0: not yet. When nothing of it was left
        self.registered, self.destroyed = 0, 0
        self.ended: int | None = None
        self.group, self.name = "", ""
        #: in which it runs, in order; those that an order may have reached
        self.zones: tuple[str, ...] = ()
        self.touched: tuple[str, ...] = ()
        #: the newest, which the next build gets
        self.config = ConfigRef()
        #: type of process -> count in each zone, of the current version; what was said last of each type ever
        self.formation: Mapping[str, int] = {}
        self.counts: Mapping[str, int] = {}
        #: raised by every restart; request of the last one
        self.generation, self.restart = 1, ""
        #: number of the version that zones run; of the one whose job goes on; of the newest. 0: none
        self.current, self.active, self.last = 0, 0, 0
        #: what epochs are raised by
        self.base = 0
        #: number -> version, ascending; number -> status of those that are not kept whole any more
        self.versions: dict[int, Version] = {}
        self.old: dict[int, str] = {}
        #: numbers of the versions that wait for their turn
        self.pending: tuple[int, ...] = ()
        #: number -> run, and the number of the newest
        self.runs: dict[int, Run] = {}
        self.last_run = 0
        self.jobs: dict[str, Job] = {}
        #: id -> when that job was closed, of those that were since the checkpoint that the state was read from
        self.closed: dict[str, int] = {}
        #: number of the entry that has the newest checkpoint
        self.checkpointed = 0

    @property
    def id(self) -> str:
        return app_id(self.key)

    @property
    def epoch(self) -> int:
        """Of orders that come from this state."""
        return self.base + self.entry

    @property
    def leaving(self) -> tuple[str, ...]:
        """Zones that have to stop it, and to say so."""
        return tuple(zone for zone in self.touched if self.destroyed or zone not in self.zones)

    @property
    def status(self) -> AppStatus:
        if not self.registered:
            return AppStatus.NEW
        if self.ended is not None:
            return AppStatus.GONE
        if self.destroyed:
            return AppStatus.ENDING
        return AppStatus.RELEASING if self.active else AppStatus.IDLE

    def apply(self, record: Any, at: int, number: int) -> None:
        """`at` and `number` are those of the entry that has the record."""
        _FOLDS[type(record)](self, record, at, number)

    def version(self, number: int, **changes: Any) -> None:
        """Change one that is kept."""
        if (known := self.versions.get(number)) is not None:
            self.versions[number] = known._replace(**changes)


def begin(key: str) -> State:
    """The state of a key without entries."""
    return State(key)


def fold(state: State, records: Sequence[Any], number: int, at: int) -> State:
    """The state after the records of the entry with that number."""
    for record in records:
        state.apply(record, at, number)
    state.entry, state.entry_at = number, at
    return state


def wanted(state: State, zone: str) -> Wanted | None:
    """What the zone has to run of the app; None where that is nothing."""
    version = state.versions.get(state.current)
    if state.destroyed or zone not in state.zones or version is None or version.payload is None:
        return None
    return Wanted(version.number, version.payload.digest, state.formation, state.generation, state.epoch)


def held(state: State) -> tuple[str, ...]:
    """Zones in which a version is got ready: its job gives the orders there, and no other order is given meanwhile.

    Not before its files are there, which may take a day: until then what runs is looked after. Nor after its decision, from which
    on every order is for it.
    """
    version = state.versions.get(state.active)
    if version is None or version.status is not Status.DEPLOYING or state.destroyed:
        return ()
    return version.zones


def source_of(state: State, version: Version) -> Version | None:
    """Where the payload, the processes and the commit of a version come from at its turn; None where it is built."""
    if version.kind is Kind.BUILD:
        return None
    return state.versions.get(version.of if version.kind is Kind.ROLLBACK else state.current)


# -- the fold --------------------------------------------------------------------------------------


def _registered(state: State, record: r.Registered, at: int, number: int) -> None:
    state.registered, state.group, state.name = at, record.group, record.name
    state.zones = tuple(record.zones)


def _zoned(state: State, record: r.Zoned, at: int, number: int) -> None:
    state.zones = tuple(record.zones)
    if state.current:
        _touch(state, state.zones)


def _touch(state: State, zones: Sequence[str]) -> None:
    """Orders may reach these zones from here on."""
    state.touched = (*state.touched, *(zone for zone in zones if zone not in state.touched))


def _queued(state: State, record: r.Queued, at: int, number: int) -> None:
    one = record
    state.versions[one.version] = Version(
        one.version,
        Kind(one.made_by),
        Status.PENDING,
        one.commit,
        one.archive,
        one.broadcast_id,
        one.note,
        one.who,
        one.source,
        at,
        of=one.of,
        config=one.config,
        config_names=state.config.names if one.config == state.config.id else (),
        head=one.head,
    )
    state.last = one.version
    state.pending = (*state.pending, one.version)
    _forget_versions(state)


def _forget_versions(state: State) -> None:
    """Of the oldest, number and status stay; not of those that something still comes of."""
    needed = {state.current, state.active, *state.pending}
    needed |= {state.versions[one].of for one in needed if one in state.versions}
    for number in list(state.versions):
        if len(state.versions) <= MOST_VERSIONS:
            break
        if number not in needed:
            state.old[number] = str(state.versions.pop(number).status)
    while len(state.old) > MOST_OLD:
        del state.old[next(iter(state.old))]


def _job_asked(state: State, record: r.JobAsked, at: int, number: int) -> None:
    one, before = record, state.jobs.pop(record.instead, None)
    zones = tuple(one.zones)
    state.jobs[one.job] = Job(
        one.job,
        Purpose(one.purpose),
        JobStatus.ASKED,
        one.version,
        zones,
        one.epoch,
        one.turn,
        before.first if before is not None else at,
        at,
        postponed=before.postponed if before is not None else 0,
        run=one.run,
    )
    _touch(state, zones)
    if one.run:
        if (run := state.runs.get(one.run)) is not None:
            state.runs[one.run] = run._replace(job=one.job)
        return
    # what a job that never began may have said does not count for this one
    state.version(one.version, job=one.job, zones=zones, ready=())
    state.active = one.version
    state.pending = tuple(one for one in state.pending if one != record.version)


def _job(state: State, id: str, at: int, **changes: Any) -> None:
    if (known := state.jobs.get(id)) is None:
        return
    state.jobs[id] = changed = known._replace(**changes)
    if changed.status not in CLOSED:
        return
    # closed ones are there to be shown: the last of them, the newest at the end
    state.jobs[id] = state.jobs.pop(id)
    closed = [one.id for one in state.jobs.values() if one.status in CLOSED]
    for old in closed[:-MOST_CLOSED]:
        del state.jobs[old]
        state.closed.pop(old, None)
    state.closed[id] = at
    if known.purpose is Purpose.RELEASE and state.active == known.version:
        state.active = 0
    _end_if_over(state, at)


def _job_accepted(state: State, record: r.JobAccepted, at: int, number: int) -> None:
    _job(state, record.job, at, status=JobStatus.ACCEPTED, accepted=at, why="")


def _job_postponed(state: State, record: r.JobPostponed, at: int, number: int) -> None:
    count = state.jobs[record.job].postponed + 1 if record.job in state.jobs else 0
    _job(state, record.job, at, status=JobStatus.POSTPONED, until=record.until, postponed=count, why=record.why)


def _job_refused(state: State, record: r.JobRefused, at: int, number: int) -> None:
    _job(state, record.job, at, status=JobStatus.REFUSED, why=record.why)


def _job_ended(state: State, record: r.JobEnded, at: int, number: int) -> None:
    _job(state, record.job, at, status=JobStatus.ENDED, result=record.status, why="")


def _prepared(state: State, record: r.Prepared, at: int, number: int) -> None:
    kept = (one.payload for one in state.versions.values() if one.payload is not None)
    payload = next((one for one in kept if one.digest == record.payload), None)
    state.version(
        record.version,
        status=Status.DEPLOYING if record.payload else Status.BUILDING,
        config=record.config,
        config_names=tuple(record.names),
        payload=payload,
        commit=record.commit,
    )


def _built(state: State, record: r.Built, at: int, number: int) -> None:
    payload = Payload(
        **record.payload,
        processes=record.processes,
        build_env=record.build_env,
        python=record.python,
        release=record.release,
    )
    state.version(record.version, status=Status.DEPLOYING, payload=payload)


def _ready(state: State, record: r.Ready, at: int, number: int) -> None:
    if (known := state.versions.get(record.version)) is not None:
        state.version(record.version, ready=(*known.ready, record.zone))


def _committed(state: State, record: r.Committed, at: int, number: int) -> None:
    state.current, state.formation = record.version, dict(record.formation)
    state.version(record.version, status=Status.SUCCEEDED, ended=at, formation=state.formation)
    _remember_counts(state)
    _touch(state, state.zones)


def _remember_counts(state: State) -> None:
    """A type that a version lacks has its count again when it comes back; those that were said last stay."""
    counts = {name: count for name, count in state.counts.items() if name not in state.formation}
    state.counts = dict([*counts.items(), *state.formation.items()][-MOST_COUNTS:])


def _switched(state: State, record: r.Switched, at: int, number: int) -> None:
    if (known := state.versions.get(record.version)) is not None:
        state.version(record.version, switched=(*known.switched, record.zone))


def _failed(state: State, record: r.Failed, at: int, number: int) -> None:
    state.version(record.version, status=Status.FAILED, ended=at, why=record.why, stage=record.stage)
    state.pending = tuple(one for one in state.pending if one != record.version)


def _configured(state: State, record: r.Configured, at: int, number: int) -> None:
    state.config = ConfigRef(record.config, tuple(record.names))


def _scaled(state: State, record: r.Scaled, at: int, number: int) -> None:
    state.formation = dict(record.formation)
    state.version(state.current, formation=state.formation)
    _remember_counts(state)


def _restarted(state: State, record: r.Restarted, at: int, number: int) -> None:
    state.generation, state.restart = record.generation, record.request


def _run_asked(state: State, record: r.RunAsked, at: int, number: int) -> None:
    one = record
    state.last_run = one.n
    state.runs[one.n] = Run(one.n, one.zone, one.command, one.who, one.source, at, request=one.request)
    over = [run.n for run in state.runs.values() if run.ended]
    for old in over[:-MOST_RUNS]:
        del state.runs[old]


def _run_ended(state: State, record: r.RunEnded, at: int, number: int) -> None:
    if (known := state.runs.get(record.n)) is not None:
        state.runs[record.n] = known._replace(ended=at, code=record.code, why=record.why)


def _destroyed(state: State, record: r.Destroyed, at: int, number: int) -> None:
    state.destroyed = at
    _end_if_over(state, at)


def _left(state: State, record: r.Left, at: int, number: int) -> None:
    state.touched = tuple(zone for zone in state.touched if zone != record.zone)
    _end_if_over(state, at)


def _end_if_over(state: State, at: int) -> None:
    """It is gone where nothing of it runs, and no job is left that could start something."""
    is_over = all(job.status in CLOSED for job in state.jobs.values())
    if state.destroyed and not state.touched and is_over and state.ended is None:
        state.ended = at


def _rebased(state: State, record: r.Rebased, at: int, number: int) -> None:
    state.base = record.base


def _checkpoint(state: State, record: Checkpoint, at: int, number: int) -> None:
    state.checkpointed = number


def _nothing(state: State, record: Any, at: int, number: int) -> None:
    """It only takes a number."""


_FOLDS: Mapping[type[Any], Callable[[State, Any, int, int], None]] = {
    r.Registered: _registered,
    r.Zoned: _zoned,
    r.Queued: _queued,
    r.JobAsked: _job_asked,
    r.JobAccepted: _job_accepted,
    r.JobPostponed: _job_postponed,
    r.JobRefused: _job_refused,
    r.JobEnded: _job_ended,
    r.Prepared: _prepared,
    r.Built: _built,
    r.Ready: _ready,
    r.Committed: _committed,
    r.Switched: _switched,
    r.Failed: _failed,
    r.Configured: _configured,
    r.Scaled: _scaled,
    r.Restarted: _restarted,
    r.RunAsked: _run_asked,
    r.RunEnded: _run_ended,
    r.Destroyed: _destroyed,
    r.Left: _left,
    r.Rebased: _rebased,
    Checkpoint: _checkpoint,
    Void: _nothing,
}
