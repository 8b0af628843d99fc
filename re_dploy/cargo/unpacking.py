"""Unpacks archives onto a disk: cargo in a zone, sources in a builder. Must not know what is done with the files.

Nothing of an archive is believed (re_core.artifacts.tar). Links are made last, so while files are written no path can lead
through one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from re_core.artifacts.tar import Comment, Entry, TarBounds, entries, link_problem
from re_core.errors import BadDocument, TooLarge
from re_dploy.cargo.composing import ABOUT, BadCargo
from re_dploy.cargo.packing import FILES

#: how archives of sources are made
_REMEDY = "make it with: git archive --format=tar.gz HEAD"

#: mode of directories
_DIRECTORY = 0o755

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def unpack(pieces: Iterable[bytes], into: int, bounds: TarBounds | None = None) -> None:
    """Unpack a cargo into an empty directory, of which `into` is a descriptor: `release.json` and `app/`.

    Raises BadCargo for what is no cargo, possibly after files that were right, and OSError where the disk is full.
    """
    try:
        _write(_cargo(entries(pieces, bounds or TarBounds())), into)
    except (BadDocument, TooLarge) as error:
        raise BadCargo(str(error)) from None
    if {ABOUT, FILES} - set(os.listdir(into)):
        raise BadCargo(f"it has no {ABOUT}, or no directory {FILES}")


def unpack_source(
    pieces: Iterable[bytes], into: int, bounds: TarBounds | None = None, look: Callable[[], None] = lambda: None
) -> tuple[str, str]:
    """Unpack an app's sources into an empty directory: (name of the directory that holds all, the commit that they name).

    The name is empty where the archive has more than one thing at its top, the commit where no `git archive` made it.
    `look` is called for each file, and raises where it shall end. Raises BadCargo, OSError.
    """
    try:
        return _write(entries(pieces, bounds or TarBounds(), _REMEDY), into, look)
    except (BadDocument, TooLarge) as error:
        raise BadCargo(str(error)) from None


def _cargo(items: Iterator[Entry | Comment | bytes]) -> Iterator[Entry | Comment | bytes]:
    """The items of a cargo. Raises BadCargo where something else stands at its top."""
    for item in items:
        if isinstance(item, Entry):
            top, _, rest = item.path.partition("/")
            if (item.path, item.kind) not in ((ABOUT, "file"), (FILES, "directory")) and (top != FILES or not rest):
                raise BadCargo(f"it has {item.path[:200]!r}; a cargo has the file {ABOUT} and the directory {FILES}")
            if item.kind == "symlink" and (problem := link_problem(rest, item.target)):
                raise BadCargo(problem)
        yield item


def _write(
    items: Iterable[Entry | Comment | bytes], into: int, look: Callable[[], None] = lambda: None
) -> tuple[str, str]:
    links: list[Entry] = []
    comment, file = "", -1
    try:
        for item in items:
            if isinstance(item, bytes):
                _put(file, item)
                continue
            file = _closed(file)
            if isinstance(item, Comment):
                comment = item.text
                continue
            look()
            _make_directories(item.path if item.kind == "directory" else item.path.rpartition("/")[0], into)
            if item.kind == "file":
                file = os.open(item.path, _NEW, item.mode, dir_fd=into)
                os.fchmod(file, item.mode)
            elif item.kind == "symlink":
                links.append(item)
    finally:
        _closed(file)
    top = _top(into, links)
    for link in links:
        if top and (problem := link_problem(link.path.removeprefix(f"{top}/"), link.target)):
            raise BadCargo(problem)
        os.symlink(link.target, link.path, dir_fd=into)
    return top, comment


def _top(into: int, links: list[Entry]) -> str:
    """The one directory that holds all; empty where there is none."""
    names = {*os.listdir(into), *(link.path.partition("/")[0] for link in links)}
    only = names.pop() if len(names) == 1 else ""
    return only if only and _is_directory(only, into) else ""


def _is_directory(name: str, into: int) -> bool:
    try:
        os.close(os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=into))
    except OSError:
        return False
    return True


def _make_directories(path: str, into: int) -> None:
    """It, and those above it that are missing."""
    if not path:
        return
    try:
        os.mkdir(path, dir_fd=into)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_directories(path.rpartition("/")[0], into)
        os.mkdir(path, dir_fd=into)
    os.chmod(path, _DIRECTORY, dir_fd=into)


def _closed(file: int) -> int:
    """Close it, if there is one; no file."""
    if file >= 0:
        os.close(file)
    return -1


def _put(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
