"""Ends programs with all their children: of a step that was cancelled, and of an engine that was killed.

A program that a step starts carries two variables: which engine started it, and for which attempt; its children
inherit them. So all of them are found, whatever became of their parents, and nothing else is ever touched.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Container, Iterable, Iterator

import psutil

_log = logging.getLogger(__name__)

#: names the engine that started a program
ENGINE = "RE_ENGINE"

#: names the attempt that started it
ATTEMPT = "RE_ATTEMPT"

#: seconds between being signalled to end and being made to
GRACE = 5.0

#: seconds in which killed processes must have ended
GONE = 5.0

#: seconds between two looks at processes that were asked to end
LOOK = 0.02

_Find = Callable[[], list[psutil.Process]]


def end_program(leader: int, engine_id: str, attempt: str) -> None:
    """End the session that `leader` (a process id) began, and whatever carries the marks of this attempt."""
    _end(lambda: _family(leader, engine_id, attempt))


def family_of(leader: int, engine_id: str, attempt: str) -> list[tuple[int, str]]:
    """The process ids and names of those that `end_program` would end."""
    found = []
    for process in _family(leader, engine_id, attempt):
        try:
            found.append((process.pid, process.name()))
        except psutil.Error:
            continue  # ended by now
    return sorted(found)


def end_orphans(engine_id: str, attempts: Container[str] | None = None) -> list[int]:
    """End what an earlier run of this engine left running, and wait for it; the process ids that were found.

    `attempts`: only their programs; None means all, also what a step that completed left behind on purpose. To be
    called before the engine runs anything: its own process, parents and children are spared, as is whatever
    neither carries the engine's mark nor is in the session of something that does.
    """
    if not engine_id:
        return []
    here = psutil.Process()
    spared = {here.pid, *(one.pid for one in here.parents()), *(one.pid for one in here.children(recursive=True))}
    found: set[int] = set()

    def orphans() -> list[psutil.Process]:
        left = _with_sessions(_marked(engine_id, attempts, spared), set(), spared)
        found.update(one.pid for one in left)
        return left

    _end(orphans)
    return sorted(found)


def _family(leader: int, engine_id: str, attempt: str) -> list[psutil.Process]:
    spared = {os.getpid()}
    marked = _marked(engine_id, (attempt,), spared) if attempt else []
    return _with_sessions(marked, {leader}, spared)


def _marked(engine_id: str, attempts: Container[str] | None, spared: Container[int]) -> list[psutil.Process]:
    marked = []
    for process in _living(spared):
        try:
            environment = process.environ()
        except (psutil.Error, OSError):  # ended by now, or another user's
            continue
        if environment.get(ENGINE) == engine_id and (attempts is None or environment.get(ATTEMPT) in attempts):
            marked.append(process)
    return marked


def _with_sessions(
    marked: Iterable[psutil.Process], sessions: set[int], spared: Container[int]
) -> list[psutil.Process]:
    """The marked ones and all of their sessions: a program may have cleared its environment."""
    processes = {one.pid: one for one in marked}
    wanted = sessions | {_session(pid) for pid in processes}
    wanted -= {0, _session(os.getpid())}
    for process in _living(spared):
        if _session(process.pid) in wanted:
            processes[process.pid] = process
    return list(processes.values())


def _living(spared: Container[int]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if process.pid not in spared and _lives(process):
            yield process


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _end(find: _Find) -> None:
    left = find()
    for number, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GONE)):
        until = time.monotonic() + patience
        signalled: set[psutil.Process] = set()
        while left and time.monotonic() < until:
            for process in left:
                if process not in signalled:
                    _signal(process, number)
                    signalled.add(process)
            while any(map(_lives, left)) and time.monotonic() < until:
                time.sleep(LOOK)
            left = find()  # they may have had children meanwhile
    if left:
        _log.error("could not end processes %s", [one.pid for one in left], extra={"action": "process_stays"})


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except (psutil.Error, OSError):
        _log.debug("process %d has ended or belongs to another user", process.pid, extra={"action": "signal_failed"})
