"""Ask the engine for a deployment, or something of one, and understand its answer. Must not know how it decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core import errors
from re_core.errors import Conflict, NoAnswer, Problem, Refused, ReleaseEngineError, StoreUnavailable
from re_core.model import Resolution
from re_core.ports import UNOBSERVED, Bus, Observer
from re_core.usecases.ids import new_id
from re_core.usecases.keys import body_digest, key_digest
from re_core.wire import messages, strict_json
from re_core.wire.messages import DeploymentRequest, Message
from re_core.wire.trace_context import TRACEPARENT, TraceContext, parse, span_id, trace_id

#: part of every idempotency key of this use case, whichever front end it came through
ROUTE = "deployments"
#: who we are on the bus
APP_ID = "rest"

#: `re-reason` of a refusal -> the error that says the same
REFUSALS: dict[str, type[ReleaseEngineError]] = {
    kind.reason: kind
    for kind in (
        errors.UnknownGroup,
        errors.UnknownPlaybook,
        errors.BadDynamic,
        errors.BadDocument,
        errors.BadMessage,
        errors.Refused,
        errors.KeyReused,
        errors.Expired,
        errors.StoreUnavailable,
        errors.BusUnavailable,
    )
}


class Wish(NamedTuple):
    """What a person wants of a deployment, whatever it is."""

    deployment: str
    user: str
    #: for whoever reads the journal
    reason: str = ""
    #: id of the request, the same at every repetition (keys.request_id); empty where it will not be repeated
    request: str = ""


class Asker(NamedTuple):
    """Who wants something."""

    user: str
    #: the address that it came from
    source: str
    #: its Idempotency-Key; empty where there is none
    key: str = ""
    #: its `traceparent`, as it came; empty where there is none
    trace: str = ""


def create(
    bus: Bus,
    request: DeploymentRequest,
    asker: Asker,
    timeout: float,
    trouble: Callable[[], str] = lambda: "",
    observer: Observer = UNOBSERVED,
) -> str:
    """The id of a deployment that from here on survives a crash; `timeout` in seconds.

    `trouble` says what keeps the core from accepting any, where it knows. Raises the error that a refusal names
    (REFUSALS), StoreUnavailable while there is trouble, NoAnswer with the minted id, BusUnavailable.
    """
    if why := trouble():
        raise StoreUnavailable(why)
    body = {"group": request.group, "playbook_id": request.playbook_id, "dynamic": request.dynamic}
    headers = {messages.USER: asker.user, messages.SOURCE: asker.source}
    if asker.key:
        headers[messages.KEY] = key_digest(asker.user, ROUTE, asker.key)
        headers[messages.KEY_DIGEST] = body_digest(body)
    id, began, parent = new_id(), time.time_ns(), parse(asker.trace)
    context = _requested(id, parent) if observer.traces else parent
    if context is not None:
        headers[TRACEPARENT] = context.header
    # it expires when we stop waiting: nothing starts behind a caller's back (contract, section 2)
    message = Message(
        "job.create",
        messages.encode(body),
        id,
        correlation_id=id,
        headers=headers,
        app_id=APP_ID,
        expires=round(timeout * 1000),
    )
    outcome = "error"
    try:
        answer = bus.request(message, timeout)
        if answer is None:
            if why := trouble():
                raise StoreUnavailable(
                    f"{why}; if the engine took the request before that, the deployment's id is {id}"
                )
            raise NoAnswer(
                f"the engine did not answer within {timeout:g} s; if it took the request, its id is {id}", id
            )
        created = _answered(answer).get("id")
        if not isinstance(created, str):
            raise _refusal(answer)
        outcome = "accepted"
        return created
    except ReleaseEngineError as error:
        outcome = error.reason
        raise
    finally:
        if context is not None:
            observer.requested(id, parent, context, outcome, began)


def _requested(id: str, parent: TraceContext | None) -> TraceContext:
    """The span of a request for this deployment, in its caller's trace where that has one."""
    begun = parent or TraceContext(trace_id(id), "")
    return begun._replace(span_id=span_id(f"{id}/request"))


def cancel(bus: Bus, id: str, user: str, reason: str, timeout: float) -> None:
    """Ask a deployment to end; `timeout` in seconds. Raises Conflict where it cannot, NoAnswer, BusUnavailable."""
    _wish(bus, Wish(id, user, reason), "cancel", {}, timeout)


def retry(bus: Bus, wish: Wish, lost: Resolution | None, retries: int | None, timeout: float) -> None:
    """Ask a failed deployment to go on from what failed.

    `lost` says what became of its lost steps, `retries` how often it had been retried when the author looked (None: not
    said). Raises Conflict where it cannot go on, Refused where another deployment stands in the way, NoAnswer, BusUnavailable.
    """
    _wish(bus, wish, "retry", {"lost": None if lost is None else lost.recorded, "retries": retries}, timeout)


def resolve(bus: Bus, wish: Wish, step: int, resolution: Resolution, attempt: int, timeout: float) -> None:
    """Say what became of a lost step on which the deployment waits; `attempt` is the one looked at, 0 where that is not said.

    Raises Conflict where nothing waits for that, NoAnswer, BusUnavailable.
    """
    _wish(bus, wish, "decide", {"step": step, "ruling": resolution.recorded, "attempt": attempt}, timeout)


def _wish(bus: Bus, wish: Wish, event: str, more: Mapping[str, Any], timeout: float) -> None:
    said = {name: value for name, value in more.items() if value is not None}
    message = Message(
        messages.reply_queue(wish.deployment),
        messages.encode({"user": wish.user, "reason": wish.reason, **said}),
        wish.request or new_id(),
        correlation_id=wish.deployment,
        headers={messages.EVENT: event},
        app_id=APP_ID,
        direct=True,
        # nothing is done behind the back of somebody who has stopped waiting; what was written in time is carried out
        expires=round(timeout * 1000),
    )
    answer = bus.request(message, timeout)
    if answer is None:
        id = wish.deployment
        raise NoAnswer(f"the engine did not answer within {timeout:g} s; it may {event} {id} still: look at it", id)
    document = _answered(answer)
    if document.get("accepted") is True:
        return
    reason = str(document.get("reason") or answer.headers.get(messages.DETAIL, ""))
    holder = document.get("holder")
    raise Refused(reason, holder) if isinstance(holder, str) else Conflict(reason)


def _answered(answer: Message) -> dict[str, Any]:
    document = strict_json.loads(answer.body)
    return document if isinstance(document, dict) else {}


def _refusal(answer: Message) -> ReleaseEngineError:
    kind = REFUSALS.get(answer.headers.get(messages.REASON, ""), errors.Refused)
    detail = answer.headers.get(messages.DETAIL, "")
    if kind is errors.BadMessage:
        return errors.BadMessage(detail)
    if issubclass(kind, errors.BadDocument):
        return kind(detail, _problems(answer.headers.get(messages.PROBLEMS, "")))
    if issubclass(kind, Refused):
        return kind(detail, answer.headers.get(messages.HOLDER, ""))
    return kind(detail)


def _problems(text: str) -> list[Problem]:
    listed = strict_json.loads(text) if text else []
    return [Problem(str(one.get("path", "")), str(one.get("message", ""))) for one in listed if isinstance(one, dict)]
