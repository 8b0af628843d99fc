"""A whole state as a document, and back. Pure; must not know when one is taken.

The form has a version of its own. Of a newer one this engine cannot go on; an older one is not read, and the checkpoint before,
at last the journal from its first entry, is taken instead. A payload that several versions share stands once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from re_core.apps.state import State
from re_core.apps.values import ConfigRef, Job, Kind, Payload, Purpose, Run, Status, Version
from re_core.errors import NewerFormat
from re_core.jobs.table import JobStatus

#: of the form
VERSION = 1

#: attributes that JSON says as they are
_PLAIN = (
    "ended",
    "registered",
    "destroyed",
    "group",
    "name",
    "generation",
    "restart",
    "current",
    "active",
    "last",
    "base",
    "last_run",
)
_LISTS = ("zones", "touched", "pending")
_MAPS = ("formation", "counts")

#: fields of a version that are tuples
_TUPLES = ("config_names", "zones", "ready", "switched")


def to_document(state: State) -> dict[str, Any]:
    """All of it but its key and the number of its entry, as JSON can say it. Shares no part that changes."""
    payloads: list[Payload] = []
    for one in state.versions.values():
        if one.payload is not None and one.payload not in payloads:
            payloads.append(one.payload)
    return {
        "v": VERSION,
        **{name: getattr(state, name) for name in _PLAIN},
        **{name: list(getattr(state, name)) for name in _LISTS},
        **{name: dict(getattr(state, name)) for name in _MAPS},
        "config": [state.config.id, list(state.config.names)],
        "old": [[number, status] for number, status in state.old.items()],
        "payloads": [_fields(one) for one in payloads],
        "versions": [_version_fields(one, payloads) for one in state.versions.values()],
        "runs": [_fields(one) for one in state.runs.values()],
        "jobs": [_fields(one) for one in state.jobs.values()],
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
    for name in _LISTS:
        setattr(state, name, tuple(document[name]))
    for name in _MAPS:
        setattr(state, name, dict(document[name]))
    id, names = document["config"]
    state.config = ConfigRef(id, tuple(names))
    state.old = dict(document["old"])
    payloads = [Payload(**one) for one in document["payloads"]]
    state.versions = {one["number"]: _version(one, payloads) for one in document["versions"]}
    state.runs = {one["n"]: Run(**one) for one in document["runs"]}
    state.jobs = {one["id"]: _job(one) for one in document["jobs"]}
    return state


def _fields(value: Any) -> dict[str, Any]:
    """The fields that differ from their default."""
    defaults = value._field_defaults
    pairs = zip(value._fields, value, strict=True)
    return {name: _plain(one) for name, one in pairs if name not in defaults or one != defaults[name]}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    return str(value) if isinstance(value, str) else value


def _version_fields(version: Version, payloads: Sequence[Payload]) -> dict[str, Any]:
    """Its payload as the place in the list of all."""
    fields = _fields(version._replace(payload=None))
    return fields if version.payload is None else {**fields, "payload": payloads.index(version.payload)}


def _version(document: Mapping[str, Any], payloads: Sequence[Payload]) -> Version:
    one = dict(document)
    one["kind"], one["status"] = Kind(one["kind"]), Status(one["status"])
    for name in _TUPLES:
        one[name] = tuple(one.get(name, ()))
    if "payload" in one:
        one["payload"] = payloads[one["payload"]]
    return Version(**one)


def _job(document: Mapping[str, Any]) -> Job:
    one = dict(document)
    one["purpose"], one["status"] = Purpose(one["purpose"]), JobStatus(one["status"])
    one["zones"] = tuple(one["zones"])
    return Job(**one)
