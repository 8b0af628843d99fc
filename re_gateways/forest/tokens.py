"""Release tokens: 32 random bytes as 64 hexadecimal digits. Kept is only the SHA-256 of the bytes. Must not know releases."""

from __future__ import annotations

import hashlib
import re
import secrets

#: bytes of a token
SIZE = 32

_TOKEN = re.compile(r"[0-9a-fA-F]{64}")


def make() -> str:
    """A token that was never used."""
    return secrets.token_hex(SIZE)


def digest(token: str) -> str:
    """Hexadecimal SHA-256 of the token's bytes; empty where the text is no token."""
    return hashlib.sha256(bytes.fromhex(token)).hexdigest() if _TOKEN.fullmatch(token) else ""
