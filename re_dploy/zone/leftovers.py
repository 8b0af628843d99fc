"""Ends what an instance left running when its shim was killed. Must not know instances.

Found by the mark in the environment, by the session that the program began, and as children of the agent, which is a subreaper: the
kernel gives it what has lost its parents.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from re_core.runtime.prctl import prctl
from re_dploy.zone.shim import process_stat, processes
from re_dploy.zone.supervise import MARK, leader

#: seconds in which killed processes must have ended
GONE = 10.0

#: prctl: orphans among the descendants become children of this process
_SUBREAPER = 36

_log = logging.getLogger(__name__)


class Children:
    """Which children of this process it has started itself; others are orphans, and are ended.

    One for each process: there is one list of children.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: set[int] = set()
        self._adopts = False

    def adopt(self) -> None:
        """From now on orphans come here, and every child that was not started within `starting` is one.

        For an agent that has a process of its own.
        """
        prctl(_SUBREAPER, 1)
        self._own |= _children()
        self._adopts = True

    @contextmanager
    def starting(self) -> Iterator[set[int]]:
        """Within it a child may be started; its process id is put into the set."""
        with self._lock:
            yield self._own

    def end_orphans(self) -> list[int]:
        """End those that are here; their process ids."""
        if not self._adopts:
            return []
        with self._lock:
            there = _children()
            self._own &= there
            orphans = sorted(there - self._own)
            for pid in orphans:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        return orphans


def end_leftovers(mark: str, directory: Path) -> list[int]:
    """End all processes with this mark in their environment or in the session of this directory's program; those that were found."""
    session = leader(directory)
    found: set[int] = set()
    until = time.monotonic() + GONE
    while (left := list(_left(mark, session))) and time.monotonic() < until:
        found.update(left)
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    if left:
        _log.error("could not end processes %s", left, extra={"action": "process_stays"})
    return sorted(found)


def send(pid: int, session: int, number: int) -> None:
    """A signal to a process of a session: first held, then looked at, so no other process gets it."""
    with suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            stat = process_stat(pid)
            if stat is not None and stat[2] == session:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def _left(mark: str, session: int) -> Iterator[int]:
    wanted = f"{MARK}={mark}".encode()
    for pid, stat in processes().items():
        if stat[0] in "ZX" or pid == os.getpid():
            continue
        if session and stat[2] == session:
            yield pid
            continue
        with suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                yield pid


def _children() -> set[int]:
    me = os.getpid()
    return {pid for pid, stat in processes().items() if stat[1] == me}
