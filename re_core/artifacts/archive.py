"""Reads a tar.gz as it comes, in bounded memory, and believes nothing of it. Pure; must not know what becomes of the files.

tarfile takes a damaged header for the end of the archive, and reads an extended header of any size into memory; so the little of
POSIX.1-2001 (pax) and of GNU tar that archives of plain files need is read here. The top-level directories are the categories.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from re_core.artifacts.names import Paths, category_problem, path_problem
from re_core.errors import BadDocument, TooLarge

#: bytes of one block of a tar archive
BLOCK = 512

#: bytes that are decompressed at a time
_PIECE = 256 * 1024

#: bytes of headers and padding that an archive may have beside its files
OVERHEAD = 16 * 1024 * 1024

#: bytes of the longest extended header: a path, and what is ignored beside it
_MAX_EXTENDED = 64 * 1024

_ZEROS = bytes(BLOCK)

#: how names begin in an archive of "."
_HERE = re.compile(r"\A(?:\./)+")

#: type of an entry -> what it is, of those that an artifact does not have
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}

_REMEDY = "make it with: tar -czf FILE deployment spec"


class Member(NamedTuple):
    """A file begins; its bytes follow, `size` of them in all."""

    category: str
    path: str
    size: int


def unpack(pieces: Iterable[bytes], limit: int) -> Iterator[Member | bytes]:
    """The files of a tar.gz, each a Member and then its bytes in pieces. `limit`: bytes of all files.

    Raises BadDocument or TooLarge at the first thing that is wrong, possibly after files that were right.
    """
    return _untar(_Source(inflate(pieces, limit + OVERHEAD)), limit)


def inflate(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    """What a gzip stream holds (one member or several), in small pieces. Raises BadDocument, TooLarge above `limit` bytes."""
    stream = zlib.decompressobj(wbits=31)
    count, begun = 0, False
    for piece in pieces:
        left = piece
        while left:
            begun = True
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
            try:
                data = stream.decompress(left, _PIECE)
            except zlib.error as error:
                raise BadDocument(f"the body is not a gzip archive, or is damaged ({error}); {_REMEDY}") from None
            left = stream.unused_data if stream.eof else stream.unconsumed_tail
            count += len(data)
            if count > limit:
                raise TooLarge(f"the archive has more than {limit} bytes when it is unpacked; leave files out")
            if data:
                yield data
    yield from _rest(stream, limit - count)
    if not begun or not stream.eof:
        raise BadDocument(f"the body is {'empty' if not begun else 'cut off: the archive has no end'}; {_REMEDY}")


def _rest(stream: zlib._Decompress, room: int) -> Iterator[bytes]:
    """What the decompressor still holds although it has eaten all its input."""
    while not stream.eof:
        try:
            data = stream.decompress(stream.unconsumed_tail, _PIECE)
        except zlib.error as error:
            raise BadDocument(f"the body is damaged ({error}); {_REMEDY}") from None
        if not data:
            return
        room -= len(data)
        if room < 0:
            raise TooLarge("the archive has too many bytes when it is unpacked; leave files out")
        yield data


class _Source:
    """A stream of bytes, of which exact amounts are taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        #: bytes that were taken
        self.taken = 0

    def some(self, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = memoryview(piece)
        taken, self._left = self._left[:most], self._left[most:]
        self.taken += len(taken)
        return bytes(taken)

    def portions(self, size: int) -> Iterator[bytes]:
        """Exactly `size` bytes. Raises BadDocument where the stream ends before."""
        while size:
            data = self.some(size)
            if not data:
                raise BadDocument(f"the archive is cut off in the middle of a file; {_REMEDY}")
            size -= len(data)
            yield data

    def exactly(self, size: int) -> bytes:
        return b"".join(self.portions(size))

    def skip(self, size: int) -> None:
        for _ in self.portions(size):
            pass


class _Header(NamedTuple):
    """What a header says."""

    kind: bytes
    name: str
    size: int


def _untar(source: _Source, limit: int) -> Iterator[Member | bytes]:
    paths, total = Paths(), 0
    long_name: str | None = None
    long_size: int | None = None
    while (block := source.exactly(BLOCK)) != _ZEROS:
        if source.taken - total > OVERHEAD:  # reading a header takes longer than reading as many bytes of a file
            raise TooLarge(f"the archive has more than {OVERHEAD} bytes beside its files; {_REMEDY}")
        header = _header(block)
        if header.kind in (b"x", b"g", b"L", b"K"):
            text = _extended(source, header)
            if header.kind == b"x":
                long_name, long_size = _pax(text, long_name)
            elif header.kind == b"L":
                long_name = _decoded(text.split(b"\0")[0])
            continue
        name = header.name if long_name is None else long_name
        size = header.size if long_size is None else long_size
        long_name = long_size = None
        category, path = _place(header.kind, name)
        if not path:
            source.skip(_padded(size))
            continue
        total += size
        if total > limit:
            raise TooLarge(f"the files have more than {limit} bytes; leave some out, or raise RE_ARTIFACT_LIMIT")
        if problem := paths.add(category, path):
            raise BadDocument(problem)
        yield Member(category, path, size)
        yield from source.portions(size)
        source.skip(_padded(size) - size)
    while data := source.some(_PIECE):
        if data.count(0) != len(data):
            raise BadDocument(f"there is something behind the end of the archive; {_REMEDY}")


def _place(kind: bytes, name: str) -> tuple[str, str]:
    """Category and path of a file; no path for a directory. Raises BadDocument for what an artifact does not have."""
    name = _HERE.sub("", name)
    if kind in _REFUSED or kind not in (b"0", b"\0", b"7", b"5"):
        what = _REFUSED.get(kind, f"an entry of the type {kind!r}")
        raise BadDocument(
            f"{name[:200]!r} is {what}; an artifact has plain files only (tar -h stores what links lead to)"
        )
    is_directory = kind == b"5" or name.endswith("/")
    name = name.rstrip("/") if name.strip("/") else name
    if is_directory and name in ("", "."):
        return "", ""
    if problem := path_problem(name):
        raise BadDocument(problem)
    category, _, path = name.partition("/")
    if not path and not is_directory:
        raise BadDocument(
            f"the file {name[:200]!r} is in no category; move it to a directory such as deployment or spec"
        )
    if problem := category_problem(category):
        raise BadDocument(f"{name[:200]!r}: its top-level directory is its category; {problem}")
    return category, "" if is_directory else path


def _header(block: bytes) -> _Header:
    """Raises BadDocument for a block that is none: its sum is wrong."""
    said = _number(block[148:156])
    bare = block[:148] + b" " * 8 + block[156:]
    # some old programs add signed bytes
    if said != sum(bare) and said != sum(byte - 256 if byte > 127 else byte for byte in bare):
        raise BadDocument(f"the archive is damaged: a header of tar has a wrong checksum; {_REMEDY}")
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0]
    if block[257:263] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    kind = block[156:157]
    # of these GNU tar and others write a size although nothing follows
    size = 0 if kind in (b"1", b"2", b"3", b"4", b"5", b"6") else _number(block[124:136])
    return _Header(kind, _decoded(name), size)


def _number(field: bytes) -> int:
    """Octal digits, or in GNU's form a binary number. Raises BadDocument."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        # int() takes signs and underscores too
        if digits and not digits.isdigit():
            raise ValueError(digits)
        return int(digits or b"0", 8)
    except ValueError:
        raise BadDocument(f"the archive is damaged: a header of tar has a wrong number; {_REMEDY}") from None


def _extended(source: _Source, header: _Header) -> bytes:
    if header.size > _MAX_EXTENDED:
        raise BadDocument(f"an extended header of the archive has {header.size} bytes, more than {_MAX_EXTENDED}")
    text = source.exactly(header.size)
    source.skip(_padded(header.size) - header.size)
    return text


def _pax(text: bytes, name: str | None) -> tuple[str | None, int | None]:
    """Name and size that the records `<length> <key>=<value>` say. Raises BadDocument."""
    size: int | None = None
    begin = 0
    while begin < len(text):
        digits = text[begin : begin + 8].partition(b" ")[0]
        end = begin + (int(digits) if digits.isdigit() and len(digits) < 8 else 0)
        key, equals, value = text[begin + len(digits) + 1 : max(end - 1, 0)].partition(b"=")
        if not equals or end > len(text) or text[end - 1 : end] != b"\n":
            raise BadDocument(f"the archive is damaged: an extended header cannot be read; {_REMEDY}")
        if key.startswith(b"GNU.sparse"):
            raise BadDocument("the archive has a sparse file; make it without --sparse")
        if key == b"path":
            name = _decoded(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                raise BadDocument(f"the archive is damaged: an extended header has a wrong size; {_REMEDY}")
            size = int(value)
        begin = end
    return name, size


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BadDocument(f"the path {name[:200]!r} is not UTF-8; rename the file") from None


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
