"""The bytes of artifacts: a file for each push, in a directory beside the database. Must not know what is in them.

In the database's own file they would be written twice, once into its log, and hold up the appends of the journal while the log is
moved; and the room of what was deleted would stay in the file (docs/decisions/0026).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from re_core.errors import ReleaseEngineError, StoreRefused, StoreUnavailable
from re_core.ports import PIECE

#: what comes behind the database's path
SUFFIX = "-artifacts"

#: pieces after which the disk is synced: one sync of all of them would hold up those of the journal
_SYNC = 4

#: a name that is an id, and leads nowhere else
_HOLDER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")

#: what an operator has to act on
_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST})

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class ArtifactFiles:
    """Thread-safe; a push is one thread's. The directory is made by the first push."""

    def __init__(self, database: str) -> None:
        self._directory = Path(database + SUFFIX)

    def add(self, holder: str, number: int, piece: bytes) -> None:
        """See ports.Artifacts.add_piece. Raises StoreUnavailable, StoreRefused."""
        with self._translating_errors():
            if number == 0:
                self._make_directory()
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
            file = os.open(self._path(holder), flags, 0o600)
            try:
                done, place = 0, number * PIECE
                while done < len(piece):
                    done += os.pwrite(file, memoryview(piece)[done:], place + done)
                if number % _SYNC == _SYNC - 1:
                    os.fdatasync(file)
            finally:
                os.close(file)

    def seal(self, holder: str) -> None:
        """See ports.Artifacts.seal_pieces. Raises StoreUnavailable, StoreRefused."""
        with self._translating_errors():
            for path in (self._path(holder), self._directory):
                self._sync(path)

    def piece(self, holder: str, number: int) -> bytes | None:
        """See ports.Artifacts.piece. Raises StoreUnavailable, StoreRefused."""
        with self._translating_errors():
            try:
                with self._path(holder).open("rb", buffering=0) as file:
                    file.seek(number * PIECE)
                    return _all_of(file.fileno())
            except FileNotFoundError:
                return None

    def drop(self, holder: str) -> None:
        """See ports.Artifacts.drop_pieces. Raises StoreUnavailable, StoreRefused."""
        with self._translating_errors(), suppress(FileNotFoundError):
            self._path(holder).unlink()

    def holders(self) -> list[str]:
        """Of all files that are there."""
        with self._translating_errors():
            try:
                return sorted(one.name for one in self._directory.iterdir() if _HOLDER.fullmatch(one.name))
            except FileNotFoundError:
                return []

    def _path(self, holder: str) -> Path:
        if not _HOLDER.fullmatch(holder):
            raise StoreRefused(f"store {self._directory}: {holder[:80]!r} cannot be the name of a file of an artifact")
        return self._directory / holder

    def _make_directory(self) -> None:
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            self._sync(self._directory.parent)

    def _sync(self, path: Path) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._meaning(error) from error

    def _meaning(self, error: OSError) -> ReleaseEngineError:
        where, why = f"store {self._directory}", error.strerror or str(error)
        if error.errno in _FULL:
            return StoreUnavailable(f"{where}: disk full; free space where the directory is; the engine then continues")
        if error.errno in _LASTING:
            return StoreRefused(f"{where}: {why}; allow this user to read and write the directory and its files")
        return StoreUnavailable(f"{where}: the disk reports an error ({why}); look at the system's log")


def _all_of(file: int) -> bytes | None:
    """One piece, or what there is of it; None at the end."""
    parts, left = [], PIECE
    while left and (data := os.read(file, left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts) or None
