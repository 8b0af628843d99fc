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


def creation_answer(
    reply_to: str, request: str, deployment: str | None, headers: Mapping[str, str] | None = None
) -> Message:
    """The response to job.create (docs/wire-format.md, Deployment): one key in the body, the reason of a refusal in headers."""
    return Message(
        key=reply_to,
        body=m.encode({"id": deployment}),
        id=f"{request}/answer",
        correlation_id=deployment or request,
        headers=headers or {},
        app_id=APP,
        direct=True,
    )
