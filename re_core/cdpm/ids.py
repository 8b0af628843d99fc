"""Names of pipelines, subscriptions and deployments, derived so that every core makes the same. Pure; must not know the state."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

#: the kind of aggregate
KIND = "pipeline"

#: digits of a ULID, and how many it has
_DIGITS, _LENGTH = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26


class ReleaseKey(NamedTuple):
    """Which release of a dependency: its number alone is not enough, for a dependency restored from a backup counts again."""

    id: int | str
    created_at: str


def pipeline_key(id: str) -> str:
    """Key of the aggregate: of its journal, its row and its messages."""
    return f"{KIND}/{id}"


def deployment_id(at: int, *parts: str) -> str:
    """A ULID of the time `at` (milliseconds since the epoch) and of the digest of `parts`: the same at every repetition."""
    number = (at << 80) | int.from_bytes(_digest(parts)[:10], "big")
    return "".join(_DIGITS[(number >> 5 * place) & 31] for place in reversed(range(_LENGTH)))


def subscription_id(at: int, *parts: str) -> str:
    """In the form of a UUID (version 8, RFC 9562), of what is subscribed to and when: one that ended never comes back."""
    raw = bytearray(_digest((str(at), *parts))[:16])
    raw[6], raw[8] = raw[6] & 0x0F | 0x80, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _digest(parts: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
