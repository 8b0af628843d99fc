"""Artifacts of the engine, asked for over the bus, piece by piece. Must not know who may have one, nor what a step does with it.

An artifact is read from the engine once and kept for the next hosts: two hundred of them cost one transfer.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from ulid import ULID

from re_core.artifacts.content import digest_of
from re_core.artifacts.packing import pack
from re_core.backoff import Backoff
from re_core.errors import BadMessage, BusUnavailable
from re_core.ports import PIECE, Bus
from re_core.rows import ArtifactFile
from re_core.wire import artifact_messages as m
from re_core.wire.messages import Message
from re_workers.artifacts import Claimed, Listed, Wanted
from re_workers.kept_files import KeptFiles
from re_workers.outcomes import Failed
from re_workers.outgoing import APP

#: seconds that one question waits for its answer; after which it is not asked again, also where a core has no place for what is to be
#: stored; and the same where the journal does not have the step's start yet
ANSWER, PATIENCE, START = 10.0, 60.0, 10.0
#: seconds that a piece which is to be stored waits for its answer: behind the last one all of it is written
PIECE_ANSWER = 60.0


class EngineArtifacts:
    """See artifacts.Shelf. Any thread."""

    def __init__(self, bus: Bus, identity: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`identity`: the worker process's id."""
        self._bus, self._identity, self._monotonic = bus, identity, monotonic
        self._kept = KeptFiles()

    def look(self, claimed: Claimed, name: str) -> Listed:
        """As of Shelf."""
        files: list[ArtifactFile] = []
        while True:
            part = self._listing(claimed, name, len(files))
            files += part.files
            if len(files) >= part.total:
                break
            if not part.files:
                raise Failed(f"the engine lists {len(files)} of {part.total} files of the artifact {name}")
        if digest_of(part.kind, files) != part.digest:
            raise Failed(f"the list of the files of the artifact {name} does not fit its digest; read it once more")
        return Listed(name, part.digest, part.kind, tuple(files), part.created)

    @contextmanager
    def open(self, claimed: Claimed, wanted: Wanted) -> Iterator[BinaryIO]:
        """As of Shelf."""

        def make(sink: BinaryIO) -> None:
            for piece in self._bytes_of(claimed, wanted):
                sink.write(piece)

        key = f"{'packed' if wanted.file is None else 'file'} {wanted.digest}"
        with self._kept.open(key, make) as stream:
            yield stream

    def store(self, claimed: Claimed, name: str, kind: str, archive: BinaryIO) -> Listed:
        """As of Shelf."""
        begin = archive.tell()
        for again in (True, True, False):
            archive.seek(begin)
            try:
                stored = self._pushed(claimed, name, kind, archive)
                return Listed(name, stored.digest, stored.kind, (), stored.created)
            except _Broken:
                if not again:
                    raise
        raise AssertionError("the last try returns or raises")

    def _pushed(self, claimed: Claimed, name: str, kind: str, archive: BinaryIO) -> m.Listing:
        try:
            ready = m.parse_ready(self._asked(claimed, name, "push", 0, kind))
            headers, number = {m.PUSH: ready.push}, 0
            while piece := archive.read(PIECE):
                self._sent(claimed, name, ready.queue, piece, {**headers, m.NUMBER: f"{number}"})
                number += 1
            end = {**headers, m.NUMBER: f"{number}", m.END: "1"}
            return m.parse_listing(self._sent(claimed, name, ready.queue, b"", end))
        except BadMessage as error:
            raise Failed(f"the engine's answer about the artifact {name} cannot be used: {error}") from None

    def _sent(self, claimed: Claimed, name: str, queue: str, piece: bytes, headers: Mapping[str, str]) -> bytes:
        """The body of the answer to a piece. Raises Failed, Cancelled, _Broken where its core does not answer any more."""
        claimed.check()
        message = Message(queue, piece, f"artifacts/{ULID()}", headers=headers, app_id=APP, direct=True)
        try:
            answer = self._bus.request(message, PIECE_ANSWER)
        except BusUnavailable as error:
            raise _Broken(f"the artifact {name} could not be stored: {error}") from None
        if answer is None:
            raise _Broken(f"the artifact {name} could not be stored: the core that takes it has not answered")
        if answer.headers.get(m.ANSWER) == m.NOT_YET:
            raise _Broken(f"the artifact {name} could not be stored: {answer.body.decode('utf-8', 'replace')[:1000]}")
        if answer.headers.get(m.ANSWER) not in (m.TAKEN, m.STORED):
            raise Failed(f"the artifact {name}: {answer.body.decode('utf-8', 'replace')[:1000]}")
        return answer.body

    def close(self) -> None:
        """Keep none of them."""
        self._kept.close()

    def _bytes_of(self, claimed: Claimed, wanted: Wanted) -> Iterator[bytes]:
        pieces = _Pieces(lambda number: self._asked(claimed, wanted.artifact.name, "piece", number))
        if wanted.file is not None:
            return pieces.of(wanted.file)
        named = ((f"{file.category}/{file.path}", file.size, pieces.of(file)) for file in wanted.artifact.files)
        return pack(named, wanted.artifact.created // 1000)

    def _listing(self, claimed: Claimed, name: str, first: int) -> m.Listing:
        try:
            return m.parse_listing(self._asked(claimed, name, "files", first))
        except BadMessage as error:
            raise Failed(f"the engine's answer about the artifact {name} cannot be used: {error}") from None

    def _asked(self, claimed: Claimed, name: str, ask: m.Ask, number: int, kind: str = "") -> bytes:
        """The body of the answer; asked again where none comes, for a core may have died over it. Raises Failed, Cancelled."""
        request = m.ArtifactRequest(claimed.attempt, claimed.token, self._identity, name, ask, number, kind)
        begin, backoff, why = self._monotonic(), Backoff(0.2, 2.0), "none came"
        while True:
            claimed.check()
            passed = self._monotonic() - begin
            try:
                answer = self._bus.request(
                    Message(m.ARTIFACTS, request.body(), f"artifacts/{ULID()}", app_id=APP, direct=True), ANSWER
                )
            except BusUnavailable as error:
                answer, why = None, str(error)
            what = "" if answer is None else answer.headers.get(m.ANSWER, "")
            if answer is not None and what in (m.LISTED, m.PIECE, m.READY):
                return answer.body
            if answer is not None and (what != m.NOT_YET or passed >= (PATIENCE if ask == "push" else START)):
                raise Failed(f"the artifact {name}: {answer.body.decode('utf-8', 'replace')[:1000]}")
            if answer is None and passed >= PATIENCE:
                raise Failed(
                    f"no core has answered the question for an artifact: {why}; is one older than its workers?"
                )
            time.sleep(backoff.next())


class _Broken(Failed):
    """The core that takes an artifact is gone: another one may take it from its beginning."""


class _Pieces:
    """Bytes of files by the pieces that the engine stores. One thread."""

    def __init__(self, ask: Callable[[int], bytes]) -> None:
        self._ask = ask
        #: small files share one
        self._last: tuple[int, bytes] = (-1, b"")

    def of(self, file: ArtifactFile) -> Iterator[bytes]:
        """All of the file. Raises Failed at its end where its digest is another one."""
        digest, place, left = hashlib.sha256(), file.offset, file.size
        while left:
            begin = place % PIECE
            data = self._piece(place // PIECE)[begin : begin + left]
            if not data:
                raise Failed(
                    f"{file.category}/{file.path}: bytes of the artifact are missing; push the same files again"
                )
            digest.update(data)
            place, left = place + len(data), left - len(data)
            yield data
        if digest.hexdigest() != file.digest:
            raise Failed(f"{file.category}/{file.path} does not fit its digest; push the same files again")

    def _piece(self, number: int) -> bytes:
        if self._last[0] != number:
            self._last = number, self._ask(number)
        return self._last[1]
