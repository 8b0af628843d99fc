"""The answer to the caller of job.create. Must not know why it is what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from re_core.wire import messages as m
from re_core.wire.messages import APP, Message


class Rejection(NamedTuple):
    """A refusal: the answer to the caller, and, where the message becomes a dead letter, why."""

    messages: Sequence[Message]
    reason: str = ""
    dead: str = ""


def creation_answer(request: Message, deployment: str | None, headers: Mapping[str, str] | None = None) -> Message:
    """The response to job.create (docs/wire-format.md, Deployment): one key in the body, the reason of a refusal in headers.

    It belongs to the deployment, unless an aggregate asked: then it is an event for that one.
    """
    asker = request.headers.get(m.ASKER, "")
    said = {m.EVENT: m.CREATED, m.REQUEST: request.id} if asker else {}
    return Message(
        key=request.reply_to,
        body=m.encode({"id": deployment}),
        id=f"{request.id}/answer",
        correlation_id=asker or deployment or request.id,
        headers={**said, **(headers or {})},
        app_id=APP,
        direct=True,
    )
