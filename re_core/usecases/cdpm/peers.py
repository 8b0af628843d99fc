"""Whether a message is of the peer that it claims to be of, for this node, of now, and new; and the messages of one's own.

The order of the checks is that of docs/cdpm.md. Must not know machines, nor connections. Any thread.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import NamedTuple, Protocol

from re_core import ports
from re_core.cdpm.cdpm_file import CdpmFile
from re_core.cdpm.messages import KeyRotated, Message, emit
from re_core.errors import Conflict
from re_core.ports.peering import Claims, Peering, PeerRefused, SourceUnavailable, Unverified
from re_core.rows import PipelineKey
from re_core.usecases.cdpm.key_book import KeyBook
from re_core.usecases.cdpm.replays import Replays

#: milliseconds that the clock of a sender may be ahead
AHEAD = 60_000

#: codes with which `Peers.verified` refuses a message of which the signature fits: such a one may be answered
PROVEN = frozenset({"wrong-audience", "stale", "from-future", "replayed", "too-many"})


class _Store(ports.Pipelines, Protocol):
    """The part of a store that is needed."""


class Verified(NamedTuple):
    """A message whose sender is known."""

    claims: Claims
    #: the sender's cdpm.yml, with the key that fitted
    file: CdpmFile
    payload: bytes


class Peers:
    """Verifies, and signs."""

    def __init__(self, peering: Peering, store: _Store, clock: ports.Clock, window: int = 300_000) -> None:
        """`window`: milliseconds after its signature during which a message is accepted."""
        self._peering, self._store, self._clock, self._window = peering, store, clock, window
        self._book = KeyBook(peering.sources, store, clock)
        self._replays = Replays(window)

    def verified(self, unverified: Unverified, audience: str, sender: str = "", stranger: bool = False) -> Verified:
        """`audience`: URL of one's own cdpm.yml; `sender`: that of the only peer that may have sent it, where there is one.

        The caller has found `iss` among the nodes that it knows, or says `sender`, or takes a `stranger`: no file is read for any
        other. Raises PeerRefused, SourceUnavailable.
        """
        claims = unverified.claims
        if sender and claims.iss != sender:
            raise PeerRefused("unknown-sender", f"the message is of {claims.iss}, expected {sender}")
        file = self._fitting_of_stranger(unverified) if stranger else self._fitting(unverified)
        if claims.aud != audience:
            raise PeerRefused("wrong-audience", f"the message is for {claims.aud}, this is {audience}")
        self._check_time(claims)
        self._replays.note(claims.iss, claims.jti, claims.iat, self._clock.now())
        return Verified(claims, file, unverified.payload)

    def sign(self, pipeline: str, source: str, payload: bytes, audience: str, answered: str = "") -> str:
        """A message of the pipeline whose own cdpm.yml is at `source`, by the key that stands there. Raises Conflict where
        none of its keys does, or where that was never seen; SourceUnavailable; BadSettings where the key does not open.
        """
        return self._signed(self.own_key(pipeline, source), source, payload, audience, answered)

    def rotated(self, pipeline: str, source: str, audience: str, before: str) -> tuple[str, str]:
        """Kid of the key that signs now, and where that is another one than `before`, the message that says so, signed by that one:
        to be sent before any other. It is empty where nothing has changed, or where the pipeline has that key no more.

        Raises as `sign`.
        """
        kid = self.own_key(pipeline, source).kid
        old = next((key for key in self._store.keys(pipeline) if key.kid == before != kid), None)
        if old is None:
            return kid, ""
        return kid, self._signed(old, source, emit(KeyRotated(source)), audience)

    def _signed(self, key: PipelineKey, source: str, payload: bytes, audience: str, answered: str = "") -> str:
        private = self._peering.seal.open(key.sealed, _about(key.pipeline, key.kid))
        claims = Claims(source, audience, self._clock.now(), str(uuid.uuid4()), answered)
        return self._peering.signatures.sign(payload, claims, private)

    def add_key(self, pipeline: str) -> PipelineKey:
        """A new key pair for it, which signs from when its public half stands in its cdpm.yml. Raises Conflict."""
        pair = self._peering.new_key()
        sealed = self._peering.seal.close(pair.private, _about(pipeline, pair.kid))
        key = PipelineKey(pipeline, pair.kid, pair.public, sealed, self._clock.now())
        if not self._store.add_key(key):
            raise Conflict("the pipeline has too many keys; remove those that its cdpm.yml does not have any more")
        return key

    def file_of(self, url: str) -> CdpmFile:
        """The cdpm.yml at the URL. Raises PeerRefused, SourceUnavailable."""
        return self._book.file(url)

    def look_again(self, url: str) -> None:
        """The sender says that its key was replaced: read its file now, unless that was done a moment ago."""
        with suppress(PeerRefused, SourceUnavailable):
            self._book.newer(url, self._book.file(url).key.kid)

    def read_again(self, url: str) -> CdpmFile:
        """The same, from its source however lately it was read, for an operator. Raises PeerRefused, SourceUnavailable."""
        return self._book.read_again(url)

    def own_key(self, pipeline: str, source: str) -> PipelineKey:
        """The key of the pipeline whose public half stands at `source`. Raises Conflict where that is none of its keys;
        PeerRefused, SourceUnavailable.
        """
        public = self._book.file(source).key
        for key in self._store.keys(pipeline):
            if key.kid == public.kid:
                return key
        raise Conflict(
            f"the key {public.kid} in {source} is none of this pipeline's: commit one that rectl cdpm show lists, or "
            "name the right file"
        )

    def _fitting(self, unverified: Unverified) -> CdpmFile:
        """The sender's file whose key fits, read again where it does not: the key may have been replaced."""
        url, signatures = unverified.claims.iss, self._peering.signatures
        file = self._book.file(url)
        try:
            signatures.verify(unverified, file.key.text)
        except PeerRefused:
            newer = self._newer(url, file.key.kid)
            if newer is None:
                raise
            signatures.verify(unverified, newer.key.text)
            return newer
        return file

    def _fitting_of_stranger(self, unverified: Unverified) -> CdpmFile:
        file = self._book.of_stranger(unverified.claims.iss)
        self._peering.signatures.verify(unverified, file.key.text)
        return file

    def _newer(self, url: str, kid: str) -> CdpmFile | None:
        try:
            return self._book.newer(url, kid)
        except (PeerRefused, SourceUnavailable):  # what is known does not fit, and that is said
            return None

    def _check_time(self, claims: Claims) -> None:
        age = self._clock.now() - claims.iat
        if age > self._window:
            limit = f"at most {self._window // 1000} s are accepted"
            raise PeerRefused("stale", f"the message was signed {age / 1000:.0f} s ago, {limit}; compare the clocks")
        if age < -AHEAD:
            limit = f"at most {AHEAD // 1000} s are accepted"
            raise PeerRefused(
                "from-future",
                f"the message was signed {-age / 1000:.0f} s ahead of this clock, {limit}; compare the clocks",
            )


def check_parties(message: Message, claims: Claims) -> None:
    """The names inside of a message are those that were verified. Raises PeerRefused."""
    url = getattr(message, "url", "")
    if url and url != claims.iss:
        raise PeerRefused("wrong-issuer", f"the message says that it is of {url}, it is signed by {claims.iss}")
    destination = getattr(message, "destination", "")
    if destination and destination != claims.aud:
        raise PeerRefused(
            "wrong-audience", f"the message says that it is for {destination}, it is signed for {claims.aud}"
        )


def _about(pipeline: str, kid: str) -> str:
    return f"{pipeline} {kid}"
