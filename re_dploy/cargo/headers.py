"""Headers of tar archives, the same bytes for the same thing: owner, group and time are 0. Pure; must not know files."""

from __future__ import annotations

from re_core.artifacts.tar import BLOCK

#: what closes an archive
END = bytes(2 * BLOCK)

#: bytes of a name and of a target in a plain header
_FIELD = 100

FILE, LINK, DIRECTORY = b"0", b"2", b"5"


def headers(kind: bytes, name: str, mode: int, size: int = 0, target: str = "") -> bytes:
    """Those of one member: an extended one where name, target or size do not fit into a plain one, and the plain one."""
    records = b""
    encoded, leads_to = name.encode(), target.encode()
    if not _fits(encoded):
        records += _record(b"path", encoded)
    if not _fits(leads_to):
        records += _record(b"linkpath", leads_to)
    plain = _plain(kind, encoded[: _FIELD - 1], mode, size, leads_to[: _FIELD - 1])
    if not records:
        return plain
    return _plain(b"x", b"././@PaxHeader", 0o644, len(records), b"") + records + bytes(-len(records) % BLOCK) + plain


def _fits(text: bytes) -> bool:
    return len(text) < _FIELD and text.isascii()


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>`, where the length counts its own digits."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


def _plain(kind: bytes, name: bytes, mode: int, size: int, target: bytes) -> bytes:
    """POSIX.1-1988 (ustar)."""
    fields = (
        name.ljust(_FIELD, b"\0"),
        b"%07o\0" % mode,
        b"%07o\0" % 0 * 2,
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        target.ljust(_FIELD, b"\0"),
        b"ustar\x0000",
        bytes(247),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
