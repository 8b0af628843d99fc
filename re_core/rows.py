"""What a store keeps beside journals: one NamedTuple per row. Pure; must not know any store.

Times are integers, milliseconds since the epoch, unless a name says seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from re_core.model import DeploymentStatus


class View(NamedTuple):
    """One row of the list of deployments: a summary of the journal, rebuilt from it at will."""

    id: str
    group: str
    playbook_id: str
    playbook: str
    user: str
    status: DeploymentStatus
    created: int
    ended: int | None
    #: steps that completed, and steps in all
    done: int
    total: int
    #: `name` of what runs or of what failed
    step: str
    #: why it stopped
    reason: str
    #: when the sweeper shall look at it; None once ended
    due: int | None
    #: number of the journal entry that this summarises
    entry: int
    #: number of the last entry of which it is certain that everything that it causes was published
    published: int = 0
    #: of the playbook; 0 where an older engine wrote the row
    revision: int = 0
    #: JSON of the values that the caller supplied; empty where they are many or long, or an older engine wrote the row
    dynamic: str = ""
    #: workers that have claimed a step which has not ended; None where an older engine wrote the row, so that it is unknown
    claimants: tuple[str, ...] | None = ()


class StoredPlaybook(NamedTuple):
    """One revision of a playbook."""

    id: str
    group: str
    name: str
    #: from 1
    revision: int
    document: Mapping[str, Any]
    created: int
    updated: int
    #: the user that stored this revision
    user: str

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


class PlaybookHead(NamedTuple):
    """One revision of a playbook without its document, which may have a megabyte."""

    id: str
    group: str
    name: str
    #: from 1
    revision: int
    created: int
    updated: int
    #: the user that stored this revision
    user: str


class OutputLine(NamedTuple):
    """One line that a step printed."""

    #: from 1, per deployment, no gaps
    number: int
    #: number of the step; None where a worker did not say
    step: int | None
    at: int
    text: str


class OutputChunk(NamedTuple):
    """The lines of one output message, numbered and redacted. `id` is the message's: storing it twice stores it once."""

    id: str
    deployment: str
    first: int
    step: int | None
    at: int
    lines: tuple[str, ...]


class WorkerPlace(NamedTuple):
    """For which steps a worker process is there."""

    #: it takes the steps of this pool and no others; empty: those that name no pool
    pool: str = ""
    #: for people
    labels: Mapping[str, str] = MappingProxyType({})
    #: it takes the steps of these environments and no others; empty: it is bound to none
    environments: tuple[str, ...] = ()


class WorkerRecord(NamedTuple):
    """What one worker process said of itself last."""

    #: new at every start
    id: str
    slots: int
    #: `command:Subcommand` or `command:*` -> {parameters, summary, idempotent, retries, timeout}
    offers: Mapping[str, Mapping[str, Any]]
    #: attempts that it runs
    running: tuple[str, ...]
    seen: int
    #: number of this heartbeat, where a core sent it for its own sake; 0 of a worker
    beat: int = 0
    #: transport -> why the worker cannot reach its server, of those that it cannot reach
    degraded: Mapping[str, str] = MappingProxyType({})
    place: WorkerPlace = WorkerPlace()  # it is immutable
    #: name of the credential by which it has shown who it is; empty: it has shown nothing
    credential: str = ""
    #: why what it has shown does not count, so that it gets no step; empty: nothing is wrong
    fault: str = ""


class WorkerCredential(NamedTuple):
    """By what a worker shows who it is, and for which steps that counts. The private half is the worker's alone."""

    name: str
    #: public half of its key (Ed25519), in base64
    public: str
    #: commands whose steps it may have; empty: every one
    commands: tuple[str, ...]
    #: the pool whose steps it may have; empty: of those that name no pool
    pool: str
    #: environments whose steps and secrets it may have; empty: it is bound to none, and gets nothing of a protected one
    environments: tuple[str, ...]
    created: int
    #: the user that made it
    user: str
    #: since when it counts no more; None: it counts
    revoked: int | None = None


class SecretRow(NamedTuple):
    """One secret of the engine's store. Its value is sealed; with the store alone it opens nothing."""

    #: `GROUP/NAME` or `GROUP/ENVIRONMENT/NAME`
    name: str
    sealed: bytes
    #: from 1; one more with every new value and with every new seal
    version: int
    #: when its value was first set, and last
    created: int
    updated: int
    #: the user that set it last
    user: str


class DeadLetter(NamedTuple):
    """An undeliverable message, whole."""

    id: str
    #: the queue that it was taken from
    queue: str
    reason: str
    detail: str
    #: the program that rejected it
    by: str
    at: int
    body: bytes
    #: message_id, correlation_id, reply_to, app_id and headers of the original
    properties: Mapping[str, Any]


class Token(NamedTuple):
    """What authenticates a caller. The secret itself is never stored, only its digest."""

    #: SHA-256 of the secret, hexadecimal
    digest: str
    #: its owner's name
    user: str
    #: groups that it reaches; None reaches all
    groups: tuple[str, ...] | None
    #: may make and revoke tokens
    admin: bool
    created: int
    #: milliseconds since the epoch, from when on it opens nothing; None: never
    expires: int | None = None
    #: milliseconds since the epoch of its last use, give or take a minute; None: never
    used: int | None = None
    #: may send notifications
    notify: bool = False


class StoredHosts(NamedTuple):
    """What people say of hosts by the API, all of it."""

    #: grows by one with each change; 0: nothing was ever stored
    version: int = 0
    #: name -> what is said of it (re_core/inventory/stored.py)
    hosts: Mapping[str, Mapping[str, Any]] = {}


class Runner(NamedTuple):
    """A forest runner that was enrolled: who it is, and how a gateway saw it last."""

    #: what people call it; without the secret
    name: str
    #: SHA-256 of its secret, hexadecimal; the secret itself is never stored
    digest: str
    created: int
    #: the user that enrolled it
    user: str
    #: releases that it is given at once; more than 1 only where an operator says that it works in parallel
    parallel: int = 1
    #: since when it is refused; None: it is not
    revoked: int | None = None
    #: when a gateway heard from it last; None: never
    seen: int | None = None
    #: id of the gateway that it is connected to; empty: to none
    connected: str = ""
    #: address and port that it connected from last
    peer: str = ""
    #: what it can do: `organisation/name@version` each
    capabilities: tuple[str, ...] = ()
    #: releases that it executed, by its last heartbeat
    active: int = 0
    #: releases at once that it registered with; it may say 4 and work at one
    offered: int = 0


class Release(NamedTuple):
    """What gateways know of one attempt of a forest step, in one row that is replaced only as a whole."""

    #: of the attempt: `<deployment>/<step>/<attempt>`
    id: str
    #: from 1, raised by every save
    version: int
    #: id of the gateway that answers for it; empty: none does, any may take it
    owner: str
    #: waiting | assigned | running | ended | reported | over. ended: `end` is set, once; reported: the bus has the outcome;
    #: over: by the journal the attempt has ended or is not current
    status: str
    #: what another process needs to go on with the attempt (`Context.saved`)
    saved: bytes
    created: int
    #: name of the runner that it was given to, and `created` of that runner: a name can be enrolled again
    runner: str = ""
    runner_since: int = 0
    #: SHA-256 of its token, hexadecimal; empty while it is not assigned
    token: str = ""
    #: names of runners that handed it back
    excluded: tuple[str, ...] = ()
    #: when it was given to the runner, and when the first valid call with its token came
    assigned: int | None = None
    called: int | None = None
    #: from when on its token opens nothing, whatever the status says
    expires: int | None = None
    #: how it ended: {kind: completion | failed | lost | cancelled | refused, outcome: success | failure | "", text, plan, at}
    end: Mapping[str, Any] | None = None
    #: a completion that came after a cancel, in the same form: refused, but known
    late: Mapping[str, Any] | None = None
    #: what the calls of the runner are answered from: destination, project, artifact, mode
    document: Mapping[str, Any] = MappingProxyType({})

    @property
    def deployment(self) -> str:
        """Id of the deployment that the attempt belongs to."""
        return self.id.rsplit("/", 2)[0]


#: status of a release with which no gateway has anything left to do
OVER = "over"


class ArtifactFile(NamedTuple):
    """One file of an artifact."""

    category: str
    #: relative and normalised, below the category
    path: str
    #: bytes
    size: int
    #: SHA-256 of its bytes, hexadecimal
    digest: str
    #: its place in the bytes of the content
    offset: int


class ArtifactContent(NamedTuple):
    """The files of an artifact; artifacts with equal files share it."""

    #: SHA-256 of the canonical list of the files (re_core.artifacts.content), hexadecimal
    digest: str
    #: under which id the bytes are stored: that of the push that brought them
    holder: str
    #: `files`, or `archive`: one tar.gz that the engine does not open
    kind: str
    #: bytes of all files
    size: int
    files: tuple[ArtifactFile, ...]


class Artifact(NamedTuple):
    """A named, immutable set of files. Group and name are unique together."""

    #: of the push that made it; one that is pushed again after a deletion has another id
    id: str
    group: str
    name: str
    #: digest of its content
    digest: str
    kind: str
    size: int
    #: how many files
    files: int
    created: int
    #: the user that pushed it
    user: str
    #: what was said of it, in the words of re_core.artifacts.annotation; empty: nothing yet, and it can be said once
    annotation: Mapping[str, str] = MappingProxyType({})
    #: the last time that a step which names it began
    used: int | None = None
    #: raised by each use, so that a deletion that read it before does not succeed
    version: int = 1


class ArtifactUse(NamedTuple):
    """A deployment of which a step that names the artifact began."""

    #: id of the artifact
    artifact: str
    deployment: str
    #: the last time
    at: int


class PipelineRow(NamedTuple):
    """What is looked up of a pipeline before its journal is read. Its id, group, name and source never change."""

    id: str
    group: str
    name: str
    #: URL of its own cdpm.yml as written: what other pipelines know it by
    source: str
    #: from 1, raised by every save
    version: int
    #: the document that an operator stored
    document: Mapping[str, Any]
    #: ids of the playbooks that it starts
    playbooks: tuple[str, ...] = ()


class Position(NamedTuple):
    """How far a subscription of a pipeline was served."""

    #: id of the subscription
    id: str
    #: id of the pipeline that serves it
    pipeline: str
    #: number of the newest release that the subscriber has acknowledged, and when it was made, as its document says; 0: none
    delivered: int = 0
    delivered_at: str = ""
    #: the subscriber has acknowledged a release before, so one that is not acknowledged did not arrive
    acknowledges: bool = False
    #: (iat, jti) of the connections that it opened lately, oldest first
    opens: tuple[tuple[int, str], ...] = ()


class PipelineKey(NamedTuple):
    """One key pair of a pipeline. The private half is sealed; with the store alone it opens nothing."""

    pipeline: str
    #: the first 16 hexadecimal digits of SHA-256 of the public key's bytes
    kid: str
    #: as it stands in cdpm.yml: base64 of the DER
    public: str
    sealed: bytes
    created: int


class PeerFile(NamedTuple):
    """The newest cdpm.yml that was read from a URL."""

    url: str
    #: what the source knows these bytes by: ETag, or id of a commit; empty: nothing
    etag: str
    data: bytes
    #: when the source was last found to have these bytes
    read_at: int
    #: when the public key in it changed last, as this engine saw it
    changed_at: int


class AppRow(NamedTuple):
    """What is looked up of an app before its journal is read. Its id, name and group never change."""

    id: str
    name: str
    group: str
    #: from 1, raised by every save
    version: int
    #: names of the zones that it has, in their order
    zones: tuple[str, ...] = ()


class ConfigRow(NamedTuple):
    """The values of an app's config as they were set once. They are sealed; with the store alone they open nothing."""

    id: str
    #: id of the app
    app: str
    sealed: bytes
    created: int


class ZoneRow(NamedTuple):
    """What a zone reported last."""

    name: str
    #: when it was heard
    at: int
    #: random, of the zone's directory: another one means that it was made again
    id: str
    #: as re_dploy.wire reads it
    report: Mapping[str, Any]
    #: from 1, raised by every save
    version: int = 1


class LogLine(NamedTuple):
    """One line of an app's log."""

    #: when it was written
    at: int
    #: name of the zone
    zone: str
    #: type and number of the process: `web.1`
    ps: str
    #: who wrote it: `app`, or `dploy`
    source: str
    text: str
    #: its place in the log of the app, from 1; the store gives it
    number: int = 0


class LogCursor(NamedTuple):
    """How far the logs of one app were read from one zone."""

    #: id of the app
    app: str
    #: name of the zone
    zone: str
    #: `ZoneRow.id` of the zone that was read: places belong to its directory
    id: str
    #: instance -> generation of its log, and the offset behind which nothing was read
    places: Mapping[str, tuple[int, int]]
    #: from 1, raised by every save
    version: int = 1
