"""The documents of pipeline nodes, as HTTP has them. Must not know how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from re_core.api.answers import Fault, Page
from re_core.api.fields import MAX_TEXT, Expected, Flag, Name, Rules, Time, words
from re_core.cdpm.values import DependentStatus, JobStatus, ReleaseStatus, Stability

ReleaseState = Annotated[str, words(ReleaseStatus)]
DependentState = Annotated[str, words(DependentStatus)]
JobState = Annotated[str, words(JobStatus)]
StabilityState = Annotated[str, words(Stability)]
#: how a node is
NodeState = Literal["registering", "waiting", "ready", "removed", "unreadable"]


class NodeRow(TypedDict):
    """A pipeline node."""

    id: str
    group: str
    name: str
    source: Annotated[str, "URL of its own cdpm.yml: what its peers know it by"]
    version: Annotated[int, "of its document, from 1"]
    state: Annotated[
        NodeState,
        "`registering`: the engine has not confirmed the document yet, apply it again; `waiting`: its cdpm.yml was not read yet, "
        "or has another key; `unreadable`: its journal cannot be read, the log of the engine says why (only in lists)",
    ]
    dependencies: Annotated[int, "number of nodes whose releases it builds, by its cdpm.yml"]
    joined: Annotated[int, "number of those that it is subscribed to"]
    dependents: Annotated[int, "number of subscriptions of others"]
    release: Annotated[int | None, "number of its newest release; null: none"]
    release_state: Annotated[ReleaseState | None, "of that release"]


class NodeKey(TypedDict):
    """A key pair of a node; the private half never leaves the engine."""

    kid: Annotated[str, "the first 16 digits of SHA-256 of the public key"]
    public_key: Annotated[str, "base64 of the DER, for `public-key` in cdpm.yml"]
    created: Time


class CandidateRow(TypedDict):
    """A deployment of the release playbook that goes on."""

    deployment: str
    state: ReleaseState
    since: Time


class PipelineNode(NodeRow):
    """A pipeline node, with its document."""

    created: Annotated[Time | None, "null before the engine has confirmed it"]
    removed: Annotated[Time | None, "null: it is not removed"]
    document: Annotated[Mapping[str, Any], "as in the JSON Schema `cdpm-node`"]
    keys: Annotated[list[NodeKey], "oldest first; it signs with the one that stands in its cdpm.yml"]
    candidates: list[CandidateRow]
    barred: Annotated[list[str], "URLs of the nodes that may not subscribe"]


class DependencyLink(TypedDict):
    """How a node stands to one of its dependencies."""

    name: str
    url: Annotated[str, "of its cdpm.yml"]
    state: DependentState
    subscription: str | None
    ref: Annotated[str | None, "the ref whose releases it sends, if it says"]
    since: Time | None
    left: Annotated[bool, "an operator has unsubscribed from it"]
    why: Annotated[str, "why it is not subscribed to; empty: nothing is known"]
    stability: Annotated[StabilityState, "by the newest vote of this node"]
    trial: Annotated[str | None, "the deployment that builds its release now"]
    waiting: Annotated[int, "number of received releases that wait for their build"]
    votes: Annotated[int, "number of votes that it has not answered"]


class DependentLink(TypedDict):
    """A node that subscribes, or may."""

    name: str
    url: Annotated[str, "of its cdpm.yml"]
    subscription: Annotated[str | None, "null: it has none"]
    ref_type: str | None
    ref: str | None
    since: Time | None
    major: Annotated[bool, "its votes on the next release count"]
    barred: Annotated[bool, "an operator has barred it"]
    connected: Annotated[Time | None, "when it connected last; null: never"]
    delivered: Annotated[int | None, "number of the newest release that it has acknowledged"]
    behind: Annotated[int, "number of releases that it has not acknowledged, of the newest 100"]


class NodeSubscriptions(TypedDict):
    """The subscriptions of a node, in both directions."""

    dependencies: list[DependencyLink]
    dependents: list[DependentLink]


class ReleaseRow(TypedDict):
    """A release of a node."""

    release: Annotated[int, "its number, from 1"]
    state: ReleaseState
    undecided: Annotated[bool, "the time for votes is over, and they did not suffice"]
    version: str
    ref: str
    created: Time
    deployment: Annotated[str | None, "the deployment that made it; null: an operator published it"]
    majors: Annotated[int, "number of nodes whose votes count; fixed when it was made"]
    stable: Annotated[int, "number of votes `stable` that count"]
    unstable: Annotated[int, "number of votes `unstable` that count"]
    deadline: Annotated[Time | None, "until when votes count; null: for ever"]


class Voter(TypedDict):
    """A node whose vote counts."""

    subscription: str
    name: Annotated[str, "empty: it has unsubscribed since"]
    url: str


class ReleaseVote(Voter):
    """A vote on a release."""

    value: Literal["stable", "unstable"]
    counts: Annotated[bool, "false: it came too late"]
    deployment: Annotated[str, "of the voter's engine: where its tests ran"]
    voted: Time


class ReleaseRule(TypedDict):
    """When votes decide, as the node's document says now."""

    promote: Annotated[int | str | None, "votes `stable` that promote a release; null: none do"]
    demote: Annotated[int | str | None, "votes `unstable` that demote a release; null: none do"]
    within: Annotated[str | None, "for how long votes count; null: for ever"]


class JobRow(TypedDict):
    """A deployment that a node asks for."""

    deployment: Annotated[str, "its id, which it has if it starts"]
    state: JobState
    status: Annotated[str | None, "how the deployment ended; null: it has not"]
    why: Annotated[str, "why it was refused, or has to wait"]
    asked: Time


class Reaction(JobRow):
    """A deployment that follows a verdict."""

    verdict: Literal["promoted", "demoted", "undecided"]


class WholeRelease(ReleaseRow):
    """A release of a node, with its votes."""

    votes: list[ReleaseVote]
    missing: Annotated[list[Voter], "nodes whose votes count and that have not voted"]
    rule: ReleaseRule
    reactions: list[Reaction]
    document: Annotated[Mapping[str, Any], "the message `new release`, as its dependents receive it"]


class Trial(JobRow):
    """The build of a received release, and the vote that it became."""

    dependency: Annotated[str, "the name in cdpm.yml"]
    url: str
    release: Annotated[int | str, "its id at the dependency"]
    created: Annotated[str, "when it was made, as the dependency says"]
    major: Annotated[bool, "the dependency counts this node's vote"]
    vote: Annotated[Literal["stable", "unstable"] | None, "null: none was sent"]
    answer: Annotated[str | None, "what the dependency answered to the vote: a status, or why it refuses it"]


class ReceivedRelease(TypedDict):
    """A release of a dependency."""

    dependency: Annotated[str, "the name in cdpm.yml"]
    release: Annotated[int | str, "its id at the dependency"]
    created: Annotated[str, "when it was made, as the dependency says"]
    version: str
    ref: str
    major: Annotated[bool, "the dependency counts this node's vote"]
    received: Time
    skipped: Annotated[str, "why it is not built; empty: it is, or waits for that"]


class PeerVerdict(TypedDict):
    """Whether a peer's cdpm.yml can be read by this engine."""

    section: Literal["Dependencies", "Dependents"]
    name: str
    url: str
    ok: bool
    detail: Annotated[str, "id of its key, or what is wrong"]


class FileVerdict(TypedDict):
    """The result of checking a cdpm.yml."""

    valid: bool
    errors: list[Fault]
    peers: Annotated[list[PeerVerdict], "with `remote`: each peer's file"]


# -- requests --------------------------------------------------------------------------------------


class DependencyRequest(TypedDict):
    """A dependency, by its name in cdpm.yml."""

    dependency: Name


class BarRequest(TypedDict):
    """End the subscriptions of a node, and refuse its next ones."""

    url: Annotated[Name, "of its cdpm.yml"]
    barred: NotRequired[Annotated[Flag, "false: it may subscribe again"]]


class PublishRequest(TypedDict):
    """A release that no deployment made."""

    dynamic: NotRequired[
        Annotated[
            dict[str, Any],
            Expected("an object"),
            "strings, as the dynamic values of a deployment of the release playbook: `version`, `ref`, `commit`, …",
        ]
    ]


class RotateRequest(TypedDict):
    """Another key pair."""

    another: NotRequired[Annotated[Flag, "also where a new key waits for its commit already"]]


class FileRequest(TypedDict):
    """A cdpm.yml to check."""

    text: Annotated[str, Rules(maxLength=64 * 1024 + MAX_TEXT), Expected("the text of the file")]
    remote: NotRequired[Annotated[Flag, "also read the file of each peer"]]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (PipelineNode, NodeKey, NodeSubscriptions, WholeRelease, FileVerdict)},
    "Nodes": Page[NodeRow],
    "Releases": Page[ReleaseRow],
    "Trials": Page[Trial],
    "ReceivedReleases": Page[ReceivedRelease],
}

REQUESTS: dict[str, Any] = {
    kind.__name__: kind for kind in (DependencyRequest, BarRequest, PublishRequest, RotateRequest, FileRequest)
}
