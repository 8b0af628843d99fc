"""What pipelines need to speak with their peers: signatures, sources of cdpm.yml, connections, sealed keys.

Must not know any technology. The protocol: docs/cdpm.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from socket import socket
from typing import NamedTuple, Protocol

from re_core.errors import CallerError, TransientError


class PeerRefused(CallerError):
    """A message, a file or an address of a peer is refused."""

    reason = "peer-refused"

    def __init__(self, code: str, detail: str) -> None:
        """`code`: one of REFUSALS, for metrics and log searches; `detail`: what is wrong and what to do, for people."""
        super().__init__(detail)
        self.code = code
        self.detail = detail


class SourceUnavailable(TransientError):
    """The source of a cdpm.yml does not answer now."""

    reason = "source-unavailable"


class HandshakeRefused(SourceUnavailable):
    """The peer answers, but opens no WebSocket."""

    def __init__(self, detail: str, status: int, headers: Mapping[str, str]) -> None:
        """`status`: of HTTP; 0: what came is no answer. `headers`: names in lower case."""
        super().__init__(detail)
        self.status, self.headers = status, headers


class ChannelClosed(TransientError):
    """The connection with the peer is closed."""

    reason = "channel-closed"

    def __init__(self, code: int, detail: str = "") -> None:
        """`code` of the close frame (RFC 6455, 7.4); 1006 where none came."""
        super().__init__(detail or f"the connection was closed with {code}")
        self.code = code


#: why a message of a peer is refused: the codes of PeerRefused, and the values of a label of a metric
REFUSALS = (
    "bad-alg",
    "bad-message",
    "bad-signature",
    "barred",
    "binary-frame",
    "browser",
    "changed-vote",
    "from-future",
    "no-subprotocol",
    "not-json",
    "not-listed",
    "not-major",
    "not-ready",
    "not-subscribed",
    "replayed",
    "source-unavailable",
    "stale",
    "too-large",
    "too-many",
    "unknown-node",
    "unknown-ref",
    "unknown-release",
    "unknown-sender",
    "unsigned",
    "weak-key",
    "wrong-audience",
    "wrong-issuer",
)


class Claims(NamedTuple):
    """What the protected header of a message says beside its algorithm."""

    #: URLs of the cdpm.yml of sender and receiver
    iss: str
    aud: str
    #: when it was signed, milliseconds since the epoch
    iat: int
    #: id of this message
    jti: str
    #: `jti` of the message that this one answers; empty: it answers none
    irt: str = ""
    #: which key of the sender signed, as a hint; empty: it does not say
    kid: str = ""


class Unverified(NamedTuple):
    """A message of which the form is right. Until `verify` has accepted it, no word of it may be believed."""

    claims: Claims
    #: the bytes that are signed
    payload: bytes
    #: the JWS as a whole
    compact: str


class Signatures(Protocol):
    """JWS, RS256 only. Any thread."""

    def sign(self, payload: bytes, claims: Claims, private: bytes) -> str:
        """The compact JWS. `private`: PKCS #8, DER; `kid` of the claims is replaced by that of the key.

        Raises ValueError for a payload that no receiver would take.
        """
        ...

    def read(self, compact: str) -> Unverified:
        """Raises PeerRefused (unsigned, bad-alg, bad-message, too-large) for what is no message."""
        ...

    def detached(self, header: str, body: bytes) -> Unverified:
        """The same, of the header `CDPM-Signature` and the body of a request or an answer. Raises PeerRefused."""
        ...

    def verify(self, unverified: Unverified, public: str) -> None:
        """`public`: base64 of the DER, from the sender's cdpm.yml. Raises PeerRefused (bad-signature, weak-key)."""
        ...

    def detach(self, compact: str) -> str:
        """The value of the header `CDPM-Signature` for a compact JWS whose payload is the body."""
        ...


class KeyPair(NamedTuple):
    """A new one."""

    #: PKCS #8, DER
    private: bytes
    #: as it stands in cdpm.yml
    public: str
    kid: str


class Fetched(NamedTuple):
    """A cdpm.yml as its source has it now."""

    data: bytes
    #: what the source knows these bytes by; empty: nothing
    etag: str


class Sources(Protocol):
    """Where cdpm.yml files are read from. Any thread."""

    def fetch(self, url: str, etag: str = "") -> Fetched | None:
        """The file at the URL; None where it is still the one with this etag.

        Raises PeerRefused where the settings do not allow it, or it is no such file; SourceUnavailable.
        """
        ...


class PeerAnswer(NamedTuple):
    """The answer to a POST."""

    status: int
    #: names in lower case
    headers: Mapping[str, str]
    body: bytes


class Channel(Protocol):
    """A WebSocket connection of which both ends speak CDPM. One thread takes; any may send, wake and close."""

    def send(self, text: str) -> None:
        """Raises ChannelClosed."""
        ...

    def take(self, timeout: float) -> str | None:
        """The next frame; None after `timeout` seconds, or after `wake`.

        Raises ChannelClosed, and PeerRefused (binary-frame, too-large) for a frame that no peer may send.
        """
        ...

    def wake(self) -> None:
        """Let `take` return now, or the next one at once."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Twice is the same as once."""
        ...


class Dialer(Protocol):
    """Connections to peers, only to addresses that the settings allow. Any thread."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> PeerAnswer:
        """Raises PeerRefused, SourceUnavailable."""
        ...

    def dial(self, url: str, timeout: float) -> Channel:
        """A connection to `<url>/cdpm`. Raises PeerRefused, SourceUnavailable (HandshakeRefused), ChannelClosed."""
        ...

    def check(self, url: str) -> None:
        """Whether the settings allow a connection there; none is made. Raises PeerRefused, SourceUnavailable."""
        ...


class Seal(Protocol):
    """Closes secrets, such as private keys and configs of apps, with a key that is not in the store. Any thread."""

    def close(self, private: bytes, about: str) -> bytes:
        """`about` names what is closed, and opens it again: sealed bytes that were moved to another place do not open."""
        ...

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises BadSettings where the key is another one, or the bytes were changed or moved."""
        ...


class Peering(NamedTuple):
    """What bootstrap.open_peering makes of the settings."""

    signatures: Signatures
    sources: Sources
    seal: Seal
    new_key: Callable[[], KeyPair]
    #: answers the WebSocket handshake that the headers of a request are, on the socket that they came by, which it keeps.
    #: Raises PeerRefused (no-subprotocol) where they are none, before anything is sent; ChannelClosed
    serve: Callable[[socket, Mapping[str, str]], Channel]
    dialer: Dialer
