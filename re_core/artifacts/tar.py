"""Reads a tar.gz as it comes, in bounded memory, and believes nothing of it. Pure; must not know what becomes of the files.

tarfile takes a damaged header for the end of the archive, reads an extended header of any size into memory, and on some of
its versions even its filter lets a chain of links lead out of the directory (CVE-2025-4517); so the little of POSIX.1-2001
(pax) and of GNU tar that archives of files, directories and symbolic links need is read here.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from re_core.artifacts.names import MAX_PATH, path_problem
from re_core.errors import BadDocument, TooLarge

#: bytes of one block of a tar archive
BLOCK = 512

#: bytes that are decompressed at a time
PIECE = 256 * 1024

#: bytes of the longest extended header: a path, and what is ignored beside it
MAX_EXTENDED = 64 * 1024

_ZEROS = bytes(BLOCK)

#: how names begin in an archive of "."
_HERE = re.compile(r"\A(?:\./)+")

_OCTAL = re.compile(rb"[0-7]{1,8}")

#: type of a member -> what it is, of those that no archive here may have
REFUSED = {
    b"1": "a hard link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a FIFO",
    b"S": "a sparse file",
}

#: types of plain files
_FILES = (b"0", b"\0", b"7")

#: types of members without bytes: of these GNU tar and others write a size although nothing follows
_BODILESS = (b"1", b"2", b"3", b"4", b"5", b"6")

_SHOWN = 200


class TarBounds(NamedTuple):
    """How much an archive may hold."""

    #: bytes of all files
    size: int = 1024 * 1024 * 1024
    #: files, links and directories, also those that are only named in paths
    members: int = 50_000
    #: bytes of headers and padding beside the files
    overhead: int = 64 * 1024 * 1024


class Entry(NamedTuple):
    """Something that the archive holds; of a file, its bytes follow, `size` of them in all."""

    kind: Literal["file", "directory", "symlink"]
    #: relative and normalised
    path: str
    #: 0o755 for what may be executed or is a directory, else 0o644
    mode: int
    size: int = 0
    #: where a symlink leads
    target: str = ""


class Comment(NamedTuple):
    """What a global header says of the whole archive; `git archive` writes the commit there."""

    text: str


class Header(NamedTuple):
    """What the headers before a member say."""

    kind: bytes
    name: str
    size: int
    mode: int = 0
    link: str = ""

    @property
    def is_directory(self) -> bool:
        """Old programs mark a directory by its name alone."""
        return self.kind == b"5" or (self.kind in _FILES and self.name.endswith("/"))

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return self.kind in _FILES and not self.is_directory

    @property
    def path(self) -> str:
        """The name without a `./` in front and slashes behind; empty for the directory that was packed itself."""
        name = _HERE.sub("", self.name)
        name = name.rstrip("/") if name.strip("/") and self.is_directory else name
        return "" if name in ("", ".") and self.is_directory else name


def entries(pieces: Iterable[bytes], bounds: TarBounds, remedy: str = "") -> Iterator[Entry | Comment | bytes]:
    """What a tar.gz holds: files, directories and symbolic links, each path once and none below a file or a link.

    A link leads to a relative place in the archive. `remedy`: what to do about a damaged archive. Raises BadDocument or
    TooLarge at the first thing that is wrong, possibly after what was right.
    """
    reader, places, total = (
        TarReader(inflate(pieces, bounds.size + bounds.overhead, remedy), remedy),
        _Places(bounds),
        0,
    )
    said = ""
    for header in reader.headers(bounds.overhead):
        if reader.comment != said:
            said = reader.comment
            yield Comment(said)
        if header.is_directory and not header.path:
            continue
        entry = _entry(header)
        total += entry.size
        if total > bounds.size:
            raise TooLarge(f"the files of the archive have more than {bounds.size} bytes; leave some out")
        places.add(entry)
        yield entry
        if entry.kind == "file":  # what a damaged header gives another one is passed over
            yield from reader.body()


def link_problem(path: str, target: str) -> str:
    """Why no link at this path may lead to that target; empty where it may.

    It stays inside when `..` stands in front alone, at most once for each directory above the link: behind a name it could
    climb out of another link.
    """
    parts = target.split("/")
    up = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    shown = f"the symbolic link {path[:_SHOWN]!r} leads to {target[:_SHOWN]!r}"
    if not target or len(target.encode("utf-8", "surrogatepass")) > MAX_PATH or "\0" in target:
        return f"{shown}, which is empty, or longer than {MAX_PATH} bytes"
    if target.startswith("/"):
        return f"{shown}, an absolute path; use a relative one"
    if up > path.count("/"):
        return f"{shown}, outside of the archive"
    if ".." in parts[up:]:
        return f"{shown}; '..' may only stand in front of a target"
    return ""


def inflate(pieces: Iterable[bytes], limit: int, remedy: str = "") -> Iterator[bytes]:
    """What a gzip stream holds (one member or several), in small pieces. Raises BadDocument, TooLarge above `limit` bytes."""
    stream = zlib.decompressobj(wbits=31)
    count, begun = 0, False
    for piece in pieces:
        left = piece
        while left:
            begun = True
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
            data = _decompressed(stream, left, remedy)
            left = stream.unused_data if stream.eof else stream.unconsumed_tail
            count += len(data)
            if count > limit:
                raise TooLarge(f"the archive has more than {limit} bytes when it is unpacked; leave files out")
            if data:
                yield data
    # what the decompressor still holds although it has eaten all its input
    while not stream.eof and (data := _decompressed(stream, stream.unconsumed_tail, remedy)):
        count += len(data)
        if count > limit:
            raise TooLarge(f"the archive has more than {limit} bytes when it is unpacked; leave files out")
        yield data
    if not begun or not stream.eof:
        raise BadDocument(_with(f"the body is {'cut off: the archive has no end' if begun else 'empty'}", remedy))


def _decompressed(stream: zlib._Decompress, data: bytes, remedy: str) -> bytes:
    try:
        return stream.decompress(data, PIECE)
    except zlib.error as error:
        raise BadDocument(_with(f"the body is not a gzip archive, or is damaged ({error})", remedy)) from None


class TarReader:
    """Members of a tar archive one by one; `body` gives the bytes of the one whose header was given last."""

    def __init__(self, pieces: Iterator[bytes], remedy: str = "") -> None:
        """`pieces` are decompressed; `remedy` ends the message about a damaged archive."""
        self._pieces = pieces
        self._held = memoryview(b"")
        self._remedy = remedy
        #: bytes of the body, and of the padding behind it, that were not taken
        self._left = self._padding = 0
        #: bytes that were taken beside bodies that the caller took
        self._beside = 0
        #: what the last global header says
        self.comment = ""

    def headers(self, overhead: int) -> Iterator[Header]:
        """One for each member. What of a body is not taken is passed over, and counts as overhead.

        Raises BadDocument for what cannot be read, TooLarge where more than `overhead` bytes stand beside the files.
        """
        name = link = ""
        size: int | None = None
        while (block := self._exactly(BLOCK)) != _ZEROS:
            self._beside += BLOCK
            if self._beside > overhead:  # reading a header takes longer than reading as many bytes of a file
                raise TooLarge(_with(f"the archive has more than {overhead} bytes beside its files", self._remedy))
            header = self._header(block)
            if header.kind in (b"x", b"g", b"L", b"K"):
                text = self._extended(header)
                if header.kind == b"x":
                    said = self._pax(text)
                    name, link = said.path or name, said.link or link
                    size = size if said.size is None else said.size
                elif header.kind == b"g":
                    self.comment = self._pax(text).comment or self.comment
                elif header.kind == b"L":
                    name = _decoded(text.split(b"\0")[0])
                else:
                    link = _decoded(text.split(b"\0")[0])
                continue
            self._left = header.size if size is None else size
            self._padding = -self._left % BLOCK
            # in the header behind a long name, its beginning may end in the middle of a character
            name, link = name or _decoded(header.name), link or _decoded(header.link)
            yield Header(header.kind, name, self._left, header.mode, link)
            self._pass()
            name, link, size = "", "", None
        self._end()

    def body(self) -> Iterator[bytes]:
        """The bytes of the member, in pieces. Raises BadDocument where the archive ends before."""
        while self._left:
            data = self._some(self._left)
            if not data:
                raise BadDocument(_with("the archive is cut off in the middle of a file", self._remedy))
            self._left -= len(data)
            yield data

    def _pass(self) -> None:
        """Over what the caller left of the body, and the padding."""
        self._beside += self._left + self._padding
        for _ in self.body():
            pass
        self._left, self._padding = self._padding, 0
        for _ in self.body():
            pass

    def _end(self) -> None:
        while data := self._some(PIECE):
            if data.count(0) != len(data):
                raise BadDocument(_with("there is something behind the end of the archive", self._remedy))

    def _some(self, most: int) -> bytes:
        """Up to `most` bytes; none at the end."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._held = memoryview(piece)
        taken, self._held = self._held[:most], self._held[most:]
        return bytes(taken)

    def _exactly(self, size: int) -> bytes:
        self._left = size
        return b"".join(self.body())

    def _extended(self, header: _Plain) -> bytes:
        if header.size > MAX_EXTENDED:
            raise BadDocument(f"an extended header of the archive has {header.size} bytes, more than {MAX_EXTENDED}")
        text = self._exactly(header.size)
        padding = self._exactly(-header.size % BLOCK)
        self._beside += len(text) + len(padding)
        return text

    def _header(self, block: bytes) -> _Plain:
        """Raises BadDocument for a block that is none: its sum is wrong."""
        said = self._number(block[148:156])
        bare = block[:148] + b" " * 8 + block[156:]
        # some old programs add signed bytes
        if said != sum(bare) and said != sum(byte - 256 if byte > 127 else byte for byte in bare):
            raise BadDocument(_with("the archive is damaged: a header of tar has a wrong checksum", self._remedy))
        name, link = block[:100].split(b"\0")[0], block[157:257].split(b"\0")[0]
        prefix = block[345:500].split(b"\0")[0]
        if block[257:263] == b"ustar\0" and prefix:
            name = prefix + b"/" + name
        kind = block[156:157]
        size = 0 if kind in _BODILESS else self._number(block[124:136])
        mode = block[100:108].strip(b" \0")
        return _Plain(kind, name, size, int(mode, 8) if _OCTAL.fullmatch(mode) else 0, link if kind == b"2" else b"")

    def _number(self, field: bytes) -> int:
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
            raise BadDocument(
                _with("the archive is damaged: a header of tar has a wrong number", self._remedy)
            ) from None

    def _pax(self, text: bytes) -> _Said:
        """What the records `<length> <key>=<value>` say. Raises BadDocument."""
        said = _Said()
        begin = 0
        while begin < len(text):
            digits = text[begin : begin + 8].partition(b" ")[0]
            end = begin + (int(digits) if digits.isdigit() and len(digits) < 8 else 0)
            key, equals, value = text[begin + len(digits) + 1 : max(end - 1, 0)].partition(b"=")
            if not equals or end > len(text) or text[end - 1 : end] != b"\n":
                raise BadDocument(_with("the archive is damaged: an extended header cannot be read", self._remedy))
            if key.startswith(b"GNU.sparse"):
                raise BadDocument("the archive has a sparse file; make it without --sparse")
            if key == b"path":
                said = said._replace(path=_decoded(value))
            elif key == b"linkpath":
                said = said._replace(link=_decoded(value))
            elif key == b"comment":
                said = said._replace(comment=value.decode("utf-8", "replace"))
            elif key == b"size":
                if not value.isdigit() or len(value) > 20:
                    raise BadDocument(
                        _with("the archive is damaged: an extended header has a wrong size", self._remedy)
                    )
                said = said._replace(size=int(value))
            begin = end
        return said


class _Plain(NamedTuple):
    """What one block says; names as they stand there."""

    kind: bytes
    name: bytes
    size: int
    mode: int
    link: bytes


class _Said(NamedTuple):
    """What an extended header says."""

    path: str = ""
    link: str = ""
    comment: str = ""
    size: int | None = None


class _Places:
    """The paths of an archive: each once, and none below what is no directory."""

    def __init__(self, bounds: TarBounds) -> None:
        self._most = bounds.members
        self._directories: set[str] = set()
        #: path -> what it is, of files and links
        self._others: dict[str, str] = {}

    def add(self, entry: Entry) -> None:
        """Raises BadDocument, or TooLarge where there are too many."""
        path = entry.path
        above = path
        while (above := above.rpartition("/")[0]) and above not in self._directories:
            if above in self._others:
                raise BadDocument(f"{path[:_SHOWN]!r} is below {above[:_SHOWN]!r}, which is a {self._others[above]}")
            self._directories.add(above)
        if path in self._others or (path in self._directories and entry.kind != "directory"):
            raise BadDocument(f"the archive has {path[:_SHOWN]!r} twice")
        if entry.kind == "directory":
            self._directories.add(path)
        else:
            self._others[path] = entry.kind
        if len(self._directories) + len(self._others) > self._most:
            raise TooLarge(f"the archive has more than {self._most} files, links and directories; leave some out")


def _entry(header: Header) -> Entry:
    """Raises BadDocument for what is neither a file nor a directory nor a link, and for a path or a target that is none."""
    path = header.path
    if header.kind in REFUSED or header.kind not in (*_FILES, b"2", b"5"):
        what = REFUSED.get(header.kind, f"a member of the type {header.kind!r}")
        raise BadDocument(f"{path[:_SHOWN]!r} is {what}; an archive here has files, directories and symbolic links")
    if problem := path_problem(path):
        raise BadDocument(problem)
    if header.is_directory:
        return Entry("directory", path, 0o755)
    if header.is_file:
        return Entry("file", path, 0o755 if header.mode & 0o100 else 0o644, header.size)
    if problem := link_problem(path, header.link):
        raise BadDocument(problem)
    return Entry("symlink", path, 0o644, target=header.link)


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise BadDocument(f"the path {name[:_SHOWN]!r} is not UTF-8; rename the file") from None


def _with(text: str, remedy: str) -> str:
    return f"{text}; {remedy}" if remedy else text
