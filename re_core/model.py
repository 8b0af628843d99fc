"""What the engine talks about: statuses, steps, plans. Pure; must not know how any of it is stored or sent.

Times are integers, milliseconds since the epoch, unless a name says seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from re_core.deployment import quota

#: phase -> transport -> targets
Notices = Mapping[str, Mapping[str, tuple[str, ...]]]


class DeploymentStatus(StrEnum):
    """Where a deployment is in its life."""

    #: exists and survives a crash; no step has begun
    ACCEPTED = "accepted"
    #: a step has begun
    RUNNING = "running"
    #: a step is lost, and a person has to say what became of it
    WAITING = "waiting"
    #: somebody asked for an end; what runs is being stopped
    CANCELLING = "cancelling"
    #: every step and every action completed
    COMPLETED = "completed"
    #: a check, a step or an action did not complete
    FAILED = "failed"
    #: ended because somebody asked
    CANCELLED = "cancelled"


#: deployments that nothing can change any more
ENDED = frozenset({DeploymentStatus.COMPLETED, DeploymentStatus.FAILED, DeploymentStatus.CANCELLED})


class StepStatus(StrEnum):
    """Where one step of one deployment is."""

    #: its turn has not come
    PENDING = "pending"
    #: sent to its queue; no worker has said that it began
    DISPATCHED = "dispatched"
    #: a worker has begun (for a step that may not be repeated: was granted the begin)
    STARTED = "started"
    #: done
    COMPLETED = "completed"
    #: the worker says that it failed
    FAILED = "failed"
    #: it did not end, or was not begun, in its time
    TIMED_OUT = "timed_out"
    #: it may have begun, and who began it is gone: nobody knows whether it happened
    LOST = "lost"
    #: never begun, because the deployment stopped before
    SKIPPED = "skipped"
    #: stopped, or never begun, because the deployment was cancelled
    CANCELLED = "cancelled"


#: a step that waits for a worker's word
OPEN = frozenset({StepStatus.DISPATCHED, StepStatus.STARTED})


class OnLost(StrEnum):
    """What happens when a step that may not be repeated is lost."""

    #: it fails the deployment; whoever retries that has to decide about the step
    FAIL = "fail"
    #: the deployment waits until a person decides
    ASK = "ask"


class Ruling(StrEnum):
    """What a person says of a lost step."""

    #: it was carried out
    HAPPENED = "happened"
    #: it shall be carried out now, whatever became of it
    AGAIN = "again"
    #: it failed
    FAIL = "fail"


class StepKind(StrEnum):
    """Why a step is in the plan."""

    #: a PRE_DEPLOY_CHECK of the settings
    CHECK = "check"
    #: of a sequence's `preflight`
    PREFLIGHT = "preflight"
    #: of a sequence's `steps`
    STEP = "step"
    #: inserted before a step by a trigger of the settings
    TRIGGER = "trigger"
    #: a POST_DEPLOY_ACTION of the settings
    ACTION = "action"


class StepSpec(NamedTuple):
    """One step as its author wrote it, with the worker's defaults filled in. Shared by all hosts it runs on."""

    #: `command:Subcommand`, as the playbook names it
    name: str
    kind: StepKind
    #: the author's arguments; for a step with dynamic values the list of names stays in `dynamic`
    parameters: Mapping[str, Any]
    notify: Notices
    #: seconds from the step's start
    timeout: float
    #: a lost attempt may be repeated
    idempotent: bool
    #: how often a failed or lost attempt is repeated
    retries: int
    #: for people: the `name` beside a step's key, a check's NAME, a trigger's DESCRIPTION
    label: str = ""
    #: a check's: what its final reply must equal; None where any `completed` will do
    expectation: Any = None

    @property
    def command(self) -> str:
        return self.name.partition(":")[0]

    @property
    def subcommand(self) -> str:
        return self.name.partition(":")[2]

    @property
    def repeatable(self) -> bool:
        """Whether its author says that it may be begun more than once (design, Steps: what is promised)."""
        return self.idempotent or self.retries > 0


class PlannedStep(NamedTuple):
    """One step on one host: what one dispatch carries."""

    spec: StepSpec
    #: None for a check or an action
    host: str | None
    #: number of the sequence in the playbook, from 0; None outside one
    sequence: int | None


class Unit(NamedTuple):
    """A node of the plan's tree. `children` holds step numbers (0 and up) and units (their number, inverted: -1 is unit 0)."""

    #: all children at once, or one after the other
    parallel: bool
    children: tuple[int, ...]
    #: number of the unit above; -1 at a root
    parent: int
    #: place among the parent's children
    position: int


class Plan(NamedTuple):
    """Everything that a deployment will do, frozen at its acceptance. Steps are numbered in playbook order."""

    steps: tuple[PlannedStep, ...]
    units: tuple[Unit, ...]
    #: of each step: the unit that holds it, and its place there
    places: tuple[tuple[int, int], ...]
    #: number of the root unit of checks and sequences
    main: int
    #: number of the root unit of the actions
    actions: int
    #: number of the first action; the steps from here on are actions
    first_action: int
    #: seconds that a dispatched step may wait for a worker
    patience: float
    #: who hears of the deployment's own start and end
    notify: Notices
    #: what is done about a lost step that may not be repeated
    on_lost: OnLost = OnLost.FAIL
    #: descriptions of the sequences, by their number, for people; empty where none has one
    stages: tuple[str, ...] = ()
    #: bytes of output that one attempt of a step may have
    output_quota: int = quota.DEFAULT

    def first(self, unit: int) -> Iterator[int]:
        """The steps that begin when `unit` begins."""
        here = self.units[unit]
        for child in here.children if here.parallel else here.children[:1]:
            if child >= 0:
                yield child
            else:
                yield from self.first(~child)


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
    #: workers that have claimed a step which has not ended; None where an older engine wrote the row, and nobody can say
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
    #: who stored this revision
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
    #: who stored this revision
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


class DeadLetter(NamedTuple):
    """A message that nobody could use, whole."""

    id: str
    #: the queue that it was taken from
    queue: str
    reason: str
    detail: str
    #: who rejected it
    by: str
    at: int
    body: bytes
    #: message_id, correlation_id, reply_to, app_id and headers of the original
    properties: Mapping[str, Any]


class Token(NamedTuple):
    """Who may do what. The secret itself is never stored, only its digest."""

    #: SHA-256 of the secret, hexadecimal
    digest: str
    #: who it belongs to
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

    def reaches(self, group: str) -> bool:
        return self.groups is None or group in self.groups
