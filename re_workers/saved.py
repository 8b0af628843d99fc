"""What a later process needs in order to go on with a run, as bytes that only this module reads. Pure.

Steps of today must be resumed by engines of later: a field is never given another meaning, and a new one has a default.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from re_core.errors import BadMessage
from re_core.wire.messages import ATTEMPT, Message, parse_attempt

#: version of the form; an engine reads no newer one
VERSION = 1


class Saved(NamedTuple):
    """A run that has begun."""

    #: the step message, as it was delivered
    message: Message
    #: of the claim
    token: str
    #: nanoseconds since the epoch
    began: int


def write(saved: Saved) -> bytes:
    """The bytes. They hold the step's arguments and the deployment's values, so keep them as the journal is kept."""
    message = saved.message
    document = {
        "v": VERSION,
        "token": saved.token,
        "began": saved.began,
        "body": message.body.decode("utf-8"),
        "id": message.id,
        "deployment": message.correlation_id,
        "reply_to": message.reply_to,
        "headers": dict(message.headers),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()  # longer than a message may be


def read(saved: bytes) -> Saved:
    """The run. Raises BadMessage where the bytes are not of `write`, or of a newer engine's."""
    try:
        document = json.loads(saved)
    except (ValueError, RecursionError) as error:
        raise BadMessage(f"the saved run is no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("v") != VERSION:
        version = document.get("v") if isinstance(document, dict) else None
        raise BadMessage(f"the saved run has the version {version!r:.20}, this engine reads {VERSION}")
    texts = [_text(document, name) for name in ("body", "id", "deployment", "reply_to", "token")]
    headers, began = document.get("headers"), document.get("began")
    if not isinstance(headers, dict) or not all(isinstance(one, str) for one in headers.values()):
        raise BadMessage("expected an object of strings", "/headers")
    if not isinstance(began, int) or isinstance(began, bool):
        raise BadMessage("expected a whole number", "/began")
    body, id, deployment, reply_to, token = texts
    parse_attempt(headers.get(ATTEMPT, ""))
    return Saved(Message("", body.encode(), id, deployment, reply_to, headers), token, began)


def attempt_of(saved: bytes) -> str:
    """The id of the attempt. Raises BadMessage as `read`."""
    return read(saved).message.headers[ATTEMPT]


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise BadMessage("expected a string", f"/{name}")
    return value
