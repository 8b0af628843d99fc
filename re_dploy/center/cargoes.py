"""The cargo of versions: composed from a record and a payload when it is served, so that nothing is stored twice. Must not know zones.

A zone fetches it in pieces, one after the other; what composes it is kept between two pieces.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from re_core import ports
from re_core.apps.state import State
from re_core.apps.values import Payload, Version
from re_core.errors import CallerError
from re_core.usecases.artifact_reading import archive, content_of, missing
from re_dploy import wire
from re_dploy.cargo import compose, head
from re_dploy.center.orders import payload_of
from re_dploy.wire.names import MAX_PIECE

#: cargos whose digest is remembered, and those that are being fetched, in all and by one peer
MOST_KNOWN, MOST_OPEN, MOST_OF_A_PEER = 10_000, 64, 8
#: readings from the beginning on that one peer may ask for to get at a place in the middle: at once, and a second
SEEKS, SEEKS_A_SECOND = 30, 0.5
#: peers of which that is remembered
MOST_PEERS = 1_000

#: format of release.json
FORMAT = 1


class Store(ports.Artifacts, Protocol):
    """What is needed of a store."""


class _Known(NamedTuple):
    digest: str
    size: int


class _Fetch:
    """One that is being read, from its beginning on."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.offset = 0
        #: the last piece, and where it begins: an answer may be lost
        self._last = (0, b"")

    def has(self, offset: int) -> bool:
        """Whether that is where the peer stands, or the piece that it got last."""
        return offset in (self.offset, self._last[0])

    def read(self, offset: int) -> bytes:
        """Up to MAX_PIECE bytes from there, which is not before `self.offset` unless `has` says so; nothing at the end."""
        if offset == self._last[0] and self._last[1]:
            return self._last[1]
        self._last = (offset, self._next(offset))
        return self._last[1]

    def _next(self, offset: int) -> bytes:
        while self.offset + len(self._rest) <= offset and (piece := next(self._pieces, b"")):
            self.offset += len(self._rest)
            self._rest = piece
        data = self._rest[offset - self.offset :]
        while len(data) < MAX_PIECE and (piece := next(self._pieces, b"")):
            data += piece
        self._rest, self.offset = data[MAX_PIECE:], offset + len(data[:MAX_PIECE])
        return data[:MAX_PIECE]


def release_document(state: State, version: Version) -> dict[str, Any]:
    """The AppRelease of a version, without a value of its config."""
    payload = payload_of(version)
    document: dict[str, Any] = {
        "version": version.number,
        "app": state.name,
        "commit": version.commit,
        "env": {"build": dict(payload.build_env)} if payload.build_env else {},
        "processes": dict(payload.processes),
        "format": FORMAT,
    }
    if payload.release:
        document["release"] = payload.release
    if payload.python:
        document["python"] = payload.python
    return document


class Cargoes:
    """Thread-safe."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: steady, in seconds."""
        self._store, self._time = store, clock
        #: peer -> readings in the middle that it has left, and when that was so; the one that asked last is the last
        self._seeks: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()
        #: taken while one is measured: zones that want to know of the same cargo read it once
        self._measuring = threading.Lock()
        self._known: dict[tuple[str, int], _Known] = {}
        self._open: dict[tuple[str, str, int], _Fetch] = {}

    def uri(self, state: State, version: Version) -> str:
        """Where a zone gets it, with its digest. Raises NotFound, DamagedArtifact, StoreUnavailable."""
        return wire.cargo_uri(state.name, version.number, self._measured(state, version).digest)

    def size(self, state: State, version: Version) -> int:
        """Bytes of the whole. Raises as `uri`."""
        return self._measured(state, version).size

    def piece(self, peer: str, state: State, version: Version, offset: int) -> bytes:
        """Up to MAX_PIECE bytes from `offset` on; nothing at the end. Raises CallerError behind it, and for a peer that jumps to
        and fro, and as `uri`.

        `peer` fetches one piece after the other: each peer has a reading of its own.
        """
        if offset > self.size(state, version):
            raise CallerError(
                f"the cargo of v{version.number} has {self.size(state, version)} bytes, none from {offset}"
            )
        name = peer, state.id, version.number
        with self._lock:
            fetch = self._open.pop(name, None)
        if fetch is None or not fetch.has(offset):
            if offset and not self._may_seek(peer):
                raise CallerError("cargo is served from its beginning on, one piece after the other: begin again")
            fetch = _Fetch(self._composed(state, version))
        data = fetch.read(offset)
        if data:
            with self._lock:
                self._make_room(peer)
                self._open[name] = fetch
        return data

    def _make_room(self, peer: str) -> None:
        """At the cost of the peer's own readings first."""
        own = [name for name in self._open if name[0] == peer]
        for name in own[: max(0, len(own) - MOST_OF_A_PEER + 1)]:
            del self._open[name]
        while len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]

    def _may_seek(self, peer: str) -> bool:
        """A reading that begins in the middle costs one of all that is before; a zone needs it after another center's end."""
        now = self._time()
        with self._lock:
            left, at = self._seeks.pop(peer, (float(SEEKS), now))
            left = min(float(SEEKS), left + (now - at) * SEEKS_A_SECOND)
            self._seeks[peer] = (left - 1 if left >= 1 else left, now)
            while len(self._seeks) > MOST_PEERS:
                del self._seeks[next(iter(self._seeks))]
        return left >= 1

    def _measured(self, state: State, version: Version) -> _Known:
        name = state.id, version.number
        if (known := self._remembered(name)) is not None:
            return known
        with self._measuring:
            if (known := self._remembered(name)) is not None:
                return known
            digest, size = hashlib.sha256(), 0
            for piece in self._composed(state, version):
                digest.update(piece)
                size += len(piece)
            known = _Known(digest.hexdigest(), size)
            with self._lock:
                while len(self._known) >= MOST_KNOWN:
                    del self._known[next(iter(self._known))]
                self._known[name] = known
        return known

    def _remembered(self, name: tuple[str, int]) -> _Known | None:
        """What was asked for last is forgotten last."""
        with self._lock:
            if (known := self._known.pop(name, None)) is not None:
                self._known[name] = known
        return known

    def _composed(self, state: State, version: Version) -> Iterator[bytes]:
        payload = payload_of(version)
        return iter(
            compose(head(release_document(state, version)), self._payload(state, payload), payload.crc, payload.length)
        )

    def _payload(self, state: State, payload: Payload) -> Iterator[bytes]:
        artifact = self._store.artifact(state.group, payload.artifact)
        if artifact is None:
            raise missing(state.group, payload.artifact)
        return archive(self._store, artifact, content_of(self._store, artifact))
