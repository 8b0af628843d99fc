"""The gate: nothing answers without a token but what is listed here. Must not know what a route does.

A token may come as a bearer, and on version 0 as the password of HTTP Basic; the Basic user name is ignored.
"""

from __future__ import annotations

import binascii
import hmac
import time
from base64 import b64decode
from collections.abc import Callable
from typing import cast

from flask import current_app, g, request

from re_core import ports
from re_core.errors import NotAuthenticated
from re_core.model import Token
from re_core.usecases.access import digest_of
from re_rest.errors import V0

#: seconds that a token is believed without asking the store again; so long a revoked one may live in another process
BELIEVED = 5.0

#: tokens that are remembered at most
REMEMBERED = 1024

#: where the application keeps its gate
EXTENSION = "release_engine_gate"

#: endpoints that answer anybody
OPEN = frozenset(
    {
        "health.alive",
        "health.ready",
        "docs.front",
        "docs.openapi",
        "docs.page",
        "static",
        "schemas.names",
        "schemas.one",
    }
)


class Gate:
    """Who holds which token. Remembers only tokens that are good, and only for a moment."""

    def __init__(self, tokens: ports.Tokens, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tokens = tokens
        self._monotonic = monotonic
        self._known: dict[str, tuple[Token, float]] = {}

    def admit(self, secret: str) -> Token:
        """The token of this secret. Raises NotAuthenticated."""
        digest = digest_of(secret)
        now = self._monotonic()
        token, until = self._known.get(digest, (None, 0.0))
        if token is None or now >= until:
            token = self._tokens.token(digest)
            # the digest was looked up, which tells nothing about another secret; compared again because a
            # store that folds case would otherwise let a near miss in
            if token is None or not hmac.compare_digest(token.digest, digest):
                raise NotAuthenticated("this token is not known here, or was revoked")
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[digest] = (token, now + BELIEVED)
        return token

    def forget(self) -> None:
        """Ask the store about everybody again."""
        self._known.clear()


def gate() -> Gate:
    """That of the application that answers this request."""
    return cast(Gate, current_app.extensions[EXTENSION])


def ask() -> None:
    """Ask everybody at the door. Raises NotAuthenticated."""
    if request.endpoint not in OPEN:
        g.token = gate().admit(presented())


def presented() -> str:
    """The secret that this request brings. Raises NotAuthenticated."""
    header = request.headers.get("Authorization", "")
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer" and value:
        return value.strip()
    if scheme.lower() == "basic" and request.path.startswith(V0):
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            raise NotAuthenticated("the Basic credentials cannot be read") from None
    raise NotAuthenticated("a token is needed: Authorization: Bearer …")
