"""Runs the program of a build under a shim, and ends it where it takes too much. Must not know what it builds."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from re_dploy.build import keeper
from re_dploy.build.failures import BuildFailed, BuildStopped
from re_dploy.zone import log_reader
from re_dploy.zone.restricted import Restricted
from re_dploy.zone.supervise import Backend, Exit, Plain, ShimHandle, Spec, User, supervise
from re_workers.steps import landlock
from re_workers.steps.confinement import start_restricted

#: directories of a build that its programs can write
GIVEN = ("source", "home", "tmp")

#: where all users can write: a build has a temporary directory of its own, which is counted and removed
SHARED = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")))  # noqa: S108 - so that they are not used

#: seconds between two looks at a program: at what it prints, and whether it shall stop
LOOK = 0.1

#: seconds between two looks at the directory; longer where one takes long
LOOK_AT_DISK = 1.0

#: seconds between the request to end and the end by force, and from then until the build is given up
GRACE, KILLED = 10.0, 30.0

#: bytes of each of the two files that hold what it prints until it is read
_LOG = 12 * 1024 * 1024

#: lines that are read at a time
_LINES = 1000


class Limits(NamedTuple):
    """What a build may take."""

    #: seconds
    time: float = 900.0
    #: bytes of memory of each process, and of each file
    memory: int = 2 * 1024**3
    file: int = 1024**3
    #: bytes of its directory, and of the disk that must stay free
    disk: int = 2 * 1024**3
    free: int = 1024**3
    processes: int = 256
    #: bytes of lines that are shown; what comes behind is dropped
    output: int = 10 * 1024 * 1024


class Sandbox(NamedTuple):
    """Where programs of builds run."""

    #: None: the builder's own
    user: User | None = None
    #: what is out of their reach; None: nothing is kept from them
    hidden: frozenset[Path] | None = frozenset()
    #: what they inherit of the builder's environment
    environ: Mapping[str, str] = {}
    #: what they can read and not change, beside SHARED
    fixed: frozenset[Path] = frozenset()

    def backend(self, work: Path) -> Backend:
        """Starts shims whose programs reach these directories of the build alone.

        What their shim writes is not among it, nor is what lies beside `work`: the builds of others.
        """
        if self.hidden is None:
            return Plain()
        restricted = Restricted(
            {*self.hidden, work.parent}, (), [work / name for name in GIVEN], {*self.fixed, *SHARED}
        )
        return Kept(restricted) if self.user is None and landlock.keeps_signals() else restricted


class Kept:
    """Starts a shim under a keeper: its program, of the same user, can kill the shim, and not the keeper."""

    def __init__(self, restricted: Restricted) -> None:
        self._restricted = restricted

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """See supervise.Backend. `argv` is that of a Python script, with two options in front of it."""
        rules = self._restricted.ruleset()
        try:
            argv = [*argv[:3], keeper.__file__, str(rules), *argv[3:]]
            how["pass_fds"] = [*how["pass_fds"], rules]
            return start_restricted(argv, lambda: None, os.geteuid() == 0, **how)
        finally:
            os.close(rules)


def run(
    argv: Sequence[str],
    work: Path,
    cwd: Path,
    environ: Mapping[str, str],
    sandbox: Sandbox,
    limits: Limits,
    say: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Run a program until it ends, and with it all that it started. `work` is the build's directory, `work/shim` is made.

    `say` gets each line. Raises BuildFailed where it fails or takes too much, BuildStopped where `stop` was set, OSError.
    """
    shim = work / "shim"
    shim.mkdir(mode=0o700)
    spec = Spec(
        tuple(argv),
        str(cwd),
        grace=GRACE,
        user=sandbox.user,
        rlimits={"RLIMIT_AS": limits.memory, "RLIMIT_FSIZE": limits.file},
        time=limits.time,
        processes=limits.processes,
        log_size=_LOG,
        rate=0,
    )
    handle = supervise(shim, spec, environ, sandbox.backend(work))
    watch = _Watch(work, limits)
    lines = _Lines(shim, limits.output, say)
    try:
        while not handle.wait(LOOK):
            lines.read()
            if stop.is_set() or watch.too_much():
                _end(handle, lines)
                break
        lines.read()
        end = handle.exit()
    finally:
        handle.kill()
        handle.wait(KILLED)
        handle.close()
    _judge(end, watch.problem, limits, stop)


def _end(handle: ShimHandle, lines: _Lines) -> None:
    """Ask it to end, and make it after the grace; what it says then is shown too."""
    handle.terminate()
    until = time.monotonic() + GRACE + KILLED
    while not handle.wait(LOOK) and time.monotonic() < until:
        lines.read()


def _judge(end: Exit, problem: str, limits: Limits, stop: threading.Event) -> None:
    if problem:
        raise BuildFailed(problem)
    if end.good:
        return
    if stop.is_set():
        raise BuildStopped("the build was to stop")
    if end.why == "time":
        raise BuildFailed(f"the build took more than {limits.time:g} s and was ended")
    if end.why == "processes":
        raise BuildFailed(f"the build had more than {limits.processes} processes and was ended")
    raise BuildFailed(f"the build ended with {end}")


class _Lines:
    """What a program prints, as far as it may."""

    def __init__(self, shim: Path, most: int, say: Callable[[str], None]) -> None:
        self._shim, self._left, self._say = shim, most, say
        self._generation = self._offset = 0

    def read(self) -> None:
        """Show what is new."""
        while True:
            piece = log_reader.read(self._shim, self._generation, self._offset, _LINES)
            if piece[:2] == (self._generation, self._offset):
                return
            self._generation, self._offset = piece.generation, piece.offset
            for line in piece.lines:
                self._show(line.text)

    def _show(self, text: str) -> None:
        if self._left < 0:
            return
        self._left -= len(text.encode()) + 1
        self._say(text if self._left >= 0 else "(the build prints too much; what follows is not shown)")


class _Watch:
    """Looks at the disk from time to time."""

    def __init__(self, work: Path, limits: Limits) -> None:
        self._work, self._limits = work, limits
        self._next = 0.0
        #: what is too much; empty where nothing is
        self.problem = ""

    def too_much(self) -> bool:
        """Whether the build takes too much of the disk."""
        began = time.monotonic()
        if began < self._next:
            return False
        if used(self._work, self._limits.disk) > self._limits.disk:
            self.problem = f"the build has more than {self._limits.disk} bytes on the disk and was ended"
        elif free(self._work) < self._limits.free:
            self.problem = f"less than {self._limits.free} bytes of the builder's disk are free; the build was ended"
        now = time.monotonic()
        self._next = now + max(LOOK_AT_DISK, 10 * (now - began))
        return bool(self.problem)


def free(directory: Path) -> int:
    """Bytes that an ordinary user can still write."""
    about = os.statvfs(directory)
    return about.f_bavail * about.f_frsize


def used(directory: Path, most: int) -> int:
    """Bytes of the disk that a directory has; counted until it is more than `most`."""
    total, waiting = 0, [os.fspath(directory)]
    while waiting and total <= most:
        # what a program deletes meanwhile is gone
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total
