"""What a step stores as an artifact of its deployment's group, such as a result that is too large for a reply, or is no JSON.

Must not know the bus.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from re_core.artifacts.content import ARCHIVE, FILES
from re_core.artifacts.names import MAX_FILES, category_problem, name_problem, path_problem
from re_core.artifacts.packing import pack
from re_workers.artifacts import Claimed, Listed, Shelf
from re_workers.host_files import Source, opened
from re_workers.outcomes import Failed
from re_workers.results import StoredArtifact

#: where the one file of an artifact is, where nothing else is said
FILE = "result/data"
#: and where the JSON is that was too large for the journal
LARGE = "result/data.json"
#: bytes that are read at once
_PIECE = 256 * 1024


class _File(NamedTuple):
    """One file of an artifact that is made."""

    name: str
    size: int
    open: Callable[[], AbstractContextManager[BinaryIO]]


def store(
    shelf: Shelf, claimed: Claimed, name: str, source: Source, file: str = "", archive: bool = False
) -> StoredArtifact:
    """Store it. Raises Failed, Cancelled.

    `source`: bytes, a file or a stream, which become the file `file`; or a directory, whose directories are the categories; with
    `archive` a tar.gz that is kept as it is.
    """
    if problem := name_problem(name):
        raise Failed(problem)
    if archive:
        with _opened(source) as stream:
            return _stored(name, "", stream, shelf.store(claimed, name, ARCHIVE, stream))
    if isinstance(source, Path) and source.is_dir():
        with _packed(_below(source)) as packed:
            listed = shelf.store(claimed, name, FILES, packed)
            return StoredArtifact(name, "", f"sha256:{listed.digest}", sum(one.size for one in _below(source)))
    file = file or FILE
    category, _, path = file.partition("/")
    if problem := category_problem(category) or path_problem(path):
        raise Failed(f"the file of an artifact is category/path: {problem}")
    with _opened(source) as stream:
        size = stream.seek(0, io.SEEK_END)
        with _packed([_File(file, size, lambda: nullcontext(stream))]) as packed:
            shelf.store(claimed, name, FILES, packed)
        return _of_file(name, file, stream)


def _stored(name: str, file: str, stream: BinaryIO, listed: Listed) -> StoredArtifact:
    return StoredArtifact(name, file, f"sha256:{listed.digest}", stream.seek(0, io.SEEK_END))


def _of_file(name: str, file: str, stream: BinaryIO) -> StoredArtifact:
    digest, size = hashlib.sha256(), 0
    stream.seek(0)
    while piece := stream.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return StoredArtifact(name, file, f"sha256:{digest.hexdigest()}", size)


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    try:
        with opened(source) as stream:
            yield stream
    except OSError as error:
        raise Failed(f"what is to be stored as an artifact cannot be read: {error}") from None


@contextmanager
def _packed(files: list[_File]) -> Iterator[BinaryIO]:
    """A tar.gz of them, in a file without a name."""
    with tempfile.TemporaryFile() as kept:
        for piece in pack(((one.name, one.size, _pieces(one)) for one in files), 0):
            kept.write(piece)
        kept.seek(0)
        yield cast(BinaryIO, kept)


def _pieces(file: _File) -> Iterator[bytes]:
    left = file.size
    with file.open() as stream:
        stream.seek(0)
        while left and (piece := stream.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece
    if left:
        raise Failed(f"{file.name} became shorter while it was read")


def _reading(path: Path) -> BinaryIO:
    return path.open("rb")


def _below(directory: Path) -> list[_File]:
    """The files below it, links left out, by name. Raises Failed."""
    found = []
    for place, _, names in os.walk(directory):
        for one in names:
            path = Path(place) / one
            if path.is_file() and not path.is_symlink():
                name = str(path.relative_to(directory))
                found.append(_File(name, path.stat().st_size, partial(_reading, path)))
    if not found or len(found) > MAX_FILES:
        raise Failed(f"{directory} has {len(found)} files; an artifact has 1 to {MAX_FILES}")
    return sorted(found, key=lambda one: one.name)
