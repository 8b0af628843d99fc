"""The documents of pipeline nodes, as HTTP has them. Must not know how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from re_core.api.answers import Page
from re_core.api.fields import Flag, Time, words
from re_core.cdpm.values import ReleaseStatus

ReleaseState = Annotated[str, words(ReleaseStatus)]
#: how a node is
NodeState = Literal["registering", "waiting", "ready", "removed"]


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
        "or has another key",
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


# -- requests --------------------------------------------------------------------------------------


class RotateRequest(TypedDict):
    """Another key pair."""

    another: NotRequired[Annotated[Flag, "also where a new key waits for its commit already"]]


#: names of components of OpenAPI, and what they are
COMPONENTS: dict[str, Any] = {
    **{kind.__name__: kind for kind in (PipelineNode, NodeKey)},
    "Nodes": Page[NodeRow],
}

REQUESTS: dict[str, Any] = {kind.__name__: kind for kind in (RotateRequest,)}
