"""Tokens: how a secret is made, kept and found again. Must not know how it is presented.

A secret has 256 random bits, so that a plain SHA-256 of it can be stored: there is nothing to guess, and looking a
digest up tells nobody who measures the time anything about another secret.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from re_core import ports
from re_core.api import answers
from re_core.errors import BadDocument, CallerError, NotAllowed, NotAuthenticated, NotFound, Problem
from re_core.rows import Token
from re_core.usecases.times import parse_time, rfc3339

#: begins every secret, so that scanners of repositories recognise one
PREFIX = "re_"
#: random bytes of a secret
SECRET_BYTES = 32
#: characters of a token's id: the beginning of its digest
ID_LENGTH = 16

#: milliseconds that a token is good for where its maker says nothing: 90 days
LIFETIME = 90 * 24 * 3600 * 1000

#: milliseconds that an expired token stays in the list
KEPT = LIFETIME

#: what its maker says who wants no end
NEVER = "never"

_UNITS = {"d": 24 * 3600 * 1000, "h": 3600 * 1000}

#: milliseconds that it may be told to be good for at most: a hundred years
_LONGEST = 36_525 * _UNITS["d"]


class Minted(NamedTuple):
    """A new token. `secret` is shown once and stored nowhere."""

    secret: str
    token: Token


def digest_of(secret: str) -> str:
    """What a store keeps of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def mint(
    tokens: ports.Tokens,
    clock: ports.Clock,
    user: str,
    groups: Sequence[str] | None,
    admin: bool = False,
    *,
    notify: bool = False,
    expires: str = "",
) -> Minted:
    """Make and store a token; `groups` None reaches every group. Raises BadDocument for an `expires` that `expiry` refuses.

    Those that expired long ago are forgotten by this, so that tokens made by the hour do not pile up.
    """
    now = clock.now()
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    reached = None if groups is None else tuple(groups)
    token = Token(digest_of(secret), user, reached, admin, now, expiry(expires, now), None, notify)
    tokens.add_token(token)
    for old in tokens.tokens():
        if old.expires is not None and old.expires < now - KEPT:
            tokens.revoke_token(old.digest)
    return Minted(secret, token)


def expiry(said: str, now: int) -> int | None:
    """When a token ends: `90d`, `12h`, a time, or `never` (None); LIFETIME where nothing is said. Raises BadDocument."""
    if said == NEVER:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([dh])", said)
    try:
        end = (
            now + int(found[1]) * _UNITS[found[2]] if found else parse_time(said, "expires") if said else now + LIFETIME
        )
    except CallerError:
        why = f"expected never, days or hours such as 90d or 12h, or a time such as 2027-01-31T12:00:00Z, found {said[:60]!r}"
        raise BadDocument("", [Problem("/expires", why)]) from None
    if not now < end <= now + _LONGEST:
        raise BadDocument(
            "", [Problem("/expires", f"expected a time to come within a hundred years, found {said[:60]!r}")]
        )
    return end


def require_good(token: Token, now: int) -> None:
    """Raises NotAuthenticated for one that has expired."""
    if token.expires is not None and now >= token.expires:
        raise NotAuthenticated(f"this token expired at {rfc3339(token.expires)}; ask for another")


def revoke(tokens: ports.Tokens, id: str) -> None:
    """Raises NotFound."""
    found = [token.digest for token in tokens.tokens() if len(id) == ID_LENGTH and token.digest.startswith(id)]
    if not found or not tokens.revoke_token(found[0]):
        raise NotFound(f"there is no token {id[:ID_LENGTH]!r}")


def token_document(token: Token) -> answers.Token:
    """What may be shown of a token."""
    return {
        "id": token.digest[:ID_LENGTH],
        "user": token.user,
        "groups": None if token.groups is None else list(token.groups),
        "admin": token.admin,
        "notify": may_notify(token),
        "created": rfc3339(token.created),
        "expires": rfc3339(token.expires),
        "used": rfc3339(token.used),
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


def may_notify(token: Token) -> bool:
    """An administrator's may in any case."""
    return token.notify or (token.admin and token.groups is None)


def require_notify(token: Token) -> None:
    """Raises NotAllowed."""
    if not may_notify(token):
        raise NotAllowed("this token has no right to send notifications; an administrator makes one with --notify")
