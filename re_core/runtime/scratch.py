"""Directories in the system's temporary directory, and the removal of those whose process was killed. Must not know what is in them.

A process holds a lock (flock) on each of its directories, and the system lets go of it when the process has ended, however it did:
a directory that can be locked has no owner left, whatever process ids, containers and clocks say.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

#: begins the names of all that `scratch` makes; those of earlier engines had others, and no lock
PREFIX = "re-held-"
#: entries of a directory that one sweep looks at, and those that it removes
MOST_SEEN, MOST_SWEPT = 20_000, 256
#: directories that are tried before one is locked: a sweep may have been faster
_TRIES = 5

_log = logging.getLogger(__name__)


@contextmanager
def scratch(kind: str, owner: tuple[int, int] | None = None) -> Iterator[Path]:
    """A new directory for as long as it is needed, which no other user can enter. `kind`: for people; `owner`: user and group in place of
    those of this process."""
    path, lock = _made(kind)
    try:
        if owner is not None:
            os.chown(path, *owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _made(kind: str) -> tuple[Path, int | None]:
    for _ in range(_TRIES):
        path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-"))
        if (lock := hold(path)) is not None:
            return path, lock
        with suppress(OSError):  # a sweep has it
            path.rmdir()
    # a file system without locks: there no sweep can lock one either
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind}-")), None


def hold(path: Path) -> int | None:
    """Lock a directory until the descriptor is closed; None where it is locked, or gone."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), path.lstat()):
            return file
    except OSError:
        pass  # another process holds it, or it is gone
    os.close(file)
    return None


def sweep(users: Collection[int] = ()) -> list[Path]:
    """Remove what killed processes of this user left, and those of `users`, ids to which it gives directories; those that went.

    A directory that a process holds stays, and so does what another user made.
    """
    place, mine = Path(tempfile.gettempdir()), {os.geteuid(), *users}
    try:
        with os.scandir(place) as entries:
            names = [one.name for one in islice(entries, MOST_SEEN) if one.name.startswith(PREFIX)]
    except OSError:
        return []
    found = [path for path in (place / name for name in names[:MOST_SWEPT]) if _swept(path, mine)]
    if found:
        _log.info(
            "removed %s directories that killed processes had left", len(found), extra={"action": "sweep_scratch"}
        )
    return found


def _swept(path: Path, users: Collection[int]) -> bool:
    if not _is_of(path, users) or (lock := hold(path)) is None:
        return False
    try:
        if os.fstat(lock).st_uid not in users:
            return False
        shutil.rmtree(path, ignore_errors=True)  # it follows no link
        return not path.exists()
    finally:
        os.close(lock)


def _is_of(path: Path, users: Collection[int]) -> bool:
    """Looked at first: what is another user's is not even locked."""
    try:
        return path.lstat().st_uid in users
    except OSError:
        return False
