"""What can happen to an app, and what then has to be done. Pure values; must not know the rules between them.

An event of others is a message with the header `re-event`; its body has the fields of the event but `reply_to` and `request`,
which are the message's own (re_core/apps/words.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from re_core.deployment.events import TimerFired, WorkerLost
from re_core.jobs.words import Created

_NO_TEXTS: Mapping[str, str] = {}

# -- events: people --------------------------------------------------------------------------------


class Register(NamedTuple):
    """The app begins. Group and name never change."""

    group: str
    name: str
    #: in which it runs, in the order in which versions reach them
    zones: Sequence[str]
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Zones(NamedTuple):
    """The zones of the next versions; the app leaves those that are not named."""

    zones: Sequence[str]
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Build(NamedTuple):
    """A push: the archive becomes a version."""

    archive: str
    commit: str = ""
    #: of the client, one per push: a repetition is answered as the first. Empty: the request's id
    broadcast_id: str = ""
    note: str = ""
    user: str = ""
    #: as a deployment says where it comes from
    source: str = ""
    reply_to: str = ""
    request: str = ""


class Configure(NamedTuple):
    """A config, whose values stand in a sealed row; with a current version it becomes a version too."""

    #: row of the config that this one was made from, empty for none: refused where that is the newest no more
    base: str
    #: row of the new one
    config: str
    #: of its variables
    names: Sequence[str] = ()
    note: str = ""
    broadcast_id: str = ""
    user: str = ""
    source: str = ""
    reply_to: str = ""
    request: str = ""


class Rollback(NamedTuple):
    """An earlier version comes back under a new number: its payload and its config."""

    #: 0: the last one before the current that differs from it
    version: int = 0
    note: str = ""
    broadcast_id: str = ""
    user: str = ""
    source: str = ""
    reply_to: str = ""
    request: str = ""


class Scale(NamedTuple):
    """Counts of processes in each zone; types that are not named keep theirs."""

    formation: Mapping[str, int]
    user: str = ""
    reply_to: str = ""
    request: str = ""


class Restart(NamedTuple):
    """Replace all instances of the current version by new ones."""

    user: str = ""
    reply_to: str = ""
    request: str = ""


class RunCommand(NamedTuple):
    """Run a command once, in the environment of the current version."""

    command: str
    user: str = ""
    source: str = ""
    reply_to: str = ""
    request: str = ""


class Destroy(NamedTuple):
    """The app ends."""

    user: str = ""
    reply_to: str = ""
    request: str = ""


# -- events: steps. `deployment` is the one whose step says it ------------------------------------------


class Prepared(NamedTuple):
    """What the version needs is there, and its zones answer."""

    version: int
    deployment: str
    reply_to: str = ""
    request: str = ""


class Built(NamedTuple):
    """The payload is in the artifact store."""

    version: int
    deployment: str
    #: id of the artifact, SHA-256 and size of its bytes, CRC-32 and length of what is packed in them
    artifact: str
    digest: str
    size: int
    crc: int
    length: int
    #: type of process -> command
    processes: Mapping[str, str]
    #: variables that the build has set
    build_env: Mapping[str, str] = _NO_TEXTS
    #: version of Python, `3.13`
    python: str = ""
    #: command that runs once per version
    release: str = ""
    reply_to: str = ""
    request: str = ""


class Ready(NamedTuple):
    """A zone has the version up beside what runs, and holds it."""

    version: int
    deployment: str
    zone: str
    reply_to: str = ""
    request: str = ""


class Commit(NamedTuple):
    """Decide that the version runs. Accepted where all its zones are ready."""

    version: int
    deployment: str
    reply_to: str = ""
    request: str = ""


class Switched(NamedTuple):
    """A zone has switched to the version."""

    version: int
    deployment: str
    zone: str
    reply_to: str = ""
    request: str = ""


class Ran(NamedTuple):
    """The command of a run has ended."""

    n: int
    deployment: str
    code: int
    reply_to: str = ""
    request: str = ""


# -- events: the center ----------------------------------------------------------------------------


class Left(NamedTuple):
    """Nothing of the app runs in the zone, which it has left."""

    zone: str
    reply_to: str = ""
    request: str = ""


class Rebase(NamedTuple):
    """A person takes zones over that know higher orders than this engine has given: what the epochs are raised by."""

    base: int
    user: str = ""
    reply_to: str = ""
    request: str = ""


# -- events: the engine ----------------------------------------------------------------------------


class Fact(NamedTuple):
    """How a deployment stands by its journal."""

    deployment: str
    #: running, completed, failed, cancelled; void: it never began; missing: it has no journal
    status: str
    #: why it ended
    reason: str = ""
    reply_to: str = ""
    request: str = ""


Request = (
    Register
    | Zones
    | Build
    | Configure
    | Rollback
    | Scale
    | Restart
    | RunCommand
    | Destroy
    | Prepared
    | Built
    | Ready
    | Commit
    | Switched
    | Ran
    | Left
    | Rebase
    | Fact
)

Event = Request | Created | TimerFired | WorkerLost

# -- effects: what has to be done ------------------------------------------------------------------


class AskDeployment(NamedTuple):
    """Ask the engine for the deployment of a job."""

    job: str


class Look(NamedTuple):
    """Read how a deployment stands. Answers with a Fact."""

    deployment: str


class Answer(NamedTuple):
    """Answer a caller's request."""

    reply_to: str
    request: str
    accepted: bool
    reason: str = ""
    detail: str = ""
    #: the version that the request has made, and the id under which its lines are broadcast; 0 where it made none
    version: int = 0
    broadcast_id: str = ""
    #: number of the run, and the deployment that runs it
    run: int = 0
    deployment: str = ""


Effect = AskDeployment | Look | Answer

#: type of event of others -> its name in the header `re-event`
NAMES: Mapping[type[Any], str] = {
    Register: "register",
    Zones: "zones",
    Build: "build",
    Configure: "configure",
    Rollback: "rollback",
    Scale: "scale",
    Restart: "restart",
    RunCommand: "run",
    Destroy: "destroy",
    Prepared: "prepared",
    Built: "built",
    Ready: "ready",
    Commit: "commit",
    Switched: "switched",
    Ran: "ran",
    Left: "left",
    Rebase: "rebase",
    Fact: "fact",
}
