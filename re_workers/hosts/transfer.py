"""Files to a host and from it: gone on with where a connection was cut, compared by digest, and never half there. Must not know runs."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

from re_core.backoff import Backoff
from re_workers.hosts import agent
from re_workers.hosts.channels import Channel
from re_workers.hosts.port import Got, HostError, NoSpace, Put, Stored, TransferFailed, Unreachable
from re_workers.hosts.session import SHELL_TIMEOUT, Session, nonce

#: bytes that are read at once
_PIECE = 256 * 1024
#: sessions in a row that bring no byte, after which it is given up, and the pauses between them
_TRIES, _FIRST_PAUSE, _LONGEST_PAUSE = 6, 0.2, 10.0


class Transfer:
    """Of one host. Safe to share between threads."""

    def __init__(self, channel: Channel, patience: float = SHELL_TIMEOUT) -> None:
        self._channel, self._patience = channel, patience

    def put(self, source: BinaryIO, target: str, how: Put, stop: threading.Event | None = None) -> Stored:
        """As of HostRunner. `source` is read twice, from its present place on. Raises HostError, ValueError for a path with NUL."""
        begin = source.tell()
        size, sha256 = _digest(source)
        mode = "" if how.mode is None else f"{how.mode:o}"
        more = (_path(target), nonce(), str(size), sha256, mode, how.owner)

        def pieces(said: Sequence[Sequence[str]], mark: str) -> Iterator[bytes] | None:
            have = [int(words[1]) for words in said if words[0] == "have" and words[1:]]
            return _pieces(source, begin, have[-1], mark, how.progress) if have else None

        for answer in self._answers("put", lambda: more, stop, pieces):
            match answer:
                case ["stored", is_new]:
                    return Stored(size, sha256, is_new == "new")
                case ["full", free]:
                    need = f"{size} bytes are needed, and {free} are free"
                    raise NoSpace(f"{self._channel.host} has no room for {target!r}: {need}; free some there")
                case ["wrong"]:
                    raise self._failed(target, "other bytes arrived than were sent; try it again")
                case ["failed", *why]:
                    raise self._failed(target, " ".join(why))
        raise AssertionError("each answer returns or raises")

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """As of HostRunner. What was written to `sink` before an error is a part of the file. Raises HostError, ValueError."""
        digest = hashlib.sha256()
        size = 0

        def heard(piece: bytes) -> None:
            nonlocal size
            digest.update(piece)
            size += len(piece)
            sink.write(piece)

        for answer in self._answers("get", lambda: (_path(path), str(size), str(most)), stop, None, heard):
            match answer:
                case ["got", total, sha256]:
                    if (int(total), sha256) != (size, digest.hexdigest()):
                        raise self._failed(path, "it was written while it was read; try it again")
                    return Got(size, sha256)
                case ["large", total]:
                    raise self._failed(path, f"it has {total} bytes, and {most} are the most that this step reads")
                case ["failed", *why]:
                    raise self._failed(path, " ".join(why))
        raise AssertionError("each answer returns or raises")

    def _failed(self, path: str, why: str) -> HostError:
        if "no space left" in why.lower() or "quota" in why.lower():
            return NoSpace(f"{self._channel.host} has no room for {path!r} ({why}); free some there")
        return TransferFailed(f"{self._channel.host}: {path!r}: {why}")

    def _answers(
        self,
        verb: str,
        arguments: Callable[[], Sequence[str]],
        stop: threading.Event | None,
        pieces: Callable[[Sequence[Sequence[str]], str], Iterator[bytes] | None] | None,
        heard: Callable[[bytes], None] = lambda piece: None,
    ) -> Iterator[Sequence[str]]:
        """The last words of each session that came to an answer; it is tried again, and gone on with, where one was cut."""
        backoff, failures, moved = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0, 0

        def hear(piece: bytes) -> None:
            nonlocal moved
            moved += len(piece)
            heard(piece)

        def sent(mark: str, said: Sequence[Sequence[str]]) -> Iterator[bytes] | None:
            nonlocal moved
            found = pieces(said, mark) if pieces is not None else iter(())
            moved = max([moved, *(int(words[1]) for words in said if words[0] == "have" and words[1:])])
            return found

        while True:
            mark, before = nonce(), moved
            command = agent.asked("files", verb, mark, *arguments())
            problem: HostError | None = None
            try:
                session = Session(self._channel, command, mark, partial(sent, mark), self._patience)
                lines = session.run(hear, stop).lines
                yield from [words for words in lines if words and words[0] in _ANSWERS][-1:]
            except Unreachable as error:
                if type(error) is not Unreachable:
                    raise
                problem = error
            if stop is not None and stop.is_set():
                raise TransferFailed(f"{self._channel.host}: it was to stop before the file was there")
            failures = 0 if moved > before else failures + 1
            if failures >= _TRIES:
                raise problem or Unreachable(f"{self._channel.host}: the connection is lost again and again")
            time.sleep(backoff.after(max(1, failures)))


#: the last words of a session that was not cut
_ANSWERS = frozenset({"stored", "full", "wrong", "failed", "got", "large"})


def _digest(source: BinaryIO) -> tuple[int, str]:
    """Size and digest of what is left of it; it is where it was afterwards."""
    begin, size, digest = source.tell(), 0, hashlib.sha256()
    while piece := source.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    source.seek(begin)
    return size, digest.hexdigest()


def _pieces(
    source: BinaryIO, begin: int, have: int, mark: str, progress: Callable[[int], None] | None
) -> Iterator[bytes]:
    """What the host has not."""
    yield f"RE1 go {mark}\n".encode()
    source.seek(begin + have)
    while piece := source.read(_PIECE):
        yield piece
        have += len(piece)
        if progress is not None:
            progress(have)


def _path(path: str) -> str:
    if not path or "\0" in path:
        raise ValueError("expected a path without NUL")
    return f"./{path}" if path.startswith("-") else path
