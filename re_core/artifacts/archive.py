"""What a tar.gz holds as files of an artifact. Pure; must not know what becomes of the files.

The top-level directories are the categories; an artifact has plain files only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from re_core.artifacts.names import Paths, category_problem, path_problem
from re_core.artifacts.tar import REFUSED, Header, TarReader, inflate
from re_core.errors import BadDocument, TooLarge

#: bytes of headers and padding that an archive may have beside its files
OVERHEAD = 16 * 1024 * 1024

#: type of a member -> what it is, of those that an artifact does not have
_REFUSED = {**REFUSED, b"2": "a symbolic link"}

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
    reader, paths, total = TarReader(inflate(pieces, limit + OVERHEAD, _REMEDY), _REMEDY), Paths(), 0
    for header in reader.headers(OVERHEAD):
        category, path = _place(header)
        if not path:
            continue
        total += header.size
        if total > limit:
            raise TooLarge(f"the files have more than {limit} bytes; leave some out, or raise RE_ARTIFACT_LIMIT")
        if problem := paths.add(category, path):
            raise BadDocument(problem)
        yield Member(category, path, header.size)
        yield from reader.body()


def _place(header: Header) -> tuple[str, str]:
    """Category and path of a file; no path for a directory. Raises BadDocument for what an artifact does not have."""
    path = header.path
    if not header.is_file and not header.is_directory:
        what = _REFUSED.get(header.kind, f"an entry of the type {header.kind!r}")
        raise BadDocument(
            f"{path[:200]!r} is {what}; an artifact has plain files only (tar -h stores what links lead to)"
        )
    if not path and header.is_directory:
        return "", ""
    if problem := path_problem(path):
        raise BadDocument(problem)
    category, _, path = path.partition("/")
    if not path and header.is_file:
        raise BadDocument(
            f"the file {category[:200]!r} is in no category; move it to a directory such as deployment or spec"
        )
    if problem := category_problem(category):
        raise BadDocument(f"{header.path[:200]!r}: its top-level directory is its category; {problem}")
    return category, "" if header.is_directory else path
