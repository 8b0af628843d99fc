"""Events of jobs and fields of events, as messages on a reply queue. Pure; must not know what an event leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from re_core.errors import BadMessage
from re_core.wire import messages as m
from re_core.wire.messages import Message

_Event = TypeVar("_Event")

#: fields of an event that are the message's own, and so not in its body
OF_THE_MESSAGE = frozenset({"reply_to", "request"})


class Created(NamedTuple):
    """The answer to a job that was asked for."""

    job: str
    accepted: bool
    #: stable code of a refusal, and a text
    reason: str = ""
    detail: str = ""
    #: the deployment that stands in the way
    holder: str = ""


def created_of(message: Message) -> Created:
    """What the engine's answer to `job.create` says. Raises BadMessage."""
    headers = message.headers
    job, document = headers.get(m.REQUEST, ""), m.parse_event(message.body)
    if not job:
        raise BadMessage(f"the header {m.REQUEST} is missing: which job is answered is unknown")
    accepted = document.get("id") is not None
    reason, detail, holder = (headers.get(name, "") for name in (m.REASON, m.DETAIL, m.HOLDER))
    return Created(job, accepted, reason, detail, holder)


def message_of(key: str, name: str, event: Any) -> Message:
    """The message to the aggregate with that key. The caller sets `expires`; `reply_to` and `id` are the event's."""
    fields = zip(event._fields, event, strict=True)
    body = {field: value for field, value in fields if field not in OF_THE_MESSAGE}
    return Message(
        key=m.reply_queue(key),
        body=m.encode(body),
        id=event.request,
        correlation_id=key,
        reply_to=event.reply_to,
        headers={m.EVENT: name},
        direct=True,
    )


def read_event(kind: Callable[..., _Event], message: Message) -> _Event:
    """The event of that type, a NamedTuple. Fields that are as by default may be left out. Raises BadMessage."""
    declared: Any = kind
    document = m.parse_event(message.body)
    known = {field: note for field, note in declared.__annotations__.items() if field not in OF_THE_MESSAGE}
    for field in document:
        if field not in known:
            raise BadMessage(f"unknown key {field[:80]!r}; known are {', '.join(known)}")
    for field, annotation in known.items():
        if field not in document:
            if field not in declared._field_defaults:
                raise BadMessage("it is missing", f"/{field}")
        elif not _CHECKS[_spelled(annotation)](document[field]):
            raise BadMessage(f"expected {_spelled(annotation)}, found {document[field]!r:.40}", f"/{field}")
    return kind(**document, reply_to=message.reply_to, request=message.id)


def _spelled(annotation: Any) -> str:
    """As it is written in the class: annotations are postponed, and NamedTuple wraps them."""
    return str(getattr(annotation, "__forward_arg__", annotation))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list_of(kind: type[Any]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _is_map_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(check(one) for one in value.values())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "str": _is_text,
    "int": _is_whole,
    "int | None": lambda value: value is None or _is_whole(value),
    "int | str": lambda value: isinstance(value, str) or _is_whole(value),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Mapping[str, int]": _is_map_of(_is_whole),
    "Mapping[str, str]": _is_map_of(_is_text),
    "Sequence[str]": _is_list_of(str),
    "Sequence[Mapping[str, Any]]": _is_list_of(dict),
}
