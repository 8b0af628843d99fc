"""Artifacts that are on their way from workers to the store, each whole in a file before it is stored. Must not know the bus.

One core takes all pieces of one push, so that no other process knows where they lie. Where it dies, the worker begins again.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple

from re_core.deployment.senders import OPEN, Sender
from re_core.errors import BadMessage, StoreUnavailable
from re_core.ports import PIECE
from re_core.usecases import artifact_pushing
from re_core.usecases.artifact_pushing import Bounds, Wanted, too_large
from re_core.usecases.artifact_release import Given, Shelf
from re_core.usecases.authorization import Binding, Principal
from re_core.usecases.granted import granted
from re_core.wire import artifact_messages as m

#: pushes of one core at once, and milliseconds after which one is dropped of which no piece comes
MOST, IDLE = 16, 120_000


class _Push(NamedTuple):
    file: IO[bytes]
    wanted: Wanted
    principal: Principal
    #: pieces that are there
    pieces: int
    #: when the last one came
    at: int


class ArtifactPushes:
    """Of one core. One thread."""

    def __init__(self, here: Shelf, bounds: Bounds, queue: str) -> None:
        """`queue`: where this core takes pieces."""
        self._here, self._bounds, self._queue = here, bounds, queue
        self._pushes: dict[str, _Push] = {}

    def begin(self, request: m.ArtifactRequest, sender: Sender = OPEN) -> Given:
        """By `sender`. Who has the answer may send pieces: its id cannot be guessed.

        Raises NotReleased, CallerError, Refused, BadMessage, StoreUnavailable.
        """
        state, _ = granted(self._here.store, request.attempt, request.token, request.worker, sender)
        self._drop_idle()
        if len(self._pushes) >= MOST:
            return Given(m.NOT_YET, f"{MOST} artifacts are being stored at this moment; try again".encode())
        group, user = state.accepted.group, state.accepted.user
        wanted, principal = Wanted(group, request.name, request.kind, {}), Principal(user, (Binding("author", group),))
        artifact_pushing.allow(self._here.store, principal, wanted, self._bounds)
        id = secrets.token_hex(16)
        file = tempfile.TemporaryFile()  # noqa: SIM115  # it is closed by _drop
        self._pushes[id] = _Push(file, wanted, principal, 0, self._here.clock.now())
        return Given(m.READY, m.Ready(self._queue, id).body())

    def take(self, headers: Mapping[str, str], body: bytes) -> Given:
        """A piece, or the end. Raises CallerError, BadMessage, StoreUnavailable."""
        id, number = headers.get(m.PUSH, ""), headers.get(m.NUMBER, "")
        push = self._pushes.get(id)
        if push is None:
            return Given(m.NOT_YET, b"this core knows no such push; begin it again")
        if not number.isdecimal():
            raise BadMessage(f"the number of a piece is digits, found {number[:20]!r}")
        if headers.get(m.END):
            return self._finish(id, push)
        if int(number) == push.pieces:
            if push.file.tell() + len(body) > self._bounds.limit:
                self._drop(id)
                raise too_large(self._bounds.limit)
            push.file.write(body)
            self._pushes[id] = push._replace(pieces=push.pieces + 1, at=self._here.clock.now())
        elif int(number) != push.pieces - 1:  # the answer to the last one may have been lost
            raise BadMessage(f"expected piece {push.pieces}, found {number}")
        return Given(m.TAKEN, b"")

    def close(self) -> None:
        """Drop them all."""
        for id in list(self._pushes):
            self._drop(id)

    def _finish(self, id: str, push: _Push) -> Given:
        """Stored once: the artifact is there already where the end is said again, and then this push is not."""
        try:
            push.file.seek(0)
            store, clock = self._here
            pieces = _pieces(push.file)
            made = artifact_pushing.push_archive(
                store, clock, push.principal, push.wanted, pieces, self._bounds
            ).artifact
        except StoreUnavailable:
            raise  # the message comes again, and finds the pieces
        except BaseException:
            self._drop(id)
            raise
        self._drop(id)
        return Given(m.STORED, m.Listing(made.digest, made.kind, made.size, made.created, made.files, ()).body())

    def _drop_idle(self) -> None:
        now = self._here.clock.now()
        for id, push in list(self._pushes.items()):
            if not 0 <= now - push.at < IDLE:
                self._drop(id)

    def _drop(self, id: str) -> None:
        self._pushes.pop(id).file.close()


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
