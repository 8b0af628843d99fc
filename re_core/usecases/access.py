"""Tokens: how a secret is made, kept and found again. Must not know how it is presented.

A secret has 256 random bits, so that a plain SHA-256 of it can be stored: there is nothing to guess, and looking a
digest up tells nobody who measures the time anything about another secret.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from re_core import ports
from re_core.errors import NotAllowed, NotFound
from re_core.model import Token
from re_core.usecases.times import rfc3339

#: begins every secret, so that scanners of repositories recognise one
PREFIX = "re_"
#: random bytes of a secret
SECRET_BYTES = 32
#: characters of a token's id: the beginning of its digest
ID_LENGTH = 16


class Minted(NamedTuple):
    """A new token. `secret` is shown once and stored nowhere."""

    secret: str
    token: Token


def digest_of(secret: str) -> str:
    """What a store keeps of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def mint(
    tokens: ports.Tokens, clock: ports.Clock, user: str, groups: Sequence[str] | None, admin: bool = False
) -> Minted:
    """Make and store a token; `groups` None reaches every group."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    token = Token(digest_of(secret), user, None if groups is None else tuple(groups), admin, clock.now())
    tokens.add_token(token)
    return Minted(secret, token)


def revoke(tokens: ports.Tokens, id: str) -> None:
    """Raises NotFound."""
    found = [token.digest for token in tokens.tokens() if len(id) == ID_LENGTH and token.digest.startswith(id)]
    if not found or not tokens.revoke_token(found[0]):
        raise NotFound(f"there is no token {id[:ID_LENGTH]!r}")


def token_document(token: Token) -> dict[str, Any]:
    """What may be shown of a token."""
    return {
        "id": token.digest[:ID_LENGTH],
        "user": token.user,
        "groups": None if token.groups is None else list(token.groups),
        "admin": token.admin,
        "created": rfc3339(token.created),
    }


def require_group(token: Token, group: str) -> None:
    """Raises NotAllowed."""
    if not token.reaches(group):
        raise NotAllowed(f"this token does not reach the group {group[:100]!r}")


def require_all_groups(token: Token) -> None:
    """For dead letters, which belong to no group. Raises NotAllowed."""
    if token.groups is not None:
        raise NotAllowed("dead letters belong to no group: they need a token that reaches all groups")


def require_admin(token: Token) -> None:
    """Raises NotAllowed."""
    # whoever makes tokens could make one for every group, so who does not reach all of them may not
    if not token.admin or token.groups is not None:
        raise NotAllowed("this token may not make, list or revoke tokens")
