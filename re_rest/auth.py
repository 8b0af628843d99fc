"""The gate: nothing answers without a token but what is listed here. Must not know what a route does.

A token may come as a bearer, and on version 0 as the password of HTTP Basic; the Basic user name is ignored.
"""

from __future__ import annotations

import binascii
import hmac
import logging
import time
from base64 import b64decode
from collections.abc import Callable
from typing import Any, cast

from flask import Response, after_this_request, current_app, g, request

from re_core import ports
from re_core.errors import NotAuthenticated, ReleaseEngineError
from re_core.rows import Token
from re_core.usecases.access import digest_of, principal_of, require_good
from re_rest.errors import V0

_log = logging.getLogger(__name__)

#: seconds that a token is believed without asking the store again; so long a revoked one may live in another process, and in
#: an answer that is being sent
BELIEVED = 5.0

#: seconds between two notes of a token's last use, in one process
WRITTEN = 60.0

#: tokens that are remembered at most
REMEMBERED = 1024

#: where the application keeps its gate
EXTENSION = "release_engine_gate"

#: endpoints that need no token
OPEN = frozenset(
    {
        "cdpm.connect",
        "cdpm.subscribe",
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


class Authenticator:
    """Checks tokens. Remembers only tokens that are good, and only for a moment."""

    def __init__(
        self, tokens: ports.Tokens, clock: ports.Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._tokens, self._clock, self._monotonic = tokens, clock, monotonic
        self._known: dict[str, tuple[Token, float]] = {}
        #: digest -> when its use was written down last
        self._written: dict[str, float] = {}

    def admit(self, secret: str, fresh: bool = False) -> Token:
        """The token of this secret; `fresh`: as the store has it now. Raises NotAuthenticated."""
        digest = digest_of(secret)
        now = self._monotonic()
        token, until = self._known.get(digest, (None, 0.0))
        if token is None or now >= until or fresh:
            token = self._tokens.token(digest)
            # the digest was looked up, which tells nothing about another secret; compared again because a
            # store that folds case would otherwise let a near miss in
            if token is None or not hmac.compare_digest(token.digest, digest):
                self._known.pop(digest, None)
                raise NotAuthenticated("this token is unknown or was revoked")
            _bound(self._known)
            self._known[digest] = (token, now + BELIEVED)
        require_good(token, self._clock.now())
        return token

    def forget(self) -> None:
        """Read every token from the store again."""
        self._known.clear()

    def claims_use(self, token: Token) -> bool:
        """Whether it is time to write the token's use down; the caller that gets True does so."""
        now = self._monotonic()
        if now < self._written.get(token.digest, -WRITTEN) + WRITTEN:
            return False
        _bound(self._written)
        self._written[token.digest] = now
        return True

    def write_use(self, token: Token) -> None:
        """Write it down; where the store is away it is missing there, and nothing else."""
        try:
            self._tokens.use_token(token.digest, self._clock.now())
        except ReleaseEngineError as error:
            _log.info(
                "cannot store the last use of a token of %s: %s", token.user, error, extra={"action": "token_use"}
            )


class Standing:
    """Whether the caller of a long answer may still have it."""

    def __init__(self, gate: Authenticator, secret: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gate, self._secret, self._monotonic = gate, secret, monotonic
        self._next = monotonic() + BELIEVED

    def check(self) -> None:
        """Asks the store each BELIEVED seconds. Raises NotAuthenticated, StoreUnavailable."""
        now = self._monotonic()
        if now < self._next:
            return
        self._next = now + BELIEVED
        token = self._gate.admit(self._secret, fresh=True)
        if self._gate.claims_use(token):
            self._gate.write_use(token)


def _bound(known: dict[str, Any]) -> None:
    if len(known) >= REMEMBERED:
        known.clear()


def standing() -> Standing:
    """Of the caller of this request."""
    return Standing(gate(), presented())


def gate() -> Authenticator:
    """That of the application that answers this request."""
    return cast(Authenticator, current_app.extensions[EXTENSION])


def ask() -> None:
    """Check the token of every request. Raises NotAuthenticated."""
    if request.endpoint not in OPEN:
        here = gate()
        token = here.admit(presented())
        g.principal = principal_of(token)
        if here.claims_use(token):
            _after_the_answer(lambda: here.write_use(token))


def _after_the_answer(do: Callable[[], None]) -> None:
    """After the answer is sent: its caller does not wait for this commit."""

    @after_this_request
    def wait(response: Response) -> Response:
        response.call_on_close(do)
        return response


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
