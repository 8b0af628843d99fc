"""Events as messages on an app's reply queue, and back. Pure; must not know what an event leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.apps import events as e
from re_core.errors import BadMessage
from re_core.jobs.words import Created, created_of, message_of, read_event
from re_core.wire import messages as m
from re_core.wire.messages import Message

_EVENTS: Mapping[str, type[Any]] = {name: kind for kind, name in e.NAMES.items()}


def event_message(key: str, event: e.Request) -> Message:
    """The message to the app with that key. The caller sets `expires`; `reply_to` and `id` are the event's."""
    return message_of(key, e.NAMES[type(event)], event)


def event_of(message: Message) -> e.Request | Created:
    """The event that a message says. Raises BadMessage."""
    name = message.headers.get(m.EVENT, "")
    if name == m.CREATED:
        return created_of(message)
    kind = _EVENTS.get(name)
    if kind is None:
        raise BadMessage(f"the header {m.EVENT} is {name[:40]!r}; an app knows {', '.join(sorted(_EVENTS))}")
    event: e.Request = read_event(kind, message)
    return event


def answer_body(effect: e.Answer) -> dict[str, Any]:
    """What an answer says: `accepted`, and of the rest what is not as by default."""
    fields = {
        name: getattr(effect, name) for name in ("reason", "detail", "version", "broadcast_id", "run", "deployment")
    }
    return {"accepted": effect.accepted, **{name: value for name, value in fields.items() if value}}
