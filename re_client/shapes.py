"""The documents that the API answers with, as the client reads them. Must not know how they travel.

Times are RFC 3339 strings in UTC, durations seconds; None where it has not happened yet.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NotRequired, TypedDict


class Size(TypedDict):
    """What is known of a result: bytes of its JSON, whether the journal has only its beginning, whether a status has it whole."""

    size: int
    digest: str
    cut: bool
    inline: bool


class Result(Size):
    """The same, and where all of it is."""

    href: str


class Said(TypedDict):
    """What one attempt of a step said at its end, with all of its data; late words count for nothing."""

    attempt: int
    said: str
    late: bool
    at: str
    message: str | None
    data: Any
    result: Size | None


class Step(TypedDict):
    """One step of one deployment. `number` counts from 0 in playbook order."""

    number: int
    name: str
    kind: str
    host: str | None
    sequence: int | None
    label: str
    #: it is lost, and the deployment waits for a person's word about it
    asks: bool
    status: str
    attempt: int
    worker: str | None
    dispatched: str | None
    started: str | None
    ended: str | None
    message: str | None
    #: None where it is too large for this document: see `result`
    data: Any
    result: NotRequired[Result | None]


class Counts(TypedDict):
    """How many steps completed, of how many."""

    completed: int
    total: int


class Deployment(TypedDict):
    """One deployment, whole, from its journal."""

    id: str
    status: str
    group: str
    playbook_id: str
    playbook: str
    revision: int
    exclusive: bool
    #: the values that its caller supplied, without secrets, long ones cut
    dynamic: dict[str, Any]
    user: str
    source: str
    created: str
    started: str | None
    ended: str | None
    duration: float | None
    reason: str
    #: how often it was retried
    retries: int
    #: descriptions of the sequences, by their number; empty where none has one
    stages: list[str]
    steps: list[Step]
    counts: Counts
    links: dict[str, str]


class DeploymentRow(TypedDict):
    """One row of the list of deployments."""

    id: str
    status: str
    group: str
    playbook_id: str
    playbook: str
    #: None where the row does not say
    revision: int | None
    #: the values that the caller supplied; None where they are many or long
    dynamic: dict[str, Any] | None
    user: str
    created: str
    ended: str | None
    done: int
    total: int
    step: str
    reason: str


class Started(TypedDict):
    """The answer to a POST of a deployment."""

    id: str
    status: str
    links: dict[str, str]
    #: of values that no step asks for; an older engine tells none
    warnings: NotRequired[list[Finding]]


class Line(TypedDict):
    """One line of output; numbered from 1 per deployment."""

    number: int
    step: int | None
    host: str | None
    at: str
    text: str


class PlaybookRow(TypedDict):
    """One playbook of the list: its newest revision."""

    id: str
    group: str
    name: str
    revision: int
    created: str
    updated: str
    user: str


class Playbook(PlaybookRow):
    """One revision of a playbook, with its document."""

    document: dict[str, Any]


class Applied(Playbook):
    """A playbook that was applied."""

    #: `created`, `updated` or `unchanged`
    done: str


class Finding(TypedDict):
    """One thing that is wrong, or doubtful, in a document."""

    path: str
    message: str
    line: int | None
    column: int | None


class Validation(TypedDict):
    """What the engine thinks of a playbook."""

    valid: bool
    errors: list[Finding]
    warnings: list[Finding]


class PlannedStep(TypedDict):
    """One step that would run."""

    number: int
    name: str
    kind: str
    host: str | None
    sequence: int | None
    label: str
    parameters: dict[str, Any]
    timeout: float
    idempotent: bool
    retries: int


class DynamicNames(TypedDict):
    """Names of the dynamic values that a playbook needs, and those that the request lacks."""

    required: list[str]
    missing: list[str]


class Plan(TypedDict):
    """What exactly would run, in order."""

    #: descriptions of the sequences, by their number; empty where none has one
    stages: list[str]
    steps: list[PlannedStep]
    dynamic: DynamicNames
    warnings: list[Any]


class DeadLetter(TypedDict, total=False):
    """A message that nobody could use; the list leaves the body out."""

    id: str
    queue: str
    reason: str
    detail: str
    by: str
    at: str
    size: int
    properties: dict[str, Any]
    #: None where the bytes are no text
    text: str | None
    #: the bytes as base64
    body: str


class TokenRow(TypedDict):
    """A token, without its secret. `groups` is None where it reaches all, `expires` where it never does, `used` before its use."""

    id: str
    user: str
    groups: list[str] | None
    admin: bool
    created: str
    notify: NotRequired[bool]
    expires: NotRequired[str | None]
    used: NotRequired[str | None]


class NewToken(TokenRow):
    """A token that was just made: the only time that its secret is shown."""

    token: str


# -- what a watched deployment tells ---------------------------------------------------------------


class StateEvent(NamedTuple):
    """The deployment changed; this is all of it as it is now."""

    document: Deployment


class OutputEvent(NamedTuple):
    """A step printed a line."""

    line: Line


class GapEvent(NamedTuple):
    """The connection is lost; it is being tried again. Nothing is lost."""

    why: str


class SkippedEvent(NamedTuple):
    """More was printed than a watcher hears: lines from `first` to `last` are left out here, and kept by the engine."""

    first: int
    last: int


Event = StateEvent | OutputEvent | GapEvent | SkippedEvent
