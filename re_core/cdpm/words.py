"""Events as messages on a pipeline's reply queue, and back. Pure; must not know what an event leads to.

The name of the event is in the header `re-event`, its fields are the keys of the body; `reply_to` and the message's id are those
of the request. Fields that are as by default may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from re_core.cdpm import events as e
from re_core.errors import BadMessage
from re_core.wire import messages as m
from re_core.wire.messages import Message

#: header `re-event` -> event
NAMES: Mapping[str, type[Any]] = {
    "register": e.Register,
    "configure": e.Configure,
    "remove": e.Remove,
    "file": e.FileRead,
    "publish": e.Publish,
    "leave": e.Leave,
    "join": e.Join,
    "bar": e.Bar,
    "subscribe": e.SubscribeAsked,
    "unsubscribe": e.UnsubscribeAsked,
    "subscribed": e.Subscribed,
    "not_subscribed": e.NotSubscribed,
    "release": e.ReleaseReceived,
    "vote": e.VoteReceived,
    "vote_answered": e.VoteAnswered,
    "fact": e.Fact,
}
_EVENTS = {kind: name for name, kind in NAMES.items()}

#: fields that are not in the body
_OF_THE_MESSAGE = frozenset({"reply_to", "request"})


def event_message(key: str, event: e.Request) -> Message:
    """The message to the pipeline with that key. The caller sets `expires`; `reply_to` and `id` are the event's."""
    fields = zip(event._fields, event, strict=True)
    body = {name: value for name, value in fields if name not in _OF_THE_MESSAGE}
    return Message(
        key=m.reply_queue(key),
        body=m.encode(body),
        id=event.request,
        correlation_id=key,
        reply_to=event.reply_to,
        headers={m.EVENT: _EVENTS[type(event)]},
        direct=True,
    )


def event_of(message: Message) -> e.Request | e.Created:
    """The event that a message says. Raises BadMessage."""
    name = message.headers.get(m.EVENT, "")
    if name == m.CREATED:
        return _created(message)
    kind = NAMES.get(name)
    if kind is None:
        raise BadMessage(f"the header {m.EVENT} is {name[:40]!r}; a pipeline knows {', '.join(sorted(NAMES))}")
    document = m.parse_event(message.body)
    known = {field: annotation for field, annotation in kind.__annotations__.items() if field not in _OF_THE_MESSAGE}
    for field in document:
        if field not in known:
            raise BadMessage(f"unknown key {field[:80]!r}; known are {', '.join(known)}")
    for field, annotation in known.items():
        if field not in document:
            if field not in kind._field_defaults:
                raise BadMessage("it is missing", f"/{field}")
        elif not _CHECKS[_spelled(annotation)](document[field]):
            raise BadMessage(f"expected {_spelled(annotation)}, found {document[field]!r:.40}", f"/{field}")
    event: e.Request = kind(**document, reply_to=message.reply_to, request=message.id)
    return event


def _created(message: Message) -> e.Created:
    headers = message.headers
    job, document = headers.get(m.REQUEST, ""), m.parse_event(message.body)
    if not job:
        raise BadMessage(f"the header {m.REQUEST} is missing: which job is answered is unknown")
    accepted = document.get("id") is not None
    reason, detail, holder = (headers.get(name, "") for name in (m.REASON, m.DETAIL, m.HOLDER))
    return e.Created(job, accepted, reason, detail, holder)


def _spelled(annotation: Any) -> str:
    """As it is written in the class: annotations are postponed, and NamedTuple wraps them."""
    return str(getattr(annotation, "__forward_arg__", annotation))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list_of(kind: type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": _is_whole,
    "int | str": lambda value: isinstance(value, str) or _is_whole(value),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Sequence[str]": _is_list_of(str),
    "Sequence[Mapping[str, Any]]": _is_list_of(dict),
}
