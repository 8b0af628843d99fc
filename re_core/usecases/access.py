"""Tokens: how a secret is made, kept and found again. Must not know how it is presented.

A secret has 256 random bits, so that a plain SHA-256 of it can be stored: there is nothing to guess, and looking a
digest up tells nothing about another secret to a caller that measures the time.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from re_core import ports
from re_core.api import answers
from re_core.errors import BadDocument, CallerError, Conflict, NotAuthenticated, NotFound, Problem
from re_core.rows import Token
from re_core.usecases import keys
from re_core.usecases.authorization import Allowed, Binding, Principal, Verb, can, require
from re_core.usecases.ids import new_id
from re_core.usecases.times import parse_time, rfc3339

#: begins every secret, so that scanners of repositories recognise one
PREFIX = "re_"
#: random bytes of a secret
SECRET_BYTES = 32
#: characters of a token's id: the beginning of its digest
ID_LENGTH = 16

#: milliseconds that a token is valid for where its maker says nothing: 90 days
LIFETIME = 90 * 24 * 3600 * 1000

#: milliseconds that an expired token stays in the list
KEPT = LIFETIME

#: begins the names under which pipelines start deployments
PIPELINES = "cdpm:"

#: `expires` of a token without an end
NEVER = "never"

_UNITS = {"d": 24 * 3600 * 1000, "h": 3600 * 1000}

#: milliseconds that a token may be valid for at most: a hundred years
_LONGEST = 36_525 * _UNITS["d"]


class Minted(NamedTuple):
    """A new token. `secret` is shown once and stored nowhere."""

    secret: str
    token: Token


class WantedToken(NamedTuple):
    """A token that a caller asks for."""

    user: str
    #: None: every group
    groups: Sequence[str] | None
    admin: bool
    notify: bool
    #: as `expiry` reads it
    expires: str
    #: the request's document, which a repetition must have too
    said: Mapping[str, Any]


class _Store(ports.Tokens, ports.IdempotencyKeys, Protocol):
    """The part of a store that making a token needs."""


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
    """Make and store a token; `groups` None reaches every group. Raises BadDocument for a user or an `expires` that may not be.

    Those that expired long ago are deleted by this, so that tokens made by the hour do not pile up.
    """
    check_user(user)
    now = clock.now()
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    reached = None if groups is None else tuple(groups)
    token = Token(digest_of(secret), user, reached, admin, now, expiry(expires, now), None, notify)
    tokens.add_token(token)
    for old in tokens.tokens():
        if old.expires is not None and old.expires < now - KEPT:
            tokens.revoke_token(old.digest)
    return Minted(secret, token)


def check_user(user: str) -> None:
    """No token may look like a pipeline in journals and lists. Raises BadDocument."""
    if user.strip().lower().startswith(PIPELINES):
        why = f"names that begin with {PIPELINES} are those of pipelines; take another one"
        raise BadDocument("", [Problem("/user", why)])


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
        raise BadDocument("", [Problem("/expires", f"expected a time in the next hundred years, found {said[:60]!r}")])
    return end


def require_good(token: Token, now: int) -> None:
    """Raises NotAuthenticated for one that has expired."""
    if token.expires is not None and now >= token.expires:
        raise NotAuthenticated(f"this token expired at {rfc3339(token.expires)}; ask an administrator for another one")


def principal_of(token: Token) -> Principal:
    """The caller that presented it, with the roles that the token stands for."""
    groups = (None,) if token.groups is None else token.groups
    bindings = [Binding("member", group) for group in groups]
    # a caller that makes tokens could make one for every group, so a token that does not reach all of them does not give the right
    if token.admin and token.groups is None:
        bindings.append(Binding("admin"))
    if token.notify:
        bindings.append(Binding("notifier"))
    return Principal(token.user, tuple(bindings))


def make(store: _Store, clock: ports.Clock, principal: Principal, wanted: WantedToken, key: str) -> Minted:
    """Make a token, once for an idempotency key (empty: none). Raises NotAllowed, BadDocument, KeyReused, Conflict."""
    require(principal, Verb.ADMIN, None)
    # before the key is taken
    check_user(wanted.user)
    expiry(wanted.expires, clock.now())
    _, new = keys.claim(store, principal.subject, "tokens", key, wanted.said, new_id())
    if not new:
        raise Conflict(
            "this request has already created a token, and its secret is shown only once; revoke that token and create another one"
        )
    return mint(
        store,
        clock,
        wanted.user,
        wanted.groups,
        wanted.admin,
        notify=wanted.notify,
        expires=wanted.expires,
    )


def listed(tokens: ports.Tokens, principal: Principal) -> list[answers.Token]:
    """What may be shown of all tokens. Raises NotAllowed."""
    require(principal, Verb.ADMIN, None)
    return [token_document(token) for token in tokens.tokens()]


def revoke(tokens: ports.Tokens, principal: Principal, id: str) -> None:
    """Raises NotAllowed, NotFound."""
    require(principal, Verb.ADMIN, None)
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
        "notify": isinstance(can(principal_of(token), Verb.NOTIFY, None), Allowed),
        "created": rfc3339(token.created),
        "expires": rfc3339(token.expires),
        "used": rfc3339(token.used),
    }
