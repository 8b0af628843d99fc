"""Ask the engine for a deployment, or something of one, and understand its answer. Must not know how it decides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from re_core import errors
from re_core.errors import Conflict, NoAnswer, Problem, Refused, ReleaseEngineError, StoreUnavailable
from re_core.model import Resolution
from re_core.ports import UNOBSERVED, Bus, Observer
from re_core.usecases.authorization import Principal, Verb, require
from re_core.usecases.ids import new_id
from re_core.usecases.keys import body_digest, key_digest
from re_core.wire import messages, strict_json
from re_core.wire.messages import DeploymentRequest, Message
from re_core.wire.trace_context import TRACEPARENT, TraceContext, parse, span_id, trace_id

#: part of every idempotency key of this use case, whichever front end it came through
ROUTE = "deployments"
#: the front end's name on the bus
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


class Origin(NamedTuple):
    """Where a request came from."""

    #: the address of the caller
    source: str = ""
    #: its Idempotency-Key; empty where there is none
    key: str = ""
    #: its `traceparent`, as it came; empty where there is none
    trace: str = ""


class Found(NamedTuple):
    """A deployment that is there."""

    deployment: str
    group: str


class Author(NamedTuple):
    """The author of a request about a deployment, and its reason; journals keep it."""

    principal: Principal
    reason: str = ""
    #: id of the request, the same at every repetition (keys.request_id); empty where it will not be repeated
    request: str = ""


def create(
    bus: Bus,
    principal: Principal,
    request: DeploymentRequest,
    origin: Origin,
    timeout: float,
    trouble: Callable[[], str] = lambda: "",
    observer: Observer = UNOBSERVED,
) -> str:
    """The id of a deployment that from here on survives a crash; `timeout` in seconds.

    `trouble` says what keeps the core from accepting any, where it knows. Raises the error that a refusal names
    (REFUSALS), NotAllowed, StoreUnavailable while there is trouble, NoAnswer with the minted id, BusUnavailable.
    """
    require(principal, Verb.DEPLOY, request.group)
    if why := trouble():
        raise StoreUnavailable(why)
    body = {"group": request.group, "playbook_id": request.playbook_id, "dynamic": request.dynamic}
    headers = {messages.USER: principal.subject, messages.SOURCE: origin.source}
    if origin.key:
        headers[messages.KEY] = key_digest(principal.subject, ROUTE, origin.key)
        headers[messages.KEY_DIGEST] = body_digest(body)
    id, began, parent = new_id(), time.time_ns(), parse(origin.trace)
    context = _requested(id, parent) if observer.traces else parent
    if context is not None:
        headers[TRACEPARENT] = context.header
    message = Message(
        "job.create",
        messages.encode(body),
        id,
        correlation_id=id,
        headers=headers,
        app_id=APP_ID,
    )
    outcome = "error"
    try:
        answer = bus.request(message, timeout)
        if answer is None:
            if why := trouble():
                raise StoreUnavailable(
                    f"{why}; if the core received the request before that, the deployment's id is {id}"
                )
            raise NoAnswer(
                f"the engine did not answer within {timeout:g} s; if it received the request, the deployment's id is {id}",
                id,
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


def cancel(bus: Bus, found: Found, author: Author, timeout: float) -> None:
    """Ask a deployment to end; `timeout` in seconds. Raises NotAllowed, Conflict where it cannot, NoAnswer, BusUnavailable."""
    _request(bus, Verb.OPERATE, found, author, "cancel", {}, timeout)


def retry(bus: Bus, found: Found, author: Author, lost: Resolution | None, retries: int | None, timeout: float) -> None:
    """Ask a failed deployment to go on from what failed.

    `lost` says what became of its lost steps, `retries` how often it had been retried when the author looked (None: not
    said). Raises NotAllowed, Conflict where it cannot go on, Refused where another deployment stands in the way, NoAnswer, BusUnavailable.
    """
    _request(
        bus,
        Verb.OPERATE,
        found,
        author,
        "retry",
        {"lost": None if lost is None else lost.recorded, "retries": retries},
        timeout,
    )


def resolve(
    bus: Bus, found: Found, author: Author, step: int, resolution: Resolution, attempt: int, timeout: float
) -> None:
    """Say what became of a lost step on which the deployment waits; `attempt` is the one looked at, 0 where that is not said.

    Raises NotAllowed, Conflict where nothing waits for that, NoAnswer, BusUnavailable.
    """
    _request(
        bus,
        Verb.RESOLVE,
        found,
        author,
        "decide",
        {"step": step, "ruling": resolution.recorded, "attempt": attempt},
        timeout,
    )


def _request(
    bus: Bus, verb: Verb, found: Found, author: Author, event: str, more: Mapping[str, Any], timeout: float
) -> None:
    require(author.principal, verb, found.group)
    said = {name: value for name, value in more.items() if value is not None}
    message = Message(
        messages.reply_queue(found.deployment),
        messages.encode({"user": author.principal.subject, "reason": author.reason, **said}),
        author.request or new_id(),
        correlation_id=found.deployment,
        headers={messages.EVENT: event},
        app_id=APP_ID,
        direct=True,
    )
    answer = bus.request(message, timeout)
    if answer is None:
        id = found.deployment
        raise NoAnswer(
            f"the engine did not answer within {timeout:g} s; it may still {event} {id}: check the deployment", id
        )
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
