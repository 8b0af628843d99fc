"""One engine per data directory: an exclusive lock on a file in it. Must not know what the engine is.

The lock is flock(2)'s: it belongs to the open file, is inherited by a fork, and is released when the last process that has
it open is dead, however it died.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from re_core.errors import DataDirLocked, OperatorError

#: seconds that a second start waits for the first one to go
WAIT = 5.0

#: seconds between two tries
PAUSE = 0.05


class DirectoryLock:
    """Holds `<directory>/<name>` until released or dead."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name
        self._file: int | None = None

    def acquire(self, about: str, wait: float = WAIT) -> None:
        """Acquire the lock. `about` names the holder, for the message to the next process.

        Raises DataDirLocked after `wait` seconds, and OperatorError where its file cannot be written.
        """
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperatorError(
                f"the data directory {self._path.parent} cannot be used: {self._path.name} cannot be written "
                f"({error.strerror}); allow this user to write there, or set RE_DATA_DIR to another directory"
            ) from error
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(PAUSE)
                    continue
                holder = os.pread(file, 500, 0).decode(errors="replace").strip() or "another process"
                os.close(file)
                raise DataDirLocked(
                    f"{self._path.parent} is in use by {holder}; stop that engine, or set RE_DATA_DIR to another directory"
                ) from None
            os.ftruncate(file, 0)
            os.pwrite(file, about.encode(), 0)
            self._file = file
            return

    def release(self) -> None:
        """Let go. Twice is the same as once."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
