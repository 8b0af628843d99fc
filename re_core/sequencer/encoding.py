"""From effects to messages, with ids that are the same at every repetition. Must not know whether they are consumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from re_core.deployment import events as e
from re_core.deployment.feed import KIND, WHATS, events_of, whats_of
from re_core.deployment.host_rows import trusted_now
from re_core.deployment.notice_facts import facts_of
from re_core.deployment.plan import Hosts
from re_core.deployment.reasons import stop_reason
from re_core.deployment.records import Entry
from re_core.deployment.senders import Protection
from re_core.deployment.state import State
from re_core.playbook.host_rules import HostResolver
from re_core.usecases.feed import cloud_event
from re_core.usecases.step_message import host_headers, step_document
from re_core.wire import messages as m
from re_core.wire import notice_facts
from re_core.wire.messages import APP, Message
from re_core.wire.places import ENVIRONMENT, POOL, step_queue
from re_core.wire.proof import UNPROVEN
from re_core.wire.recorded import ADOPT, CLAIMED
from re_core.wire.redaction import Redaction
from re_core.wire.strict_json import dumps
from re_core.wire.trace_context import TRACEPARENT, DeploymentTrace

_NOTHING = b"{}"

#: what happened -> the key of its message
_EVENT_KEYS = {what: f"{m.EVENTS}{KIND}.{what}" for what in WHATS}

#: milliseconds after which a grant that was not read is worth nothing: the worker has declined the step (docs/wire-format.md, Reply)
GRANT_LIFE = 30_000


def messages_of(
    state: State,
    effects: Iterable[e.Effect],
    redaction: Redaction = Redaction(),  # noqa: B008  # it is immutable
    trace: DeploymentTrace | None = None,
    pooled: bool = True,
    now: int = 0,
    protection: Protection = Protection(),  # noqa: B008  # it is immutable
    known: HostResolver | None = None,
) -> list[Message]:
    """One message for each effect; what several events of a batch ask for is sent once. Steps and notifications carry the trace.

    `pooled`: a step that names a pool goes to the pool's queue; else one process has all workers. `now` in milliseconds since the
    epoch. `protection`: before which steps a worker has to show who it is. `known`: by whose keys steps trust their hosts; without it
    by those of the plan.
    """
    messages: list[Message] = []
    for effect in dict.fromkeys(effects):
        if type(effect) is e.Dispatch:
            message = _dispatch(state, effect, trace, pooled, protection, known)
        elif type(effect) is e.HandedOver:
            message = _hand(state, effect, trace, known)
        elif type(effect) is e.Adopt:
            message = _adopt(state, effect, trace, pooled, known)
        elif type(effect) is e.Grant:
            message = _grant(state, effect, now)
        elif type(effect) is e.Notify:
            message = _notify(state, effect, redaction)
            if trace is not None:
                message = trace.stamp(message, state.deployment)
        else:
            message = _MAKERS[type(effect)](state, effect)
        messages.append(message)
    return messages


def news_messages(state: State, entry: Entry, listened: Callable[[str], bool]) -> list[Message]:
    """An event for each record of the entry that has one, and a hint that the journal grew where none has.

    `listened`: of a routing key, whether a message with it reaches anything.
    """
    whats = whats_of(entry)
    if not whats:
        return [_hint(entry)] if listened(m.JOURNAL_GREW) else []
    wanted = [what for what in whats if listened(_EVENT_KEYS[what])]
    if not wanted:
        return []
    return [
        Message(
            key=_EVENT_KEYS[event.what],
            body=m.encode(cloud_event(event)),
            id=event.id,
            correlation_id=entry.deployment,
            app_id=APP,
        )
        for event in events_of(entry, state.accepted, state.plan)
        if event.what in wanted
    ]


def _hint(entry: Entry) -> Message:
    return Message(m.JOURNAL_GREW, _NOTHING, entry.id, entry.deployment, app_id=APP)


def _dispatch(
    state: State,
    effect: e.Dispatch | e.Adopt | e.HandedOver,
    trace: DeploymentTrace | None,
    pooled: bool = True,
    protection: Protection = Protection(),  # noqa: B008  # it is immutable
    known: HostResolver | None = None,
) -> Message:
    planned = state.plan.steps[effect.step]
    spec, accepted = planned.spec, state.accepted
    body = step_document(planned, accepted.group, accepted.dynamic)
    attempt = f"{state.deployment}/{effect.step}/{effect.attempt}"
    headers = {
        m.ATTEMPT: attempt,
        m.TIMEOUT: f"{spec.timeout:g}",
        m.QUOTA: str(state.plan.output_quota),
        m.TURN: str(state.steps[effect.step].dispatched_at or 0),
    }
    if planned.host is not None:
        headers |= host_headers(planned.host, _hosts(planned.host, state.plan.hosts, known))
    if not spec.repeatable:
        headers[m.GRANT] = "1"
    elif m.HOST in headers or (isinstance(effect, e.Dispatch) and effect.again):
        # on a host the worker asks first in any case, so that no copy reaches it
        headers[m.GRANT] = m.AGAIN
    elif protection.of(spec.pool, spec.environment):
        headers[m.GRANT] = m.AGAIN
    if spec.pool:
        headers[POOL] = spec.pool
    if spec.environment:
        headers[ENVIRONMENT] = spec.environment
    if trace is not None:
        headers[TRACEPARENT] = trace.parent(attempt).header
    pool = spec.pool if pooled else ""
    return Message(
        key=step_queue(spec.command, pool),
        # as that of a lane, the queue of a pool has no binding
        direct=bool(pool),
        body=m.encode(body),
        id=attempt,
        correlation_id=state.deployment,
        reply_to=m.reply_queue(state.deployment),
        headers=headers,
        app_id=APP,
        # by then the step is given up
        expires=int(state.plan.patience * 1000),
    )


def _hosts(host: str, hosts: Hosts, known: HostResolver | None) -> Hosts:
    """What the plan says of the host and of those through which it is reached, with the keys that `known` trusts."""
    if known is None or host not in hosts.rows:
        return hosts
    return hosts._replace(rows=trusted_now(host, hosts.rows, known.resolve((host,), "").rows))


def _adopt(
    state: State, effect: e.Adopt, trace: DeploymentTrace | None, pooled: bool, known: HostResolver | None
) -> Message:
    """The step once more, for a worker that goes on with it. An older worker asks to begin it, and is refused."""
    message = _dispatch(state, effect, trace, pooled, known=known)
    moves = str(effect.moves)
    return message._replace(
        id=f"{message.id}/adopt/{moves}",
        headers={**message.headers, m.GRANT: "1", ADOPT: "1", m.TOKEN: effect.token, m.MOVES: moves},
    )


def _hand(state: State, effect: e.HandedOver, trace: DeploymentTrace | None, known: HostResolver | None) -> Message:
    """For a worker that cannot be asked: once, with an address of its own, and not after the step has been given up."""
    message = _dispatch(state, effect, trace, known=known)
    return message._replace(
        reply_to=m.attempt_queue(m.AttemptId(state.deployment, effect.step, effect.attempt)),
        # which a worker of 2014 does not read; one of ours that gets it all the same asks, since it may be delivered twice
        headers={**message.headers, m.GRANT: "1"},
        once=True,
    )


def _notify(state: State, effect: e.Notify, redaction: Redaction) -> Message:
    about = f"{state.deployment}/{effect.about}" if effect.about else state.deployment
    values = _values(state, redaction)
    # of a step it has the step's number in it
    number, slash, _ = effect.about.partition("/")
    facts = facts_of(state, int(number) if slash else None, effect.phase, ", ".join(values))
    slug, text = effect.slug, effect.message
    if not slash:
        text = f"{text} ({', '.join([f'revision {state.accepted.revision}', *values])})"
        slug = ", ".join([slug, *values])
    if len(slug) > m.MAX_SLUG or not slug.isprintable():
        slug = effect.slug
    body = {"slug": slug, "message": text, "phase": effect.phase, "target": list(effect.target)}
    id = f"{about}/{effect.phase}/{effect.transport}"
    headers = {notice_facts.ABOUT: notice_facts.write(facts)}
    return m.notification_message(effect.transport, body, id, state.deployment, APP, headers)


def _values(state: State, redaction: Redaction) -> list[str]:
    """`version=1.4.2`: what the deployment was started with."""
    shown = redaction.shown(state.accepted.dynamic)
    return [f"{name}={value if isinstance(value, str) else dumps(value)}" for name, value in shown.items()]


def _grant(state: State, effect: e.Grant, now: int) -> Message:
    message = _control(state, effect, "go" if effect.go else "no-go", effect.token, GRANT_LIFE)
    if effect.unproven:
        message = message._replace(headers={**message.headers, m.REASON: UNPROVEN})
    step = state.step(effect.step)
    if effect.go and step.recorded and step.moves:
        # a host that was booted since may have lost the record. Here, and not with the step: that may lie in its queue for long
        age = max(0, now - (step.started_at or 0))
        message = message._replace(headers={**message.headers, CLAIMED: str(age)})
    return message._replace(body=m.encode({"reason": effect.reason})) if effect.reason else message


def _keep(state: State, effect: e.Keep) -> Message:
    return _control(state, effect, "kept", effect.token)


def _inquire(state: State, effect: e.Inquire) -> Message:
    return _control(state, effect, "tell", expires=GRANT_LIFE)._replace(reply_to=m.reply_queue(state.deployment))


def _stop(state: State, effect: e.Stop) -> Message:
    reason = stop_reason(state, effect.step, effect.attempt)
    return _control(state, effect, "cancel")._replace(body=m.encode({"reason": reason}))


def _control(
    state: State, effect: e.Grant | e.Inquire | e.Keep | e.Stop, word: str, token: str = "", expires: int | None = None
) -> Message:
    """A message about an attempt, or about the claim of it that has this token, for the control queue of the worker that claimed it."""
    attempt = f"{state.deployment}/{effect.step}/{effect.attempt}"
    headers = {m.EVENT: word, m.ATTEMPT: attempt}
    if token:
        headers[m.TOKEN] = token
    return Message(
        key=effect.control,
        body=_NOTHING,
        id=f"{attempt}/{word}/{token}" if token else f"{attempt}/{word}",
        correlation_id=state.deployment,
        headers=headers,
        app_id=APP,
        direct=True,
        expires=expires,
    )


def rejection_messages(deployment: str, request: e.OperatorRequest, reason: str) -> list[Message]:
    """The answer to an operator's request about a deployment that does not exist; nothing where no caller waits."""
    if not request.reply_to:
        return []
    return [_answered(deployment, e.Answer(request.reply_to, request.request, accepted=False, reason=reason))]


def _answer(state: State, effect: e.Answer) -> Message:
    return _answered(state.deployment, effect)


def _answered(deployment: str, effect: e.Answer) -> Message:
    body: dict[str, Any] = {"accepted": effect.accepted}
    if effect.reason:
        body["reason"] = effect.reason
    if effect.holder:
        body["holder"] = effect.holder
    return Message(
        key=effect.reply_to,
        body=m.encode(body),
        id=f"{effect.request}/answer",
        correlation_id=deployment,
        app_id=APP,
        direct=True,
    )


#: of what carries no trace
_MAKERS: Mapping[type[Any], Callable[[State, Any], Message]] = {
    e.Inquire: _inquire,
    e.Keep: _keep,
    e.Stop: _stop,
    e.Answer: _answer,
}
