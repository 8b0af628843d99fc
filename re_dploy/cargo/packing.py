"""Packs the files of a built app. Must not know how they were built.

The files are those of a build, which nothing is believed of: no link is followed, and what a zone would refuse is refused here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from re_core.artifacts.names import path_problem
from re_core.artifacts.tar import BLOCK, PIECE, TarBounds, link_problem
from re_dploy.cargo.composing import GZIP, BadCargo, trailer
from re_dploy.cargo.headers import DIRECTORY, END, FILE, LINK, headers

#: the directory of a cargo that has an app's files
FILES = "app"

#: what is left out of the top directory
_LEFT_OUT = frozenset({".git"})

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Packed(NamedTuple):
    """A payload that was written."""

    #: SHA-256, hexadecimal, and bytes
    digest: str
    size: int
    #: CRC-32 and bytes when it is unpacked
    crc: int
    length: int


def pack(tree: Path, out: BinaryIO, bounds: TarBounds | None = None) -> Packed:
    """Write the payload of the directory; the same bytes for the same files, modes and links.

    Raises BadCargo for what no cargo may hold, OSError where the disk is full.
    """
    gzip = _Gzip(out)
    for piece in _archive(tree, bounds or TarBounds()):
        gzip.write(piece)
    return gzip.finish()


class _Gzip:
    """One member, without a name and a time."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._stream = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._digest = hashlib.sha256()
        self._size = self._crc = self._length = 0
        self._put(GZIP)

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._length += len(data)
        self._put(self._stream.compress(data))

    def finish(self) -> Packed:
        self._put(self._stream.flush() + trailer(self._crc, self._length))
        return Packed(self._digest.hexdigest(), self._size, self._crc, self._length)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)
        self._out.write(data)


class _Count:
    """What was packed so far, held to the bounds."""

    def __init__(self, bounds: TarBounds) -> None:
        self._bounds = bounds
        self._members = self._size = 0

    def add(self, size: int = 0) -> None:
        """Raises BadCargo."""
        self._members += 1
        self._size += size
        if self._members > self._bounds.members:
            raise BadCargo(f"the app has more than {self._bounds.members} files, links and directories")
        if self._size > self._bounds.size:
            raise BadCargo(f"the files of the app have more than {self._bounds.size} bytes")


def _archive(tree: Path, bounds: TarBounds) -> Iterator[bytes]:
    top = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    count = _Count(bounds)
    try:
        count.add()
        yield headers(DIRECTORY, f"{FILES}/", 0o755)
        yield from _directory(top, FILES, count, _LEFT_OUT)
    finally:
        os.close(top)
    yield END


def _directory(place: int, path: str, count: _Count, without: frozenset[str] = frozenset()) -> Iterator[bytes]:
    """What is in a directory, sorted by the bytes of the names."""
    for name in sorted(os.listdir(place), key=os.fsencode):
        if name in without:
            continue
        inner = f"{path}/{name}"
        if problem := path_problem(inner):
            raise BadCargo(problem)
        kind = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
        if stat.S_ISDIR(kind):
            count.add()
            yield headers(DIRECTORY, f"{inner}/", 0o755)
            with _opened(name, place, inner, os.O_DIRECTORY) as below:
                yield from _directory(below, inner, count)
        elif stat.S_ISLNK(kind):
            count.add()
            yield _link(name, place, inner)
        elif stat.S_ISREG(kind):
            with _opened(name, place, inner) as file:
                yield from _file(file, inner, count)
        else:
            what = _KINDS.get(stat.S_IFMT(kind), "no file")
            raise BadCargo(f"{inner!r} is {what}; an app has files, directories and symbolic links")


def _link(name: str, place: int, path: str) -> bytes:
    try:
        target = os.readlink(name, dir_fd=place)
        target.encode()
    except UnicodeEncodeError:
        raise BadCargo(f"the symbolic link {path!r} leads to what is not UTF-8") from None
    # in a zone, the top directory of the app is not the top one of the cargo
    if problem := link_problem(path.removeprefix(f"{FILES}/"), target):
        raise BadCargo(problem)
    return headers(LINK, path, 0o644, target=target)


def _file(file: int, path: str, count: _Count) -> Iterator[bytes]:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise BadCargo(f"{path!r} changes while it is packed")
    size = left = found.st_size
    count.add(size)
    yield headers(FILE, path, 0o755 if found.st_mode & 0o100 else 0o644, size)
    while left and (data := os.read(file, min(left, PIECE))):
        left -= len(data)
        yield data
    if left or os.read(file, 1):
        raise BadCargo(f"{path!r} changes while it is packed")
    yield bytes(-size % BLOCK)


@contextmanager
def _opened(name: str, place: int, path: str, flags: int = 0) -> Iterator[int]:
    """A file of the build, without following a link, and without waiting for what it is. Raises BadCargo."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=place)
    except OSError as error:
        raise BadCargo(f"{path!r} cannot be read: {error.strerror}") from None
    try:
        yield file
    finally:
        os.close(file)
