"""Undeliverable messages: look at them, send them again, drop them. Must not know their senders."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from re_core import ports
from re_core.api import answers
from re_core.errors import Conflict, NotFound
from re_core.ports import Published
from re_core.rows import DeadLetter
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import plausible
from re_core.usecases.times import rfc3339
from re_core.wire.messages import DISCARD, NOTIFY, Message


def listed(
    letters: ports.DeadLetters, principal: Principal, limit: int, cursor: str
) -> tuple[list[answers.DeadLetterRow], str | None]:
    """The newest first, and where to go on. Raises NotAllowed: they belong to no group."""
    require(principal, Verb.OPERATE, None)
    rows = letters.dead_letters(limit + 1, cursor)
    return [letter_document(row) for row in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None


def get(letters: ports.DeadLetters, principal: Principal, id: str) -> DeadLetter:
    """Raises NotAllowed, NotFound."""
    require(principal, Verb.OPERATE, None)
    found = letters.dead_letter(id) if plausible(id) else None
    if found is None:
        raise NotFound(f"there is no dead letter {id[:60]!r}")
    return found


def drop(letters: ports.DeadLetters, principal: Principal, id: str) -> None:
    """Raises NotAllowed, NotFound."""
    require(principal, Verb.OPERATE, None)
    if not plausible(id) or not letters.drop_dead_letter(id):
        raise NotFound(f"there is no dead letter {id[:60]!r}")


def replay(letters: ports.DeadLetters, bus: ports.Bus, principal: Principal, id: str) -> DeadLetter:
    """Put it back on its queue, then drop it. Raises NotAllowed, NotFound, Conflict where that queue does not exist, BusUnavailable."""
    letter = get(letters, principal, id)
    again = _again(letter)
    ways = [again]
    if letter.queue.startswith(NOTIFY):
        # of a transport that a notifier of 2014 serves: its queue has another name, and is bound to the key
        ways.append(again._replace(direct=False, reply_to=DISCARD))
    if not any(bus.publish([message]) == [Published.TAKEN] for message in ways):
        raise Conflict(f"the queue {letter.queue!r} does not exist; start its consumer")
    letters.drop_dead_letter(id)
    return letter


def letter_document(letter: DeadLetter) -> answers.DeadLetterRow:
    """One row of the list."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "detail": letter.detail,
        "by": letter.by,
        "at": rfc3339(letter.at),
        "size": len(letter.body),
    }


def whole_document(letter: DeadLetter) -> answers.DeadLetter:
    """All of it: the bytes as base64, and as text where they are text."""
    try:
        text: str | None = letter.body.decode()
    except UnicodeDecodeError:
        text = None
    return {
        **letter_document(letter),
        "properties": dict(letter.properties),
        "text": text,
        "body": base64.b64encode(letter.body).decode(),
    }


def _again(letter: DeadLetter) -> Message:
    """The message as it was, but for its id: receivers drop an id that they have seen, and they have seen that one."""
    properties = letter.properties
    headers = properties.get("headers")
    return Message(
        key=letter.queue,
        body=letter.body,
        id=f"{letter.id}-again",
        correlation_id=_text(properties, "correlation_id"),
        reply_to=_text(properties, "reply_to"),
        headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {},
        app_id=_text(properties, "app_id"),
        direct=True,
    )


def _text(properties: Mapping[str, Any], name: str) -> str:
    value = properties.get(name)
    return value if isinstance(value, str) else ""
