"""Events as messages on a pipeline's reply queue, and back. Pure; must not know what an event leads to.

The name of the event is in the header `re-event`, its fields are the keys of the body; `reply_to` and the message's id are those
of the request. Fields that are as by default may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_core.cdpm import events as e
from re_core.errors import BadMessage
from re_core.jobs.words import created_of, message_of, read_event
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


def event_message(key: str, event: e.Request) -> Message:
    """The message to the pipeline with that key. The caller sets `expires`; `reply_to` and `id` are the event's."""
    return message_of(key, _EVENTS[type(event)], event)


def event_of(message: Message) -> e.Request | e.Created:
    """The event that a message says. Raises BadMessage."""
    name = message.headers.get(m.EVENT, "")
    if name == m.CREATED:
        return created_of(message)
    kind = NAMES.get(name)
    if kind is None:
        raise BadMessage(f"the header {m.EVENT} is {name[:40]!r}; a pipeline knows {', '.join(sorted(NAMES))}")
    event: e.Request = read_event(kind, message)
    return event
