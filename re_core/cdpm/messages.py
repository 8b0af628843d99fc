"""The messages of the protocol: JSON in and out (docs/cdpm.md). Pure; must not know signatures or connections.

What `emit` writes has its keys in the order of the founding document. `parse` ignores keys that it does not know, requires
those that the protocol requires, and bounds every text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core.cdpm import json_hints
from re_core.cdpm.reading import ID, LINE, NAME, TEXT, URL, Fields
from re_core.errors import BadMessage
from re_core.wire import strict_json

#: bytes of a message before it is signed
MAX_PAYLOAD = 48 * 1024

#: subscriptions of one message; artifacts, maintainers and dependents of a release, and links of its chain that are read
MAX_SUBSCRIPTIONS, MAX_ARTIFACTS, MAX_MAINTAINERS, MAX_DEPENDENTS, MAX_CHAIN = 16, 64, 64, 1000, 64

#: an id that its sender chose: a number in the founding document, text for others
Id = int | str


class Reference(NamedTuple):
    """What is subscribed to: releases of a branch, or of a version."""

    ref_type: str
    ref: str


class Subscribe(NamedTuple):
    """A dependent wants the releases of a dependency. POST /subscribe."""

    caller_name: str
    #: of the sender's cdpm.yml
    url: str
    subscriptions: tuple[Reference, ...]
    #: of the receiver's cdpm.yml
    destination: str


class Unsubscribe(NamedTuple):
    """A dependent wants no more releases. POST /subscribe; not in the founding document."""

    caller_name: str
    url: str
    subscription_id: str
    destination: str


class Subscribed(NamedTuple):
    """The answer to both."""

    subscriptions: tuple[str, ...] = ()
    status_code: str = "200"
    status_msg: str = "OK"
    #: UTC, whole seconds, without an offset: `2012-06-20T08:36:24`
    response_time_stamp: str = ""
    #: `subscribed`, `not subscribed` or `unsubscribed`
    message_type: str = "subscribed"


class VoteAnswer(NamedTuple):
    """The answer to a vote: the same without a message_type, as in the founding document."""

    subscriptions: tuple[str, ...]
    status_code: str
    status_msg: str
    response_time_stamp: str


class Open(NamedTuple):
    """The first frame of every connection: which subscription it is for. Not in the founding document."""

    subscription_id: str
    #: id and created_at of the newest release that the dependent has stored; None: none yet
    last: tuple[Id, str] | None = None


class Received(NamedTuple):
    """A release, and all before it, are stored. Not in the founding document."""

    subscription_id: str
    id: Id


class KeyRotated(NamedTuple):
    """The sender's cdpm.yml has another key now. Not in the founding document."""

    url: str


class Maintainer(NamedTuple):
    name: str
    contact: str = ""


class Project(NamedTuple):
    """Whose release it is. What is empty, or None, is not sent."""

    id: Id | None
    name: str
    repo_url: str = ""
    maintainers: tuple[Maintainer, ...] = ()
    dependents: tuple[str, ...] = ()


class Commit(NamedTuple):
    """For people, but for `id`. What is empty is not known, and not sent."""

    id: str = ""
    short_id: str = ""
    title: str = ""
    author_name: str = ""
    author_email: str = ""
    created_at: str = ""
    message: str = ""


class Deployable(NamedTuple):
    """The deployment that made a release, or tried one."""

    id: Id
    status: str
    ref: str
    created_at: str
    commit: Commit | None = None


class NewRelease(NamedTuple):
    """A dependency has a release, and its artifacts are there.

    All from `new_version` on is absent in the example of the founding document; what is empty is not sent.
    """

    id: Id
    ref: str
    created_at: str
    project: Project
    deployable: Deployable
    new_version: str = ""
    #: URLs; None: the key is absent
    artifacts: tuple[str, ...] | None = ()
    #: of the sender's cdpm.yml
    url: str = ""
    #: `<url>#<id>` of each release that led to this one, the oldest first; None: the key is absent
    chain: tuple[str, ...] | None = ()
    event: str = "new release"
    state: str = "DEPLOYED"
    #: `new_release`, or empty
    message_type: str = "new_release"


class Vote(NamedTuple):
    """What a major dependent found out about a release."""

    stable: bool
    caller_name: str
    url: str
    subscription_id: str
    #: id, ref and created_at of the release
    id: Id
    ref: str
    created_at: str
    #: the deployment that tried it
    deployable: Deployable
    destination: str


Message = Subscribe | Subscribed | Open | NewRelease | Received | Vote | VoteAnswer | Unsubscribe | KeyRotated

#: message_type of a vote -> whether it is for stable
_VOTES: Mapping[str, bool] = {"vote_stable": True, "vote_unstable": False}


def parse(payload: bytes) -> Message:
    """The message. Raises BadMessage, of which json_hints.NotJson is one."""
    if len(payload) > MAX_PAYLOAD:
        raise BadMessage(f"{len(payload)} bytes; a message has at most {MAX_PAYLOAD}")
    fields = Fields(json_hints.loads(payload))
    kind = _kind(fields)
    read = _READERS.get(kind)
    if read is None:
        raise BadMessage(f"message_type {kind!r:.80} is not known; known are {', '.join(_READERS)}", "/message_type")
    return read(fields)


def emit(message: Message) -> bytes:
    """The bytes that are signed. Raises BadMessage for a message that `parse` would not take."""
    try:
        payload = strict_json.dumps(_WRITERS[type(message)](message)).encode()
    except UnicodeEncodeError:
        raise BadMessage("a lone surrogate is not a character") from None
    parse(payload)
    return payload


# -- in ----------------------------------------------------------------------------------------------


def _kind(fields: Fields) -> str:
    """The message_type; that of the founding document's messages without one by what they have."""
    if fields.has("message_type"):
        return fields.line("message_type", NAME)
    if fields.has("project_details") and fields.has("deployable"):
        return "new_release"
    if fields.has("response"):
        return _ANSWER
    raise BadMessage("message_type: expected a string, found nothing", "/message_type")


def _subscribe(fields: Fields) -> Subscribe:
    wanted = fields.inner_list("subscriptions", 1, MAX_SUBSCRIPTIONS)
    references = tuple(Reference(one.line("ref_type", NAME), one.line("ref", NAME)) for one in wanted)
    return Subscribe(fields.line("caller_name", NAME), fields.line("url", URL), references, _destination(fields))


def _unsubscribe(fields: Fields) -> Unsubscribe:
    name, url = fields.line("caller_name", NAME), fields.line("url", URL)
    return Unsubscribe(name, url, fields.line("subscription_id", ID), _destination(fields))


def _destination(fields: Fields) -> str:
    return fields.inner("destination").line("url", URL)


def _subscribed(fields: Fields) -> Subscribed:
    return Subscribed(*_answered(fields), fields.line("message_type"))


def _vote_answer(fields: Fields) -> VoteAnswer:
    return VoteAnswer(*_answered(fields))


def _answered(fields: Fields) -> tuple[tuple[str, ...], str, str, str]:
    ids = tuple(one.line("subscription_id", ID) for one in fields.inner_list("response", 0, MAX_SUBSCRIPTIONS))
    code, message = fields.line("status_code", 3), fields.line("status_msg", LINE, "")
    if not (len(code) == 3 and code.isascii() and code.isdigit()):
        raise BadMessage(f"status_code: expected three digits in quotes, found {code!r}", "/status_code")
    return ids, code, message, fields.line("response_time_stamp", NAME)


def _open(fields: Fields) -> Open:
    if fields.is_null("last"):
        return Open(fields.line("subscription_id", ID))
    last = fields.inner("last")
    return Open(fields.line("subscription_id", ID), (last.id("id"), last.line("created_at", NAME)))


def _received(fields: Fields) -> Received:
    return Received(fields.line("subscription_id", ID), fields.id("id"))


def _key_rotated(fields: Fields) -> KeyRotated:
    return KeyRotated(fields.line("url", URL))


def _new_release(fields: Fields) -> NewRelease:
    return NewRelease(
        fields.id("id"),
        fields.line("ref", NAME),
        fields.line("created_at", NAME),
        _project(fields.inner("project_details")),
        _deployable(fields.inner("deployable")),
        fields.line("new_version", NAME, ""),
        fields.lines("artifacts", MAX_ARTIFACTS, URL) if fields.has("artifacts") else None,
        fields.line("url", URL, ""),
        fields.lines("chain", MAX_CHAIN, URL + ID + 1) if fields.has("chain") else None,
        fields.line("event", NAME, ""),
        fields.line("state", NAME, ""),
        fields.line("message_type", NAME, ""),
    )


def _project(fields: Fields) -> Project:
    people = fields.inner_list("maintainers", 0, MAX_MAINTAINERS)
    return Project(
        fields.id("id") if fields.has("id") else None,
        fields.line("name", NAME),
        fields.line("repo_url", URL, ""),
        tuple(Maintainer(one.line("name", NAME), one.line("contact", LINE, "")) for one in people),
        fields.lines("dependents", MAX_DEPENDENTS, NAME),
    )


def _deployable(fields: Fields) -> Deployable:
    return Deployable(
        fields.id("id"),
        fields.line("status", NAME),
        fields.line("ref", NAME),
        fields.line("created_at", NAME),
        _commit(fields.inner("commit")) if fields.has("commit") else None,
    )


def _commit(fields: Fields) -> Commit:
    short, title = fields.line("short_id", NAME, ""), fields.text("title", LINE)
    author = fields.text("author_name", LINE), fields.text("author_email", LINE)
    return Commit(
        fields.line("id", NAME, ""),
        short,
        title,
        *author,
        fields.line("created_at", NAME, ""),
        fields.text("message", TEXT),
    )


def _vote(fields: Fields) -> Vote:
    return Vote(
        _VOTES[fields.word("message_type", *_VOTES)],
        fields.line("caller_name", NAME),
        fields.line("url", URL),
        fields.line("subscription_id", ID),
        fields.id("id"),
        fields.line("ref", NAME),
        fields.line("created_at", NAME),
        _deployable(fields.inner("deployable")),
        _destination(fields),
    )


#: stands for the message_type that the answer to a vote does not have; no line can be it
_ANSWER = ""

_READERS: Mapping[str, Callable[[Fields], Message]] = {
    "subscribe": _subscribe,
    "subscribed": _subscribed,
    "not subscribed": _subscribed,
    "unsubscribe": _unsubscribe,
    "unsubscribed": _subscribed,
    "open": _open,
    "new_release": _new_release,
    "received": _received,
    "vote_stable": _vote,
    "vote_unstable": _vote,
    "key_rotated": _key_rotated,
    _ANSWER: _vote_answer,
}


# -- out ---------------------------------------------------------------------------------------------


def _without_empty(document: dict[str, Any], *kept: str) -> dict[str, Any]:
    """Without what is empty or None, but for the keys that must be there."""
    return {name: value for name, value in document.items() if name in kept or value not in ("", None, [], ())}


def _write_subscribe(one: Subscribe) -> dict[str, Any]:
    return {
        "message_type": "subscribe",
        "caller_name": one.caller_name,
        "url": one.url,
        "subscriptions": [reference._asdict() for reference in one.subscriptions],
        "destination": {"url": one.destination},
    }


def _write_unsubscribe(one: Unsubscribe) -> dict[str, Any]:
    whole = {"message_type": "unsubscribe", **one._asdict()}
    return {**whole, "destination": {"url": one.destination}}


def _write_answer(one: VoteAnswer | Subscribed) -> dict[str, Any]:
    return {
        "response": [{"subscription_id": id} for id in one.subscriptions],
        "status_code": one.status_code,
        "status_msg": one.status_msg,
        "response_time_stamp": one.response_time_stamp,
    }


def _write_subscribed(one: Subscribed) -> dict[str, Any]:
    return {"message_type": one.message_type, **_write_answer(one)}


def _write_open(one: Open) -> dict[str, Any]:
    last = None if one.last is None else {"id": one.last[0], "created_at": one.last[1]}
    return {"message_type": "open", "subscription_id": one.subscription_id, "last": last}


def _write_received(one: Received) -> dict[str, Any]:
    return {"message_type": "received", **one._asdict()}


def _write_key_rotated(one: KeyRotated) -> dict[str, Any]:
    return {"message_type": "key_rotated", **one._asdict()}


def _write_new_release(one: NewRelease) -> dict[str, Any]:
    kept = [name for name, value in (("artifacts", one.artifacts), ("chain", one.chain)) if value is not None]
    document = {
        "message_type": one.message_type,
        "event": one.event,
        "state": one.state,
        "new_version": one.new_version,
        "artifacts": one.artifacts,
        "id": one.id,
        "ref": one.ref,
        "created_at": one.created_at,
        "project_details": _write_project(one.project),
        "deployable": _write_deployable(one.deployable),
        "url": one.url,
        "chain": one.chain,
    }
    return _without_empty(document, "id", *kept)


def _write_project(one: Project) -> dict[str, Any]:
    people = [_without_empty(person._asdict()) for person in one.maintainers]
    return _without_empty({**one._asdict(), "maintainers": people})


def _write_deployable(one: Deployable) -> dict[str, Any]:
    commit = None if one.commit is None else _without_empty(one.commit._asdict())
    return _without_empty({**one._asdict(), "commit": commit})


def _write_vote(one: Vote) -> dict[str, Any]:
    document = {"message_type": "vote_stable" if one.stable else "vote_unstable", **one._asdict()}
    del document["stable"]
    return {**document, "deployable": _write_deployable(one.deployable), "destination": {"url": one.destination}}


_WRITERS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Subscribe: _write_subscribe,
    Unsubscribe: _write_unsubscribe,
    Subscribed: _write_subscribed,
    VoteAnswer: _write_answer,
    Open: _write_open,
    Received: _write_received,
    KeyRotated: _write_key_rotated,
    NewRelease: _write_new_release,
    Vote: _write_vote,
}
