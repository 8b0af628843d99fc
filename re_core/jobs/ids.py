"""Ids of deployments, derived so that every core makes the same. Pure; must not know who asks for them."""

from __future__ import annotations

import hashlib

#: digits of a ULID, and how many it has
_DIGITS, _LENGTH = "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26


def deployment_id(at: int, *parts: str) -> str:
    """A ULID of the time `at` (milliseconds since the epoch) and of the digest of `parts`: the same at every repetition."""
    number = (at << 80) | int.from_bytes(digest_of(parts)[:10], "big")
    return "".join(_DIGITS[(number >> 5 * place) & 31] for place in reversed(range(_LENGTH)))


def digest_of(parts: tuple[str, ...]) -> bytes:
    """SHA-256 of the parts; parts that are divided differently have another one."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
