"""The documents of version 1 that the engine answers with. Must not know how they are made or read.

Times are RFC 3339 strings in UTC, null where it has not happened yet; durations are seconds; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

from re_core.api.fields import Component, Deprecated, Rules, Time, words
from re_core.deployment.plan import StepKind
from re_core.model import DeploymentStatus, StepStatus

Row = TypeVar("Row")

#: a status of a deployment
Status = Annotated[str, words(DeploymentStatus), Component("DeploymentStatus")]


class Page(TypedDict, Generic[Row]):
    """One page of a list."""

    items: list[Row]
    next: Annotated[str | None, "the `cursor` of the next page; null on the last one"]


# -- problems --------------------------------------------------------------------------------------


class Fault(TypedDict):
    """An error or a warning about a document."""

    path: Annotated[str, "the place, as a JSON pointer; empty: the whole document"]
    message: str
    line: NotRequired[Annotated[int, "line in YAML, from 1"]]
    column: NotRequired[Annotated[int | None, "column in YAML, from 1"]]


class Problem(TypedDict):
    """A refused request (RFC 9457). Other keys may be added to it."""

    type: Annotated[str, Rules(format="uri"), "the kind of problem, for programs"]
    title: Annotated[str, "the kind of problem, for people"]
    status: int
    detail: Annotated[str, "what is wrong, and the remedy"]
    request_id: Annotated[str, "id of the request in the logs"]
    errors: NotRequired[Annotated[list[Fault], "all errors of the body"]]
    id: NotRequired[Annotated[str, "id of the deployment that was requested; the core has not answered"]]
    deployment: NotRequired[Annotated[str, "the running deployment that blocks the request"]]


# -- deployments -----------------------------------------------------------------------------------


class Links(TypedDict):
    """Paths of a deployment's resources; `retry` and `resolve` are present while they are possible."""

    self: str
    journal: str
    output: str
    events: str
    cancel: str
    retry: NotRequired[str]
    resolve: NotRequired[str]
    decide: NotRequired[Annotated[str, Deprecated("resolve")]]


class Created(TypedDict):
    """A deployment was accepted."""

    id: str
    status: Literal["accepted"]
    links: Links
    warnings: Annotated[list[Fault], "dynamic values that no step uses"]


class Asked(TypedDict):
    """A cancellation, a retry or a resolution was accepted."""

    id: str
    links: Links


class ResultSize(TypedDict):
    """The size of a step's result, without its data."""

    size: Annotated[int, "bytes of its JSON"]
    digest: Annotated[str, "`sha256:` and the digest of its JSON"]
    cut: Annotated[bool, "whether the journal keeps only its beginning"]
    inline: Annotated[bool, "whether the deployment's document contains all of it, as `data`"]


class ResultLink(ResultSize):
    """The size of a step's result, and the path of all of it."""

    href: Annotated[str, "path of the outcomes of the step's attempts"]


class Result(TypedDict):
    """The outcome of one attempt of a step, with all of its data."""

    attempt: Annotated[int, "from 1"]
    said: Annotated[str, Rules(enum=[StepStatus.COMPLETED.value, StepStatus.FAILED.value]), "the outcome"]
    late: Annotated[bool, "whether it arrived after the step had ended, and has no effect"]
    at: Time
    message: str | None
    data: Any
    result: ResultSize | None


class StepPlace(TypedDict):
    """The place of a step in its plan."""

    number: Annotated[int, "from 0, in playbook order"]
    name: Annotated[str, "`command:Subcommand`"]
    kind: Annotated[str, words(StepKind)]
    host: str | None
    sequence: Annotated[int | None, "number of the stage, from 0; null for checks and actions"]
    label: Annotated[str, "its title; empty: none"]


class Step(StepPlace):
    """One step of one deployment, as it is now."""

    asks: Annotated[bool, "whether the step is lost and the deployment waits for its resolution"]
    status: Annotated[str, words(StepStatus)]
    attempt: Annotated[int, "number of the newest attempt, from 1; 0 before the first"]
    worker: Annotated[str | None, "id of the worker of the newest attempt"]
    dispatched: Time | None
    started: Time | None
    ended: Time | None
    message: Annotated[str | None, "the worker's message at the end of the step"]
    data: Annotated[Any, "its result; null if it is too large for this document: see `result`"]
    result: ResultLink | None


class Counts(TypedDict):
    """How many steps have completed."""

    completed: int
    total: int


class Deployment(TypedDict):
    """One deployment as it is now, read from its journal."""

    id: str
    status: Status
    group: str
    playbook_id: str
    playbook: Annotated[str, "name of the playbook"]
    revision: Annotated[int, "revision of the playbook, from 1"]
    exclusive: Annotated[bool, "whether only one deployment of the playbook may run at a time"]
    dynamic: Annotated[dict[str, Any], "its dynamic values; secrets are redacted, long values cut"]
    user: str
    source: Annotated[str, "address of the request that started it"]
    created: Time
    started: Time | None
    ended: Time | None
    duration: Annotated[float | None, "seconds from its creation to its end, or to now"]
    reason: Annotated[str, "the reason why it failed, waits or was cancelled; else empty"]
    retries: Annotated[int, "number of retries"]
    stages: Annotated[list[str], "titles of the stages, by their number; empty if no stage has one"]
    steps: list[Step]
    counts: Counts
    links: Links


class DeploymentRow(TypedDict):
    """One deployment in the list; at most one second old."""

    id: str
    status: Status
    group: str
    playbook_id: str
    playbook: Annotated[str, "name of the playbook"]
    revision: Annotated[int | None, "null: unknown, in a row that an older version wrote"]
    dynamic: Annotated[dict[str, Any] | None, "its dynamic values; null if they are too many or too long"]
    user: str
    created: Time
    ended: Time | None
    done: Annotated[int, "steps that completed"]
    total: Annotated[int, "steps of the plan"]
    step: Annotated[str, "the running step, or the step that failed"]
    reason: Annotated[str, "the reason why it failed, waits or was cancelled; else empty"]


class Entry(TypedDict):
    """One entry of a journal."""

    number: Annotated[int, "from 1"]
    v: Annotated[int, "format of the entry"]
    at: Time
    writer: Annotated[str, "id of the core that wrote it"]
    records: Annotated[
        list[dict[str, Any]], "what happened; `kind` is the kind of each record; secrets among `dynamic` are redacted"
    ]


class Line(TypedDict):
    """One line of output."""

    number: Annotated[int, "from 1, per deployment"]
    step: int | None
    host: str | None
    at: Time
    text: str


class Output(TypedDict):
    """One page of output."""

    lines: list[Line]
    next: Annotated[int | None, "the `after` of the next page; null on the last one"]


# -- playbooks -------------------------------------------------------------------------------------


class PlaybookRow(TypedDict):
    """One playbook in the list: its newest revision."""

    id: str
    group: str
    name: str
    revision: Annotated[int, "from 1"]
    created: Time
    updated: Time
    user: Annotated[str, "the user who stored this revision"]


class Revision(PlaybookRow):
    """One revision of a playbook, with its document."""

    document: Mapping[str, Any]


class Playbook(Revision):
    """One revision of a playbook."""

    warnings: NotRequired[Annotated[list[Fault], "only in the answer to a request that stored the playbook"]]


class Applied(Revision):
    """A playbook that was applied."""

    warnings: list[Fault]
    done: Annotated[str, "`created`, `updated` or `unchanged`"]


class Verdict(TypedDict):
    """The result of checking a playbook."""

    valid: bool
    errors: list[Fault]
    warnings: list[Fault]


class Change(TypedDict):
    """What a step would change, as far as its worker sees now."""

    will: Literal["yes", "no", "unknown"]
    diff: Annotated[str, "unified diff; empty: none"]
    why: Annotated[str, "for people; empty: nothing to say"]


class PlannedStep(StepPlace):
    """One step that would run."""

    parameters: Mapping[str, Any]
    timeout: Annotated[float, "seconds"]
    idempotent: Annotated[bool, "whether it may be rerun when its outcome is unknown"]
    retries: Annotated[int, "further attempts after a failure"]
    pool: Annotated[str | None, "the pool whose workers take it; null: those of none"]
    environment: Annotated[str | None, "its environment; null: none"]


class DynamicNames(TypedDict):
    """Names of the dynamic values of a plan."""

    required: list[str]
    missing: Annotated[list[str], "the names that the request does not supply"]


class StageHosts(TypedDict):
    """What the list of hosts of a stage means by the inventory."""

    sequence: Annotated[int, "number of the stage, from 0"]
    patterns: Annotated[list[str], "the list as the playbook has it"]
    names: Annotated[list[str], "the hosts, in the order in which the stage reaches them"]


class Plan(TypedDict):
    """The steps that a deployment would run, in order."""

    stages: Annotated[list[str], "titles of the stages, by their number; empty if no stage has one"]
    steps: list[PlannedStep]
    dynamic: DynamicNames
    hosts: NotRequired[Annotated[list[StageHosts], "of the stages whose lists have patterns"]]
    changes: NotRequired[Annotated[list[Change], "with `look=true`: of each step, in their order"]]
    warnings: list[Fault]


class Group(TypedDict):
    """A group that owns playbooks."""

    name: str
    count: Annotated[int, "playbooks"]


# -- the engine ------------------------------------------------------------------------------------


class Worker(TypedDict):
    """A worker that is alive."""

    id: str
    slots: Annotated[int, "number of steps that it can run at once"]
    busy: Annotated[int, "number of steps that it runs now"]
    offers: Annotated[
        Mapping[str, Any],
        "by name `command:Subcommand`: timeout, schema of the parameters, and the values that it accepts now",
    ]
    running: Annotated[list[str], "deployments whose steps it runs; empty for a token without access to all groups"]
    seen: Annotated[Time, "time of its last heartbeat"]
    pool: Annotated[str | None, "the pool whose steps it takes; null: steps that name no pool"]
    labels: Annotated[dict[str, str], "what its operator says of it"]
    environments: Annotated[list[str], "the environments that it is bound to; empty: none"]
    credential: Annotated[str | None, "name of the credential by which it has shown who it is; null: it has shown none"]
    fault: Annotated[str, "why what it has shown does not count, so that it gets no steps; empty: nothing is wrong"]


class DeadLetterRow(TypedDict):
    """An undeliverable message in the list."""

    id: str
    queue: Annotated[str, "the queue that it was in"]
    reason: Annotated[str, "the kind of failure, for programs"]
    detail: Annotated[str, "the failure, for people"]
    by: Annotated[str, "the program that refused it"]
    at: Time
    size: Annotated[int, "bytes of its body"]


class DeadLetter(DeadLetterRow):
    """An undeliverable message, complete."""

    properties: Annotated[dict[str, Any], "its AMQP properties"]
    text: Annotated[str | None, "its body; null if it is not UTF-8"]
    body: Annotated[str, "its body in base64"]


class Replayed(TypedDict):
    """A dead letter was sent again."""

    id: str
    queue: str


class Token(TypedDict):
    """A token, without its secret."""

    id: Annotated[str, "the beginning of its digest"]
    user: str
    groups: Annotated[list[str] | None, "the groups that it may access; null: all"]
    admin: Annotated[bool, "whether it may create and revoke tokens"]
    notify: Annotated[bool, "whether it may send notifications"]
    created: Time
    expires: Annotated[Time | None, "null: it does not expire"]
    used: Annotated[Time | None, "its last use; null before the first"]


class NewToken(Token):
    """A token that was just created."""

    token: Annotated[str, "the secret; no other answer contains it"]


#: what a runner is for the engine now
RunnerState = Literal["new", "connected", "away", "revoked"]


class Runner(TypedDict):
    """A forest runner that was enrolled, without its secret."""

    name: str
    state: Annotated[
        RunnerState, "`new`: it never connected; `away`: no gateway has received a heartbeat of it for 90 s, or it left"
    ]
    types: Annotated[list[str], "the types of destinations that it serves, each `organisation/name@version`"]
    parallel: Annotated[int, "number of releases that it is given at once"]
    active: Annotated[int, "number of releases that it executes, by its last heartbeat; 0 if it is not connected"]
    offered: Annotated[int, "number of releases at once that it says it takes"]
    gateway: Annotated[str | None, "id of the gateway that it is connected to; null: none"]
    seen: Annotated[Time | None, "time of its last heartbeat; null before the first"]
    peer: Annotated[str, "address that it connected from last; empty for a token without access to all groups"]
    created: Time
    user: Annotated[str, "the user that enrolled it; empty for a token without access to all groups"]
    revoked: Annotated[Time | None, "null: it is not revoked"]


class NewRunner(Runner):
    """A runner that was just enrolled."""

    id: Annotated[str, "what the runner connects with: its name, a dot and its secret; no other answer contains it"]


class Secret(TypedDict):
    """A secret of the engine's store, without its value."""

    name: Annotated[str, "`GROUP/NAME` or `GROUP/ENVIRONMENT/NAME`"]
    group: Annotated[str, "the group whose steps may use it"]
    environment: Annotated[str | None, "the environment that it belongs to; null: every one"]
    version: Annotated[int, "number of times that it was set or sealed again"]
    created: Time
    updated: Annotated[Time, "when its value was set last"]
    user: Annotated[str, "the user that set it last"]


class Rotated(TypedDict):
    """Secrets were sealed again."""

    sealed: Annotated[int, "number of secrets that are now sealed with the first key"]


class Alive(TypedDict):
    """The process runs."""

    status: Literal["alive"]


class Ready(TypedDict):
    """Whether the process can work."""

    status: Literal["ready", "not ready"]
    checks: Annotated[dict[str, str], "for each part `ok`, or what is wrong with it"]
    degraded: NotRequired[
        Annotated[dict[str, str], "parts that are away but not required, and what is wrong with them"]
    ]


#: names of components of OpenAPI, and what they are; what these refer to is a component of its own name
COMPONENTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Problem, Created, Asked, Deployment, Output, Playbook, Applied, Verdict, Plan)},
    **{kind.__name__: kind for kind in (DeadLetter, Replayed, NewToken, NewRunner, Rotated, Secret, Alive, Ready)},
    "Deployments": Page[DeploymentRow],
    "Results": Page[Result],
    "Journal": Page[Entry],
    "Playbooks": Page[PlaybookRow],
    "Groups": Page[Group],
    "Workers": Page[Worker],
    "DeadLetters": Page[DeadLetterRow],
    "Tokens": Page[Token],
    "Runners": Page[Runner],
    "Secrets": Page[Secret],
    "Runner": Runner,
    "Names": Page[str],
    "Object": dict[str, Any],
}

#: documents to which a later version may add keys
EXTENSIBLE: frozenset[Any] = frozenset({Problem})
