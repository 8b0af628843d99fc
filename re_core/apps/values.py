"""The parts of an app's state: immutable values of what JSON can say. Pure; must not know how they change."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from re_core.jobs.table import JobStatus

_NO_COUNTS: Mapping[str, int] = {}
_NO_TEXTS: Mapping[str, str] = {}


class AppStatus(StrEnum):
    """Where an app stands."""

    NEW = "new"
    IDLE = "idle"
    RELEASING = "releasing"
    ENDING = "ending"
    GONE = "gone"


class Status(StrEnum):
    """How far one version of an app is."""

    PENDING = "pending"
    BUILDING = "building"
    DEPLOYING = "deploying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


#: statuses of a version to which nothing happens any more but late words
OVER = frozenset({Status.SUCCEEDED, Status.FAILED})


class Kind(StrEnum):
    """What a version was made for."""

    BUILD = "build"
    CONFIG = "config"
    ROLLBACK = "rollback"


class Purpose(StrEnum):
    """What a job is for."""

    RELEASE = "release"
    RUN = "run"


class Payload(NamedTuple):
    """The built files of a version, and what they say of themselves. Versions of the same payload share it."""

    #: id of the artifact
    artifact: str
    #: SHA-256 of its bytes, and how many they are
    digest: str
    size: int
    #: CRC-32 and length of what is packed in it
    crc: int
    length: int
    #: type of process -> command
    processes: Mapping[str, str] = _NO_TEXTS
    #: variables that the build has set
    build_env: Mapping[str, str] = _NO_TEXTS
    #: version of Python that it was built with, `3.13`; empty where it needs none
    python: str = ""
    #: command that runs once per version, before any process; empty: none
    release: str = ""


class ConfigRef(NamedTuple):
    """Which sealed row has the values of an app's variables. Empty: it has none yet."""

    id: str = ""
    #: of the variables, sorted
    names: tuple[str, ...] = ()


class Version(NamedTuple):
    """One release of an app: `v8` where its number is 8."""

    number: int
    kind: Kind
    status: Status
    commit: str
    #: where its source is; empty where it is not built
    archive: str
    broadcast_id: str
    note: str
    #: which user asked for it, where from, and when
    who: str
    source: str
    at: int
    #: of a rollback: the version that comes back
    of: int = 0
    #: id of the config's row; that of a build is bound at its turn
    config: str = ""
    config_names: tuple[str, ...] = ()
    #: of a rollback: the config that was the newest when it was asked for
    head: str = ""
    payload: Payload | None = None
    #: the job that releases it; of several turns the newest. Empty until its turn
    job: str = ""
    #: zones of that job, in the app's order
    zones: tuple[str, ...] = ()
    #: zones that have it ready beside what runs, and those that have switched to it
    ready: tuple[str, ...] = ()
    switched: tuple[str, ...] = ()
    #: when it was decided
    ended: int = 0
    #: counts of the processes when it succeeded or since, while it is the current one
    formation: Mapping[str, int] = _NO_COUNTS
    #: why it failed, and in which status
    why: str = ""
    stage: str = ""


class Job(NamedTuple):
    """A deployment that the app asked for, under the id that it has if it begins."""

    id: str
    purpose: Purpose
    status: JobStatus
    #: number of the version that it releases or runs in
    version: int
    zones: tuple[str, ...]
    #: number of the entry that asked for it
    epoch: int
    turn: int
    #: of the first turn, of this turn, and when it was accepted
    first: int
    asked: int
    accepted: int = 0
    #: how often it was postponed, and until when
    postponed: int = 0
    until: int = 0
    why: str = ""
    #: how its deployment ended
    result: str = ""
    #: number of the run
    run: int = 0


class Run(NamedTuple):
    """One command that a person runs in the environment of the current version."""

    n: int
    zone: str
    command: str
    who: str
    source: str
    at: int
    job: str = ""
    ended: int = 0
    #: as a shell says it; None while it goes on, or where it is not known
    code: int | None = None
    why: str = ""
    #: of the event
    request: str = ""


class Wanted(NamedTuple):
    """What a zone has to run."""

    version: int
    #: of the payload
    digest: str
    formation: Mapping[str, int]
    #: raised by every restart
    generation: int
    #: orders with a lower one are older than this
    epoch: int
