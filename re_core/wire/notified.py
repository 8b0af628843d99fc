"""What a notifier reports of a notification that it is done with. Pure; must not know who sends or keeps it.

docs/wire-format.md, Notified. The report is for people: one that is lost changes nothing, so it is sent once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from re_core.errors import BadMessage
from re_core.wire.messages import Message, encode
from re_core.wire.strict_json import loads

#: the key; the queue is messages.NOTIFIED
KEY = "notified"

#: what became of it
SENT, FAILED = "sent", "failed"
OUTCOMES = (SENT, FAILED)

#: characters of one text; targets, and characters of one; milliseconds after which an unread report expires
TEXT, TARGETS, TARGET, LIFE = 500, 20, 200, 3_600_000


class Notified(NamedTuple):
    """One notification, when its notifier was done with it."""

    #: sorts by time; new for every report
    id: str
    #: of the notification
    notification: str
    transport: str
    target: tuple[str, ...]
    phase: str
    slug: str
    #: one of OUTCOMES
    outcome: str
    #: why it failed; empty where it did not
    why: str = ""
    tries: int = 1
    #: milliseconds since the epoch
    at: int = 0
    #: notifications that were sent as one with this one, itself counted; 0: it was sent alone
    together: int = 0
    deployment: str = ""
    group: str = ""
    playbook: str = ""
    #: id of the process that reports
    worker: str = ""


def report(notified: Notified, app_id: str) -> Message:
    """The message, with texts cut to what the format allows."""
    document: dict[str, Any] = {**notified._asdict(), "target": [one[:TARGET] for one in notified.target[:TARGETS]]}
    document |= {name: document[name][:TEXT] for name in _TEXTS}
    body = encode(document)
    return Message(KEY, body, notified.id, notified.deployment, app_id=app_id, expires=LIFE)


def parse_report(body: bytes) -> Notified:
    """Raises BadMessage for anything that is not in the format."""
    document = loads(body)
    if not isinstance(document, dict):
        raise BadMessage("expected an object")
    values: dict[str, Any] = {}
    for name in Notified._fields:
        default = Notified._field_defaults.get(name)
        if name in document:
            values[name] = _checked(name, document[name])
        elif default is None:
            raise BadMessage("is missing", f"/{name}")
    found = Notified(**values)
    if found.outcome not in OUTCOMES:
        raise BadMessage(f"expected one of {', '.join(OUTCOMES)}", "/outcome")
    return found


_NUMBERS = frozenset({"tries", "at", "together"})
_TEXTS = tuple(name for name in Notified._fields if name not in (*_NUMBERS, "target"))


def _checked(name: str, value: Any) -> Any:
    if name == "target":
        if not isinstance(value, list) or len(value) > TARGETS or not all(isinstance(one, str) for one in value):
            raise BadMessage(f"expected at most {TARGETS} strings", "/target")
        return tuple(one[:TARGET] for one in value)
    if name in _NUMBERS:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            raise BadMessage("expected a whole number", f"/{name}")
        return value
    if not isinstance(value, str) or len(value) > TEXT:
        raise BadMessage(f"expected a string of at most {TEXT} characters", f"/{name}")
    return value
