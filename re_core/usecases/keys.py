"""Idempotency keys: two requests with one key are one. Must not know routes or headers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from re_core import ports
from re_core.errors import CallerError, KeyReused
from re_core.ports import KeyRecord
from re_core.wire import strict_json

#: characters of the longest key
MAX_KEY = 255


def check_key(key: str | None) -> str:
    """The key as it came; nothing where there is none. Raises CallerError."""
    if key is None:
        return ""
    if not key:
        raise CallerError("the Idempotency-Key is empty; send none, or a new one for every request")
    if key and not (len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise CallerError(f"an Idempotency-Key has at most {MAX_KEY} printable ASCII characters")
    return key


def key_digest(user: str, route: str, key: str) -> str:
    """What a store keeps of a key: different for another user's key, and for one of another route."""
    return hashlib.sha256("\0".join((user, route, key)).encode()).hexdigest()


def body_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical spelling: two bodies that mean the same have one digest."""
    return hashlib.sha256(strict_json.dumps(_sorted(document)).encode()).hexdigest()


def claim(
    requests: ports.IdempotencyKeys, user: str, route: str, key: str, document: Mapping[str, Any], id: str
) -> tuple[str, bool]:
    """The id that this request stands for, and whether it is new. Raises KeyReused for another body."""
    if not key:
        return id, True
    wanted = KeyRecord(key_digest(user, route, key), id, body_digest(document))
    standing = requests.claim(wanted)
    if standing.digest != wanted.digest:
        raise KeyReused
    return standing.deployment, standing.deployment == id


def request_id(
    requests: ports.IdempotencyKeys, user: str, route: str, key: str, document: Mapping[str, Any], deployment: str
) -> str:
    """Id of a request about a deployment: the same whenever it comes with that key, empty without one. Raises KeyReused."""
    if not key:
        return ""
    claim(requests, user, route, key, document, deployment)
    return key_digest(user, route, key)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    return value
