"""Artifacts as files of this machine: packed from a directory, unpacked into one. Must not know how they travel."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from re_client.errors import BadInput
from re_client.text import safe, size
from re_core.artifacts.archive import Member, unpack
from re_core.artifacts.names import MAX_FILES, path_problem
from re_core.artifacts.packing import pack

#: bytes that are read at a time
_PIECE = 256 * 1024

#: more bytes than any engine sends
_MOST = 2**40


def pieces_of(source: Path) -> Iterator[bytes]:
    """The tar.gz at that place, or of that directory, whose directories are the categories. Raises BadInput."""
    try:
        if source.is_dir():
            files = list(_files(source))
            return pack(_packed(files), int(time.time()))
        with source.open("rb"):  # a file that cannot be read is said before anything is sent
            return _read(source)
    except OSError as error:
        raise BadInput(f"{source}: {error.strerror}") from None


def _packed(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    for name, path in files:
        try:
            size = path.stat().st_size
        except OSError as error:
            raise BadInput(f"{safe(path)}: {error.strerror}") from None
        yield name, size, _exactly(path, size)


def write_file(target: Path, pieces: Iterable[bytes]) -> str:
    """Write the archive into a new file; what was written, for people. Leaves nothing behind where that fails. Raises BadInput."""
    try:
        file = target.open("xb")
    except FileExistsError:
        raise BadInput(f"{target} exists; name another file") from None
    except OSError as error:
        raise BadInput(f"{target}: {error.strerror}") from None
    try:
        with file:
            count = sum(file.write(piece) for piece in pieces)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise BadInput(f"{target}: {error.strerror}") from None
        raise
    return f"{target}: {size(count)}"


def unpack_into(target: Path, pieces: Iterable[bytes]) -> str:
    """Unpack the archive into a new directory; what was written, for people. Leaves nothing behind where that fails. Raises BadInput."""
    try:
        target.mkdir(parents=True)
    except FileExistsError:
        raise BadInput(f"{target} exists; name another directory") from None
    except OSError as error:
        raise BadInput(f"{target}: {error.strerror}") from None
    try:
        count, total = _unpack(target, pieces)
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError):
            raise BadInput(f"{target}: {error.strerror}") from None
        raise
    return f"{target}: {count} file{'' if count == 1 else 's'}, {size(total)}"


def _unpack(target: Path, pieces: Iterable[bytes]) -> tuple[int, int]:
    count = total = 0
    path = target
    for item in unpack(pieces, _MOST):
        if isinstance(item, Member):
            path = target / item.category / item.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False)
            count += 1
        else:
            with path.open("ab") as file:
                total += file.write(item)
    return count, total


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Name in the archive, and path, in order. A link counts as what it leads to. Raises BadInput, OSError."""
    for count, (name, path) in enumerate(_below(directory, "", (directory.resolve(),))):
        if "/" not in name:
            raise BadInput(
                f"{safe(path)} is in no category; move it to a directory of {directory} such as deployment or spec"
            )
        if not path.is_file():
            raise BadInput(f"{safe(path)} is no plain file; an artifact has plain files only")
        if problem := path_problem(name):
            raise BadInput(f"{safe(path)}: {safe(problem)}")
        if count == MAX_FILES:
            raise BadInput(f"{directory} has more than {MAX_FILES} files; push a tar.gz with --kind archive")
        yield name, path


def _below(directory: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """What is no directory. `above`: the directories that it is in."""
    for path in sorted(directory.iterdir()):
        name = prefix + path.name
        if not path.is_dir():
            yield name, path
            continue
        place = path.resolve()
        if place in above:
            raise BadInput(f"{safe(path)} is a link to a directory that it is in; remove it")
        yield from _below(path, f"{name}/", (*above, place))


def _read(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise BadInput(f"{safe(path)}: {error.strerror}") from None


def _exactly(path: Path, size: int) -> Iterator[bytes]:
    """The bytes of a file whose size was said already. Raises BadInput where it has another one by now."""
    left = size
    for piece in _read(path):
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise BadInput(f"{safe(path)} changed while it was read; push it again")
