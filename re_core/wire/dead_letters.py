"""Dead letters on the bus: how an undeliverable message is wrapped, and unwrapped. Pure; must not know where they are kept.

The body stays byte for byte; what happened, and the properties that the wrapping needs for itself, travel in headers.
"""

from __future__ import annotations

import hashlib

from re_core.rows import DeadLetter
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.messages import Message

#: headers of a dead letter: the queue it was taken from, why, the program that rejected it, when (milliseconds)
QUEUE, REASON, DETAIL, BY, AT = "re-dead-queue", "re-dead-reason", "re-dead-detail", "re-dead-by", "re-dead-at"
#: headers of a dead letter: the original's message_id, reply_to and app_id
ID, REPLY_TO, APP = "re-dead-id", "re-dead-reply-to", "re-dead-app-id"

#: headers of what a broker put there itself: the queue it was in, and the broker's reason (`rejected`, `expired`)
_BROKER_QUEUE, _BROKER_REASON = "x-first-death-queue", "x-first-death-reason"

_OURS = frozenset({QUEUE, REASON, DETAIL, BY, AT, ID, REPLY_TO, APP})


def dead_letter_message(message: Message, queue: str, reason: str, detail: str, by: str, at: int) -> Message:
    """The message for the dead-letter queue."""
    headers = {
        **message.headers,
        QUEUE: queue,
        REASON: reason,
        DETAIL: " ".join(detail.split())[:1000],
        BY: by,
        AT: str(at),
        ID: message.id,
        REPLY_TO: message.reply_to,
        APP: message.app_id,
    }
    digest = hashlib.sha256(b"\0".join((queue.encode(), message.id.encode(), message.body))).hexdigest()
    return Message(
        key=m.DEAD,
        body=message.body,
        id=f"{at:013d}-{digest[:16]}",
        correlation_id=message.correlation_id,
        headers=headers,
        app_id=by,
        direct=True,
    )


def parse_dead_letter(message: Message) -> DeadLetter:
    """The dead letter that such a message carries; one that some broker put there itself says only what it can."""
    headers = message.headers
    return DeadLetter(
        id=message.id or f"{0:013d}-{hashlib.sha256(message.body).hexdigest()[:16]}",
        queue=headers.get(QUEUE) or headers.get(_BROKER_QUEUE, ""),
        reason=headers.get(REASON) or headers.get(_BROKER_REASON, "unknown"),
        detail=headers.get(DETAIL, ""),
        by=headers.get(BY, message.app_id),
        at=strict_json.digits(headers.get(AT, "")) or 0,
        body=message.body,
        properties={
            "message_id": headers.get(ID, ""),
            "correlation_id": message.correlation_id,
            "reply_to": headers.get(REPLY_TO, ""),
            "app_id": headers.get(APP, ""),
            "headers": {name: value for name, value in headers.items() if name not in _OURS},
        },
    )


def bare_letter(message: Message, trouble: str, by: str, at: int) -> DeadLetter:
    """A dead letter of one that cannot be kept as `letter_of` would have it: the body, and the rest as plain text.

    `trouble` says why it cannot; `at` in milliseconds since the epoch.
    """
    digest = hashlib.sha256(b"\0".join((ascii(message._replace(body=b"")).encode(), message.body))).hexdigest()
    headers = {name: ascii(value)[:1000] for name, value in list(message.headers.items())[:100]}
    return DeadLetter(
        id=f"{at:013d}-{digest[:16]}",
        queue=m.DEAD,
        reason="error",
        detail=f"it cannot be stored unchanged: {ascii(trouble)[:500]}",
        by=by,
        at=at,
        body=message.body,
        properties={
            "message_id": ascii(message.id)[:1000],
            "correlation_id": ascii(message.correlation_id)[:1000],
            "reply_to": "",
            "app_id": ascii(message.app_id)[:1000],
            "headers": {ascii(name)[1:-1][:200]: value for name, value in headers.items()},
        },
    )
