"""From a delivery to an event of the machine. Must not know what the event leads to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from re_core.deployment import events as e
from re_core.deployment.records import MAX_DATA
from re_core.deployment.results import MAX_MESSAGE, brief
from re_core.errors import BadMessage
from re_core.model import Resolution
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.places import BOUND
from re_core.wire.recorded import RECORDED
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import digits, dumps

#: how many times longer than in a message a document can be in our spelling: `1e15` is `1000000000000000.0`
_GROWTH = 4

_Read = TypeVar("_Read")


class AddressedEvent(NamedTuple):
    """One event, and the key of the aggregate that it is about."""

    key: str
    event: Any


def read_word(message: Message, redaction: Redaction) -> AddressedEvent:
    """The event of a message on a reply queue, redacted. Raises BadMessage, whose text is redacted too."""
    if not redaction:
        return _read(message, redaction)
    return readable(message, redaction, lambda one: _read(one, redaction))


def core_event(message: Message) -> e.TimerFired | e.WorkerLost | None:
    """The event that the core itself sends to every kind of aggregate; None for any other message. Raises BadMessage."""
    name = message.headers.get(m.EVENT)
    if name == "due":
        return e.TimerFired()
    return _worker_lost(message) if name == "gone" else None


def readable(message: Message, redaction: Redaction, read: Callable[[Message], _Read]) -> _Read:
    """What `read` makes of the message. Its BadMessage may repeat the beginnings of values: they are redacted before that."""
    try:
        return read(message)
    except BadMessage:
        if not redaction:
            raise
        shown = redaction.text(message.body.decode("utf-8", "replace")).encode()
        if shown == message.body:
            raise
    read(message._replace(body=shown))
    raise BadMessage("it cannot be read; the reason is not shown, because it contains redacted text")


def _read(message: Message, redaction: Redaction) -> AddressedEvent:
    name = message.headers.get(m.EVENT)
    if name is None:
        return _reply(message, redaction)
    reader = _EVENTS.get(name)
    if reader is None:
        raise BadMessage(f"the header {m.EVENT} is {name[:40]!r}; known are {', '.join(sorted(_EVENTS))}")
    return reader(message, redaction)


def _reply(message: Message, redaction: Redaction) -> AddressedEvent:
    reply = m.parse_reply(message.body)
    attempt = _attempt(message)
    headers = message.headers
    token, worker = headers.get(m.TOKEN, ""), headers.get(m.WORKER, "")
    if reply.status == "started":
        asks = headers.get(m.ASKS) == "1"
        # a worker of 2014 sets some reply_to on all that it sends: only a claim with a token names a control queue
        control = message.reply_to if token else ""
        moves = _moves(headers[m.MOVES]) if m.MOVES in headers else 0
        bound = tuple(one for one in headers.get(BOUND, "").split(",") if one)
        recorded = headers.get(RECORDED) == "1"
        claim = e.ClaimMade(attempt.step, attempt.attempt, worker, token, control, asks, moves, bound, recorded)
        return AddressedEvent(attempt.deployment, claim)
    shown = redaction.value(reply.body) if redaction else None
    data, cut = (reply.data if shown is None else shown.get("data")), False
    if data is not None and len(message.body) > MAX_DATA // _GROWTH:
        text = dumps(data).encode()
        if len(text) > MAX_DATA:
            data, cut = text[:MAX_DATA].decode(errors="ignore"), True
    said = reply.message if shown is None else shown.get("message")
    return AddressedEvent(
        attempt.deployment,
        e.OutcomeReported(
            attempt.step,
            attempt.attempt,
            reply.status == "completed",
            data,
            None if said is None else brief(said, MAX_MESSAGE),
            reply.body,
            token,
            worker,
            cut,
            shown,
            message.reply_to if token and headers.get(m.ASKS) == "1" else "",
        ),
    )


def _moves(text: str) -> int:
    moves = digits(text)
    if not moves:
        raise BadMessage(f"the header {m.MOVES} is {text[:40]!r}, not a whole number from 1 on")
    return moves


def _attempt(message: Message) -> m.AttemptId:
    text = message.headers.get(m.ATTEMPT)
    if text is not None:
        return m.parse_attempt(text)
    # a worker of 2014 returns nothing of it, but it answers to a queue of that attempt alone (docs/wire-format.md, Peers of 2014),
    # unless it took a step that was meant for another
    attempt = m.attempt_of_queue(message.headers.get(m.FORWARDED_BY, ""))
    return attempt or m.AttemptId(_deployment(message), e.UNSAID, 1)


def _deployment(message: Message) -> str:
    if not message.correlation_id:
        raise BadMessage("no correlation_id: the deployment is unknown")
    return message.correlation_id


def _declined(message: Message, redaction: Redaction) -> AddressedEvent:
    attempt, token, why = _given_up(message, redaction)
    worker = message.headers.get(m.WORKER, "")
    return AddressedEvent(attempt.deployment, e.ClaimReleased(attempt.step, attempt.attempt, token, why, worker))


def _lost(message: Message, redaction: Redaction) -> AddressedEvent:
    attempt, token, why = _given_up(message, redaction)
    worker = message.headers.get(m.WORKER, "")
    return AddressedEvent(attempt.deployment, e.AttemptLost(attempt.step, attempt.attempt, token, why, worker))


def _released(message: Message, redaction: Redaction) -> AddressedEvent:
    attempt, token, _ = _given_up(message, redaction)
    worker = message.headers.get(m.WORKER, "")
    return AddressedEvent(attempt.deployment, e.AttemptReleased(attempt.step, attempt.attempt, token, worker))


def _given_up(message: Message, redaction: Redaction) -> tuple[m.AttemptId, str, str]:
    """Of a reply without an outcome: the attempt, the token, and why."""
    reason = m.parse_event(message.body).get("reason")
    why = brief(redaction.text(reason), MAX_MESSAGE) if isinstance(reason, str) else ""
    return _attempt(message), message.headers.get(m.TOKEN, ""), why


def _request_fields(message: Message) -> tuple[str, str, dict[str, Any]]:
    """The user, the reason, and the rest of the request."""
    document = m.parse_event(message.body)
    user, reason = document.get("user", ""), document.get("reason", "")
    if not isinstance(user, str) or not isinstance(reason, str):
        raise BadMessage("user and reason must be strings")
    return brief(user, MAX_MESSAGE), brief(reason, MAX_MESSAGE), document


def _cancel(message: Message, _: Redaction) -> AddressedEvent:
    user, reason, _document = _request_fields(message)
    return AddressedEvent(_deployment(message), e.CancelAsked(user, reason, message.reply_to, message.id))


def _retry(message: Message, _: Redaction) -> AddressedEvent:
    user, reason, document = _request_fields(message)
    lost = None if document.get("lost") is None else _resolution(document, "lost")
    seen = None if document.get("retries") is None else _number(document, "retries", 0)
    return AddressedEvent(_deployment(message), e.RetryAsked(user, reason, lost, message.reply_to, message.id, seen))


def _resolve(message: Message, _: Redaction) -> AddressedEvent:
    user, reason, document = _request_fields(message)
    step, attempt = _number(document, "step", None), _number(document, "attempt", 0)
    resolution = _resolution(document, "ruling")
    return AddressedEvent(
        _deployment(message), e.Resolved(step, resolution, user, reason, message.reply_to, message.id, attempt)
    )


def _number(document: Mapping[str, Any], name: str, missing: int | None) -> int:
    value = document.get(name, missing)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadMessage(f"expected a whole number, found {value!r:.40}", f"/{name}")
    return value


def _resolution(document: Mapping[str, Any], name: str) -> Resolution:
    try:
        return Resolution(str(document.get(name)))
    except ValueError:
        known = ", ".join(Resolution)
        raise BadMessage(f"expected one of {known}, found {document.get(name)!r:.40}", f"/{name}") from None


def _due(message: Message, _: Redaction) -> AddressedEvent:
    return AddressedEvent(_deployment(message), e.TimerFired())


def _gone(message: Message, _: Redaction) -> AddressedEvent:
    return AddressedEvent(_deployment(message), _worker_lost(message))


def _worker_lost(message: Message) -> e.WorkerLost:
    document = m.parse_event(message.body)
    before, worker, workers = (document.get(name) for name in ("before", "worker", "workers"))
    if not isinstance(before, int) or not isinstance(worker, str | None):
        raise BadMessage("before must be a number, worker a string")
    if workers is None:  # an older core names one
        gone = None if worker is None else (worker,)
    elif isinstance(workers, list) and all(isinstance(one, str) for one in workers):
        gone = tuple(workers)
    else:
        raise BadMessage("expected a list of strings", "/workers")
    return e.WorkerLost(before, gone, _spared(document.get("spared", [])))


def _spared(attempts: Any) -> tuple[tuple[int, int], ...]:
    if not isinstance(attempts, list) or not all(isinstance(one, str) for one in attempts):
        raise BadMessage("expected a list of strings", "/spared")
    parsed = map(m.parse_attempt, attempts)
    return tuple((one.step, one.attempt) for one in parsed)


_EVENTS = {
    "declined": _declined,
    "lost": _lost,
    "released": _released,
    "cancel": _cancel,
    "retry": _retry,
    "decide": _resolve,
    "due": _due,
    "gone": _gone,
}
