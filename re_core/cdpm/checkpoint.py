"""A whole state as a document, and back. Pure; must not know when one is taken.

The form has a version of its own. Of a newer one this engine cannot go on; an older one is not read, and the checkpoint before,
at last the journal from its first entry, is taken instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.cdpm.ids import ReleaseKey
from re_core.cdpm.node_document import read_node
from re_core.cdpm.state import State
from re_core.cdpm.values import (
    Candidate,
    CastVote,
    Dependency,
    DependentStatus,
    Job,
    JobStatus,
    Pending,
    Release,
    ReleaseStatus,
    Stability,
    Subscription,
    Vote,
)
from re_core.errors import NewerFormat

#: of the form
VERSION = 1

#: attributes that JSON says as they are
_PLAIN = (
    "ended",
    "registered",
    "group",
    "name",
    "source",
    "configured",
    "document",
    "playbooks",
    "release_since",
    "digest",
    "publishing",
    "last",
)
_MAPS = ("dependents", "handled", "messages")
_LISTS = ("majors", "barred")


def to_document(state: State) -> dict[str, Any]:
    """All of it but its key and the number of its entry, as JSON can say it. Shares no part that changes."""
    return {
        "v": VERSION,
        **{name: getattr(state, name) for name in _PLAIN},
        **{name: dict(getattr(state, name)) for name in _MAPS},
        **{name: list(getattr(state, name)) for name in _LISTS},
        "subscriptions": [list(one) for one in state.subscriptions.values()],
        "dependencies": [_fields(one) for one in state.dependencies.values()],
        "jobs": [_fields(one) for one in state.jobs.values()],
        "candidates": [_fields(one) for one in state.candidates.values()],
        "releases": [_fields(one) for one in state.releases.values()],
    }


def from_document(key: str, document: Mapping[str, Any]) -> State | None:
    """The state; None for an older form. Raises NewerFormat."""
    if document["v"] > VERSION:
        raise NewerFormat(f"a checkpoint of {key} has form {document['v']!r}, this engine reads {VERSION}; upgrade it")
    if document["v"] < VERSION:
        return None
    state = State(key)
    for name in _PLAIN:
        setattr(state, name, document[name])
    for name in _MAPS:
        setattr(state, name, dict(document[name]))
    for name in _LISTS:
        setattr(state, name, tuple(document[name]))
    state.node = read_node(state.document, state.playbooks)
    state.subscriptions = {one[0]: Subscription(*one) for one in document["subscriptions"]}
    state.dependencies = {one["name"]: _dependency(one) for one in document["dependencies"]}
    state.jobs = {one["id"]: Job(**{**one, "status": JobStatus(one["status"])}) for one in document["jobs"]}
    state.candidates = {
        one["deployment"]: Candidate(**{**one, "status": ReleaseStatus(one["status"])})
        for one in document["candidates"]
    }
    state.releases = {one["n"]: _release(one) for one in document["releases"]}
    return state


def _fields(value: Any) -> dict[str, Any]:
    """The fields that differ from their default; parts of parts as lists."""
    defaults = value._field_defaults
    pairs = zip(value._fields, value, strict=True)
    return {name: _plain(one) for name, one in pairs if name not in defaults or one != defaults[name]}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return str(value) if isinstance(value, str) else value


def _dependency(document: Mapping[str, Any]) -> Dependency:
    one = dict(document)
    if "status" in one:
        one["status"] = DependentStatus(one["status"])
    if "stability" in one:
        one["stability"] = Stability(one["stability"])
    for name, kind in (("pending", Pending), ("seen", ReleaseKey), ("votes", Vote)):
        one[name] = tuple(kind(*part) for part in one.get(name, ()))
    one["starts"] = tuple(one.get("starts", ()))
    return Dependency(**one)


def _release(document: Mapping[str, Any]) -> Release:
    one = dict(document)
    if "status" in one:
        one["status"] = ReleaseStatus(one["status"])
    one["majors"] = tuple(one.get("majors", ()))
    one["votes"] = {subscription: CastVote(*vote) for subscription, vote in one.get("votes", {}).items()}
    return Release(**one)
