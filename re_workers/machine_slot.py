"""A worker process's place on this machine, and what it runs there. Must not know the bus.

A worker that is killed leaves the programs of its steps behind, while the core calls the steps lost or has them
repeated elsewhere. So each process takes a numbered place, by a lock that is free when its holder is dead, and notes
there which attempts run a program. The next process to start ends what dead holders of places have left, and their
connections to hosts.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from pathlib import Path

from re_core.errors import DataDirLocked, OperatorError
from re_core.runtime.lock import DirectoryLock
from re_workers.hosts.ssh import sockets
from re_workers.running_attempts import RunningAttempts
from re_workers.steps.orphans import end_orphans

#: name of the directory of all places, in the data directory
PLACES = "re-worker"

_log = logging.getLogger(__name__)


class MachineSlot:
    """The first free place of the data directory, held until this process is dead."""

    def __init__(self, data_dir: Path) -> None:
        """Take one, and end what its dead holders left in it and in other free ones. Raises OperatorError."""
        self._directory = data_dir / PLACES
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(f"{self._directory} cannot be created: {error.strerror}; set RE_DATA_DIR") from error
        numbers = itertools.count()
        number, self._held = next(found for one in numbers if (found := self._take(one)))
        # the free ones behind it, as far as there have been any
        for other in itertools.takewhile(self._is_known, numbers):
            if free := self._take(other):
                free[1].release()
        #: marks the programs of this place
        self.identity = self._identity(number)
        self.notes = self._notes(number)

    def _take(self, number: int) -> tuple[int, DirectoryLock] | None:
        """That place, without what its last holder left; None where a live process holds it."""
        lock = DirectoryLock(self._directory, f"{number}.lock")
        try:
            lock.acquire(f"the worker with process id {os.getpid()}", wait=0)
        except DataDirLocked:
            return None
        self._tidy(number)
        return number, lock

    def _is_known(self, number: int) -> bool:
        return (self._directory / f"{number}.lock").exists()

    def _tidy(self, number: int) -> None:
        notes = self._notes(number)
        attempts = notes.attempts()
        if attempts:
            ended = end_orphans(self._identity(number), attempts)
            _log.warning(
                "ended processes that a killed worker had left running: %s", ended, extra={"action": "end_orphans"}
            )
        notes.clear()
        sockets.end_left(self._identity(number))

    def _notes(self, number: int) -> RunningAttempts:
        return RunningAttempts(self._directory / str(number))

    def _identity(self, number: int) -> str:
        return hashlib.sha256(f"{self._directory.resolve()}/{number}".encode()).hexdigest()[:16]
