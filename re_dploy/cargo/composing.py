"""The cargo of a version, composed of a head and of a payload that stays as it is. Pure; must not know where they are kept.

The head is deflated and flushed, the payload's deflate bytes follow unchanged, and the checksum at the end is combined from
both (RFC 1951, RFC 1952). Two gzip members one after the other would be simpler, but readers of streams stop after the first.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from re_core.artifacts.tar import BLOCK
from re_core.errors import ReleaseEngineError
from re_core.wire import strict_json
from re_dploy.cargo.headers import FILE, headers

#: what stands in front of an app's files
ABOUT = "release.json"

#: header of a gzip member: deflate, no time, no name, an unknown system
GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

#: bytes of checksum and length behind it
TRAILER = 8

#: the polynomial of CRC-32, lowest degree in the highest bit
_CRC = 0xEDB88320


class BadCargo(ReleaseEngineError):
    """These bytes are no cargo, or these files can be none."""

    reason = "bad-cargo"


def head(release: Mapping[str, Any]) -> bytes:
    """release.json as the first member of an archive, not compressed; the same bytes for the same release."""
    data = strict_json.dumps(dict(release)).encode()
    return headers(FILE, ABOUT, 0o644, len(data)) + data + bytes(-len(data) % BLOCK)


def compose(head: bytes, payload: Iterable[bytes], crc: int, length: int) -> Iterator[bytes]:
    """The bytes of a cargo, in pieces. `crc`, `length`: of the payload when it is unpacked, as `pack` said.

    Raises BadCargo where the payload is none, or its end does not say the same.
    """
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    yield GZIP + stream.compress(head) + stream.flush(zlib.Z_FULL_FLUSH)
    yield from _deflated(payload, trailer(crc, length))
    yield trailer(combined(zlib.crc32(head), crc, length), len(head) + length)


def trailer(crc: int, length: int) -> bytes:
    """The end of a gzip member."""
    return crc.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")


def combined(first: int, second: int, length: int) -> int:
    """CRC-32 of two texts of which the second has so many bytes, from those of each.

    Behind `length` bytes, the first one stands multiplied by x to the power of 8 * length, modulo the polynomial.
    """
    power, square, bits = 1 << 31, 1 << 30, 8 * length
    while bits:
        if bits & 1:
            power = _times(square, power)
        square = _times(square, square)
        bits >>= 1
    return _times(power, first) ^ second


def _times(a: int, b: int) -> int:
    """Product of two polynomials over GF(2), modulo that of CRC-32."""
    product = 0
    for place in range(31, -1, -1):
        if a >> place & 1:
            product ^= b
        b = b >> 1 ^ (_CRC if b & 1 else 0)
    return product


def _deflated(payload: Iterable[bytes], end: bytes) -> Iterator[bytes]:
    """The payload without the header and the trailer of its gzip member."""
    held, begun = b"", False
    for piece in payload:
        held += piece
        if not begun:
            if len(held) < len(GZIP):
                continue
            if not held.startswith(GZIP):
                raise BadCargo("the payload is damaged, or dploy did not pack it: it begins with another header")
            held, begun = held[len(GZIP) :], True
        if len(held) > TRAILER:
            yield held[:-TRAILER]
            held = held[-TRAILER:]
    if not begun or held != end:
        raise BadCargo("the payload is damaged: its end is another one than the record of the release says")
