"""From effects to messages, with ids that are the same at every repetition. Must not know whether anybody takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from re_core import events as e
from re_core import messages as m
from re_core.messages import Message
from re_core.state import State

#: `app_id` of what the core sends
APP = "re-core"

_NOTHING = b"{}"


def messages_of(state: State, effects: Iterable[e.Effect]) -> list[Message]:
    """One message for each effect."""
    return [_MAKERS[type(effect)](state, effect) for effect in effects]


def _dispatch(state: State, effect: e.Dispatch) -> Message:
    planned = state.plan.steps[effect.step]
    spec, accepted = planned.spec, state.accepted
    parameters: dict[str, Any] = {} if planned.host is None else {"hosts": [planned.host]}
    # the step's own arguments may not pose as somebody else's command
    parameters = {**spec.parameters, **parameters, "command": spec.command, "subcommand": spec.subcommand}
    body = {
        "parameters": parameters,
        "group": accepted.group,
        "dynamic": accepted.dynamic,
        "notify": spec.notify,
    }
    attempt = f"{state.deployment}/{effect.step}/{effect.attempt}"
    headers = {m.ATTEMPT: attempt, m.TIMEOUT: f"{spec.timeout:g}"}
    if not spec.repeatable:
        headers[m.GRANT] = "1"
    return Message(
        key=f"worker.{spec.command}",
        body=m.encode(body),
        id=attempt,
        correlation_id=state.deployment,
        reply_to=m.reply_queue(state.deployment),
        headers=headers,
        app_id=APP,
    )


def _notify(state: State, effect: e.Notify) -> Message:
    about = f"{state.deployment}/{effect.about}" if effect.about else state.deployment
    body = {"slug": effect.slug, "message": effect.message, "phase": effect.phase, "target": list(effect.target)}
    return Message(
        key=f"notify.{effect.transport}",
        body=m.encode(body),
        id=f"{about}/{effect.phase}/{effect.transport}",
        correlation_id=state.deployment,
        app_id=APP,
    )


def _grant(state: State, effect: e.Grant) -> Message:
    attempt = f"{state.deployment}/{effect.step}/{effect.attempt}"
    word = "go" if effect.go else "no-go"
    return Message(
        key=effect.control,
        body=_NOTHING,
        id=f"{attempt}/{word}/{effect.token}",
        correlation_id=state.deployment,
        headers={m.EVENT: word, m.ATTEMPT: attempt, m.TOKEN: effect.token},
        app_id=APP,
        direct=True,
    )


def _stop(state: State, effect: e.Stop) -> Message:
    attempt = f"{state.deployment}/{effect.step}/{effect.attempt}"
    return Message(
        key=effect.control,
        body=_NOTHING,
        id=f"{attempt}/cancel",
        correlation_id=state.deployment,
        headers={m.EVENT: "cancel", m.ATTEMPT: attempt},
        app_id=APP,
        direct=True,
    )


def _answer(state: State, effect: e.Answer) -> Message:
    body: dict[str, Any] = {"accepted": effect.accepted}
    if effect.reason:
        body["reason"] = effect.reason
    return Message(
        key=effect.reply_to,
        body=m.encode(body),
        id=f"{effect.request}/answer",
        correlation_id=state.deployment,
        app_id=APP,
        direct=True,
    )


_MAKERS: Mapping[type[Any], Callable[[State, Any], Message]] = {
    e.Dispatch: _dispatch,
    e.Notify: _notify,
    e.Grant: _grant,
    e.Stop: _stop,
    e.Answer: _answer,
}


def creation_answer(
    reply_to: str, request: str, deployment: str | None, headers: Mapping[str, str] | None = None
) -> Message:
    """The response to job.create (contract, section 2): one key in the body, the reason of a refusal in headers."""
    return Message(
        key=reply_to,
        body=m.encode({"id": deployment}),
        id=f"{request}/answer",
        correlation_id=deployment or request,
        headers=headers or {},
        app_id=APP,
        direct=True,
    )
