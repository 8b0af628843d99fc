"""A notice as an event of CloudEvents 1.0, signed as Standard Webhooks has it. Pure: time and secrets arrive as arguments.

Sources: https://github.com/cloudevents/spec (structured mode, JSON format), https://www.standardwebhooks.com (specification,
"Webhook Headers", "Signature scheme": symmetric).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from re_core.wire.notice_facts import Facts
from re_core.wire.strict_json import dumps
from re_workers.notify.handler import Notice

#: begins the `type` of every event; the phase follows
TYPE = "release-engine.notification"

#: what the body is
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"

#: begins a secret in its usual form, and its bytes: at least and at most
PREFIX, LEAST, MOST = "whsec_", 24, 64

#: what an id may be in a header; a full stop would end it in what is signed
_PLAIN = re.compile(r"[A-Za-z0-9/_:+=@-]{1,200}")

#: hexadecimal digits of the digest of any other id
_DIGITS = 32


def key_of(secret: str) -> bytes:
    """The key in a secret: `whsec_` and base64, padded or not. Raises ValueError, which does not repeat it."""
    text = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not {PREFIX} and base64") from None
    if not LEAST <= len(key) <= MOST:
        raise ValueError(f"has {len(key)} bytes, and must have {LEAST} to {MOST}")
    return key


def event_of(notice: Notice, id: str, source: str, link: str) -> bytes:
    """The event as JSON; the same at every repetition. `source` is a URI reference that names the engine."""
    facts = notice.facts
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": f"{TYPE}.{notice.phase}",
        "datacontenttype": "application/json",
        "data": _data(notice, facts, link),
    }
    if facts.deployment:
        document["subject"] = facts.deployment
    if facts.at:
        moment = datetime.fromtimestamp(facts.at / 1000, UTC)
        document["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return dumps(document).encode("utf-8", "replace")


def webhook_id(notification_id: str) -> str:
    """The id of the message, the same at every repetition, in characters that a header takes."""
    if _PLAIN.fullmatch(notification_id):
        return notification_id
    return hashlib.sha256(notification_id.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def signed_headers(id: str, seconds: int, body: bytes, keys: Iterable[bytes]) -> Mapping[str, str]:
    """The three headers; `seconds` since the epoch. With several keys (one replaces another) it has a signature by each."""
    text = f"{id}.{seconds}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, text, "sha256")).decode() for key in keys]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
    }


def _data(notice: Notice, facts: Facts, link: str) -> Mapping[str, Any]:
    step = facts.step
    found = {
        "slug": notice.slug,
        "message": notice.message,
        "phase": notice.phase,
        **{name: value for name, value in facts._asdict().items() if name not in ("at", "took", "step")},
        "took_ms": facts.took,
        "step": None
        if step is None
        else {name: value for name, value in step._asdict().items() if value not in ("", ())},
        "link": link,
    }
    return {name: value for name, value in found.items() if value not in ("", (), None)}
