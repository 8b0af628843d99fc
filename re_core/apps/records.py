"""The records of an app's journal. Pure values; must not know what a record leads to.

A record says what follows from it (docs/decisions/0019): the fold stores that and decides nothing. Fields are what JSON can
say; lists may come back as lists or tuples, and the fold normalises them. No record holds a value of the config: it names the sealed
row that does. A run's command is what a person typed, and is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.checkpoints import Checkpoint

_NO_COUNTS: Mapping[str, int] = {}
_NO_TEXTS: Mapping[str, str] = {}


class Registered(NamedTuple):
    """The app exists."""

    group: str
    name: str
    zones: Sequence[str]
    user: str = ""


class Zoned(NamedTuple):
    """The zones in which it runs from the next version on; it leaves the others."""

    zones: Sequence[str]
    user: str = ""


class Queued(NamedTuple):
    """A version waits for its turn."""

    version: int
    #: build, config or rollback
    made_by: str
    broadcast_id: str
    commit: str = ""
    archive: str = ""
    note: str = ""
    who: str = ""
    source: str = ""
    #: of a rollback: the version that comes back
    of: int = 0
    #: of a config change: its row
    config: str = ""
    #: of a rollback: the config that was the newest then
    head: str = ""


class JobAsked(NamedTuple):
    """A deployment that the app asks for; its id is the job's, so that asking twice starts one."""

    job: str
    #: release or run
    purpose: str
    version: int
    zones: Sequence[str]
    #: orders of this job are as new as this
    epoch: int
    turn: int = 1
    #: the job of the turn before; empty for the first
    instead: str = ""
    #: number of the run
    run: int = 0


class JobAccepted(NamedTuple):
    """The deployment exists."""

    job: str


class JobPostponed(NamedTuple):
    """The deployment may not begin now; it is asked for again then."""

    job: str
    until: int
    why: str


class JobRefused(NamedTuple):
    """The deployment will not begin."""

    job: str
    why: str


class JobEnded(NamedTuple):
    """The deployment has ended: completed, failed, cancelled, or vanished where its journal was deleted."""

    job: str
    status: str


class Prepared(NamedTuple):
    """What the version is made of, bound at its turn."""

    version: int
    #: row of its config, and the names of its variables
    config: str = ""
    names: Sequence[str] = ()
    #: digest of a payload that a kept version has; empty: it has to be built
    payload: str = ""
    commit: str = ""


class Built(NamedTuple):
    """The payload is in the artifact store."""

    version: int
    #: {artifact, digest, size, crc, length}
    payload: Mapping[str, Any]
    #: type of process -> command
    processes: Mapping[str, str]
    build_env: Mapping[str, str] = _NO_TEXTS
    python: str = ""
    #: command that runs once per version
    release: str = ""


class Ready(NamedTuple):
    """A zone has the version up beside what runs, and holds it."""

    version: int
    zone: str


class Committed(NamedTuple):
    """The decision: each zone goes to this version, today or when it is back."""

    version: int
    #: type of process -> count in each zone
    formation: Mapping[str, int]


class Switched(NamedTuple):
    """A zone has switched to the version."""

    version: int
    zone: str


class Failed(NamedTuple):
    """The version will not run."""

    version: int
    why: str
    #: how far it was: prepare, build or deploy
    stage: str = ""


class Configured(NamedTuple):
    """The newest config: the row of its values, and the names of its variables."""

    config: str
    names: Sequence[str]
    note: str = ""
    who: str = ""


class Scaled(NamedTuple):
    """Counts of the processes of the current version, all of them."""

    formation: Mapping[str, int]
    who: str = ""


class Restarted(NamedTuple):
    """All instances of the current version are replaced by new ones."""

    generation: int
    who: str = ""
    #: of the event, so that its repetition restarts nothing
    request: str = ""


class RunAsked(NamedTuple):
    """A person runs a command in the environment of the current version."""

    n: int
    zone: str
    command: str
    who: str = ""
    source: str = ""
    request: str = ""


class RunEnded(NamedTuple):
    """The command has ended."""

    n: int
    #: its exit code; None where that is not known
    code: int | None = None
    why: str = ""


class Destroyed(NamedTuple):
    """The app ends in each zone; nothing else begins."""

    who: str = ""


class Left(NamedTuple):
    """Nothing of the app runs in that zone."""

    zone: str


class Rebased(NamedTuple):
    """A person takes the zones over: orders count from here."""

    base: int
    who: str = ""


Record = (
    Registered
    | Zoned
    | Queued
    | JobAsked
    | JobAccepted
    | JobPostponed
    | JobRefused
    | JobEnded
    | Prepared
    | Built
    | Ready
    | Committed
    | Switched
    | Failed
    | Configured
    | Scaled
    | Restarted
    | RunAsked
    | RunEnded
    | Destroyed
    | Left
    | Rebased
    | Checkpoint
)

#: stored name -> type
RECORDS: Mapping[str, type[Any]] = {
    "registered": Registered,
    "zoned": Zoned,
    "queued": Queued,
    "job_asked": JobAsked,
    "job_accepted": JobAccepted,
    "job_postponed": JobPostponed,
    "job_refused": JobRefused,
    "job_ended": JobEnded,
    "prepared": Prepared,
    "built": Built,
    "ready": Ready,
    "committed": Committed,
    "switched": Switched,
    "failed": Failed,
    "configured": Configured,
    "scaled": Scaled,
    "restarted": Restarted,
    "run_asked": RunAsked,
    "run_ended": RunEnded,
    "destroyed": Destroyed,
    "left": Left,
    "rebased": Rebased,
    "checkpoint": Checkpoint,
}

#: what sets something due, or is in the feed, though its cause may expire: a core that dies after the append leaves a row that is due,
#: so that another one finds what was not published
URGENT: frozenset[type[Any]] = frozenset(
    {
        Registered,
        Queued,
        JobAsked,
        Configured,
        Committed,
        Failed,
        Scaled,
        Restarted,
        RunAsked,
        RunEnded,
        Destroyed,
    }
)
