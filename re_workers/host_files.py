"""What a step gives a host as a file, or takes from it: bytes, a file of the worker's machine, or a stream. Must not know hosts."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: what may be stored on a host
Source = bytes | Path | BinaryIO

#: bytes of a file that is read into memory where nothing else is said, and of one that is written elsewhere
MOST_BYTES, MOST_COPIED = 16 * 1024**2, 1024**4
#: bytes of a stream that can be read once only which are kept in memory, before a file has to
_IN_MEMORY = 8 * 1024**2
#: bytes that are read at once
_PIECE = 256 * 1024
#: seconds between two looks at two events
_LOOK = 0.1


class Either(threading.Event):
    """Set when one of two is. To be looked at and waited for only."""

    def __init__(self, one: threading.Event, other: threading.Event) -> None:
        super().__init__()
        self._both = one, other

    def is_set(self) -> bool:
        """Whether one of the two is."""
        return any(one.is_set() for one in self._both)

    def wait(self, timeout: float | None = None) -> bool:
        """As of every event."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
            if left <= 0 or self._both[0].wait(left):
                break
        return self.is_set()


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """The source as a stream that can be read twice. Raises TypeError for what is none, OSError where it cannot be read."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    elif not hasattr(source, "read"):
        raise TypeError(f"expected bytes, a Path or a stream of bytes, found {type(source).__name__}")
    elif source.seekable():
        yield source
    else:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as kept:
            shutil.copyfileobj(source, kept)
            kept.seek(0)
            yield kept  # type: ignore[misc]  # it has all that a BinaryIO is used for


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once all of it is there. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check(stream: BinaryIO, sha256: str, what: str) -> int:
    """How many bytes are left of it; it is where it was afterwards. Raises ValueError where `sha256` is given and not theirs."""
    begin = stream.tell()
    if sha256:
        digest = hashlib.sha256()
        while piece := stream.read(_PIECE):
            digest.update(piece)
        if digest.hexdigest() != sha256.lower():
            raise ValueError(f"{what}: its source has the SHA-256 {digest.hexdigest()}, expected {sha256.lower()}")
    size = stream.seek(0, io.SEEK_END) - begin
    stream.seek(begin)
    return size


def bits(mode: str | int | None) -> int | None:
    """Permissions as a number, of `"0644"` or 0o644. Raises ValueError."""
    if not isinstance(mode, str):
        return mode
    try:
        found = int(mode, 8)
    except ValueError:
        found = -1
    if not 0 <= found <= 0o7777:
        raise ValueError(f'expected permissions as "0644", found {mode[:20]!r}')
    return found
