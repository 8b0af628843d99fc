"""Writes a tar.gz of files, always the same bytes for the same files. Pure; must not know where the files come from."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from re_core.artifacts.tar import BLOCK

#: mode of every file
_MODE = 0o644

#: what closes an archive
_END = bytes(2 * BLOCK)


def pack(files: Iterable[tuple[str, int, Iterable[bytes]]], at: int) -> Iterator[bytes]:
    """The pieces of an archive of these files: name, bytes, and the bytes themselves. `at`: their time, seconds since the epoch."""
    stream = zlib.compressobj(6, zlib.DEFLATED, 31)
    for name, size, pieces in files:
        yield stream.compress(_headers(name, size, at))
        for piece in pieces:
            yield stream.compress(piece)
        yield stream.compress(bytes(-size % BLOCK))
    yield stream.compress(_END)
    yield stream.flush()


def _headers(name: str, size: int, at: int) -> bytes:
    """An extended header where the name does not fit into a plain one, and the plain one."""
    encoded = name.encode()
    if len(encoded) < 100 and encoded.isascii():
        return _header(encoded, size, at, b"0")
    body = b"path=" + encoded + b"\n"
    # the length counts its own digits
    length = len(body) + 2
    while len(str(length)) + 1 + len(body) != length:
        length += 1
    record = str(length).encode() + b" " + body
    extended = _header(b"././@PaxHeader", len(record), at, b"x") + record + bytes(-len(record) % BLOCK)
    return extended + _header(encoded[:99], size, at, b"0")


def _header(name: bytes, size: int, at: int, kind: bytes) -> bytes:
    """POSIX.1-1988 (ustar)."""
    fields = (
        name.ljust(100, b"\0"),
        b"%07o\0" % _MODE,
        b"%07o\0" % 0 * 2,
        b"%011o\0" % size,
        b"%011o\0" % max(0, at),
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x0000",
        bytes(247),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
