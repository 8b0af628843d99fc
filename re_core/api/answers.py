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
    """One thing that is wrong, or doubtful, in a document."""

    path: Annotated[str, "where, as a JSON pointer; empty for the whole document"]
    message: str
    line: NotRequired[Annotated[int, "in YAML, from 1"]]
    column: NotRequired[Annotated[int | None, "in YAML, from 1"]]


class Problem(TypedDict):
    """A refused request (RFC 9457). Other keys may be added to it."""

    type: Annotated[str, Rules(format="uri"), "the kind of problem, for programs"]
    title: Annotated[str, "the kind of problem, for people"]
    status: int
    detail: Annotated[str, "what is wrong, and what to do"]
    request_id: Annotated[str, "the request, as the logs name it"]
    errors: NotRequired[Annotated[list[Fault], "all that is wrong with a body"]]
    id: NotRequired[Annotated[str, "the id that was made for a deployment of which the engine has not answered"]]
    deployment: NotRequired[Annotated[str, "the deployment that stands in the way"]]


# -- deployments -----------------------------------------------------------------------------------


class Links(TypedDict):
    """Paths of what belongs to a deployment; `retry` and `resolve` are there while they are possible."""

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
    warnings: Annotated[list[Fault], "parameters that no step asks for"]


class Asked(TypedDict):
    """A cancellation, a retry or a resolution was accepted."""

    id: str
    links: Links


class ResultSize(TypedDict):
    """What is known of a step's result without its data."""

    size: Annotated[int, "bytes of its JSON"]
    digest: Annotated[str, "`sha256:` and the digest of its JSON"]
    cut: Annotated[bool, "whether the journal has only its beginning"]
    inline: Annotated[bool, "whether the deployment's document has all of it as `data`"]


class ResultLink(ResultSize):
    """The same, and where all of it is."""

    href: Annotated[str, "path of the results of the step's attempts"]


class Result(TypedDict):
    """How one attempt of a step ended, with all of its data."""

    attempt: Annotated[int, "from 1"]
    said: Annotated[str, Rules(enum=[StepStatus.COMPLETED.value, StepStatus.FAILED.value]), "how it ended"]
    late: Annotated[bool, "whether it came after the step had ended, and counts for nothing"]
    at: Time
    message: str | None
    data: Any
    result: ResultSize | None


class StepPlace(TypedDict):
    """Where a step stands in its plan."""

    number: Annotated[int, "from 0, in playbook order"]
    name: Annotated[str, "`command:Subcommand`"]
    kind: Annotated[str, words(StepKind)]
    host: str | None
    sequence: Annotated[int | None, "number of the stage, from 0; null outside of all stages"]
    label: Annotated[str, "its title; empty where it has none"]


class Step(StepPlace):
    """One step of one deployment, as it is now."""

    asks: Annotated[bool, "whether it is lost, and the deployment waits for its resolution"]
    status: Annotated[str, words(StepStatus)]
    attempt: Annotated[int, "from 1; 0 before the first"]
    worker: Annotated[str | None, "id of the worker that has it or had it last"]
    dispatched: Time | None
    started: Time | None
    ended: Time | None
    message: Annotated[str | None, "what the worker reported at its end"]
    data: Annotated[Any, "its result; null where it is too large for this document: see `result`"]
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
    exclusive: Annotated[bool, "whether no other deployment of the playbook may run beside it"]
    dynamic: Annotated[dict[str, Any], "its parameters, without secrets, long ones cut"]
    user: str
    source: Annotated[str, "address of the request that started it"]
    created: Time
    started: Time | None
    ended: Time | None
    duration: Annotated[float | None, "seconds from its creation to its end, or to now"]
    reason: Annotated[str, "why it failed, waits or was cancelled; empty otherwise"]
    retries: Annotated[int, "how often it was retried"]
    stages: Annotated[list[str], "descriptions of the stages, by their number; empty where none has one"]
    steps: list[Step]
    counts: Counts
    links: Links


class DeploymentRow(TypedDict):
    """One deployment in the list; at most one second late."""

    id: str
    status: Status
    group: str
    playbook_id: str
    playbook: Annotated[str, "name of the playbook"]
    revision: Annotated[int | None, "null where the row does not say"]
    dynamic: Annotated[dict[str, Any] | None, "its parameters; null where they are many or long"]
    user: str
    created: Time
    ended: Time | None
    done: Annotated[int, "steps that completed"]
    total: Annotated[int, "steps of the plan"]
    step: Annotated[str, "the step that runs, or the one that failed"]
    reason: Annotated[str, "why it failed, waits or was cancelled; empty otherwise"]


class Entry(TypedDict):
    """One entry of a journal."""

    number: Annotated[int, "from 1"]
    v: Annotated[int, "format of the entry"]
    at: Time
    writer: Annotated[str, "id of the core that wrote it"]
    records: Annotated[
        list[dict[str, Any]], "what happened; `kind` says of each what it is; secrets among `dynamic` are redacted"
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
    user: Annotated[str, "who stored this revision"]


class Revision(PlaybookRow):
    """One revision of a playbook, with its document."""

    document: Mapping[str, Any]


class Playbook(Revision):
    """One revision of a playbook."""

    warnings: NotRequired[Annotated[list[Fault], "in the answer to a request that stored it"]]


class Applied(Revision):
    """A playbook that was applied."""

    warnings: list[Fault]
    done: Annotated[str, "`created`, `updated` or `unchanged`"]


class Verdict(TypedDict):
    """The result of checking a playbook."""

    valid: bool
    errors: list[Fault]
    warnings: list[Fault]


class PlannedStep(StepPlace):
    """One step that would run."""

    parameters: Mapping[str, Any]
    timeout: Annotated[float, "seconds"]
    idempotent: Annotated[bool, "whether it may be rerun when its outcome is unknown"]
    retries: Annotated[int, "further attempts after a failure"]


class DynamicNames(TypedDict):
    """Names of the parameters of a plan."""

    required: list[str]
    missing: Annotated[list[str], "those that the request lacks"]


class Plan(TypedDict):
    """What a deployment would run, in order."""

    stages: Annotated[list[str], "descriptions of the stages, by their number; empty where none has one"]
    steps: list[PlannedStep]
    dynamic: DynamicNames
    warnings: list[Fault]


class Group(TypedDict):
    """A group that owns playbooks."""

    name: str
    count: Annotated[int, "playbooks"]


# -- the engine ------------------------------------------------------------------------------------


class Worker(TypedDict):
    """A worker that is alive."""

    id: str
    slots: Annotated[int, "steps that it runs at once"]
    busy: Annotated[int, "steps that it runs now"]
    offers: Annotated[
        Mapping[str, Any], "`command:Subcommand` and what is known of it: its timeout, the schema of its parameters"
    ]
    running: Annotated[list[str], "deployments that it works for; empty for a token that does not reach all groups"]
    seen: Annotated[Time, "its last heartbeat"]


class DeadLetterRow(TypedDict):
    """An undeliverable message in the list."""

    id: str
    queue: Annotated[str, "where it was"]
    reason: Annotated[str, "the kind of failure, for programs"]
    detail: Annotated[str, "what was wrong with it, for people"]
    by: Annotated[str, "the program that refused it"]
    at: Time
    size: Annotated[int, "bytes of its body"]


class DeadLetter(DeadLetterRow):
    """An undeliverable message, whole."""

    properties: Annotated[dict[str, Any], "its AMQP properties"]
    text: Annotated[str | None, "its body; null where it is not UTF-8"]
    body: Annotated[str, "its body in base64"]


class Replayed(TypedDict):
    """A dead letter was sent again."""

    id: str
    queue: str


class Sent(TypedDict):
    """A notification was sent."""

    id: str


class Token(TypedDict):
    """A token, without its secret."""

    id: Annotated[str, "the beginning of its digest"]
    user: str
    groups: Annotated[list[str] | None, "the groups that it reaches; null for all"]
    admin: Annotated[bool, "whether it may make tokens"]
    notify: Annotated[bool, "whether it may send notifications"]
    created: Time
    expires: Annotated[Time | None, "null: never"]
    used: Annotated[Time | None, "its last use; null before the first"]


class NewToken(Token):
    """A token that was just made."""

    token: Annotated[str, "the secret; this is the only answer that has it"]


class Alive(TypedDict):
    """The process runs."""

    status: Literal["alive"]


class Ready(TypedDict):
    """Whether the process can work."""

    status: Literal["ready", "not ready"]
    checks: Annotated[dict[str, str], "each part, and `ok` or what is wrong with it"]
    degraded: NotRequired[Annotated[dict[str, str], "parts without which it works on, and what is wrong with them"]]


#: names of components of OpenAPI, and what they are; what these refer to is a component of its own name
COMPONENTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Problem, Created, Asked, Deployment, Output, Playbook, Applied, Verdict, Plan)},
    **{kind.__name__: kind for kind in (DeadLetter, Replayed, Sent, NewToken, Alive, Ready)},
    "Deployments": Page[DeploymentRow],
    "Results": Page[Result],
    "Journal": Page[Entry],
    "Playbooks": Page[PlaybookRow],
    "Groups": Page[Group],
    "Workers": Page[Worker],
    "DeadLetters": Page[DeadLetterRow],
    "Tokens": Page[Token],
    "Names": Page[str],
    "Object": dict[str, Any],
}

#: documents to which a later version may add keys
EXTENSIBLE: frozenset[Any] = frozenset({Problem})
