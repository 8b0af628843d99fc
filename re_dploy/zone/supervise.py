"""Starts shims, and finds again those that an earlier agent started. Must not know apps, orders and zones.

A directory stands for one instance: `lock` is held by its shim as long as that lives, `shim.json` says which process the shim is,
`exit.json` how the program ended, `log` and `log.1` are what it printed (`log_reader`), `stop` keeps a shim that is just being
started from starting its program.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from re_core.errors import OperatorError
from re_dploy.zone import shim
from re_dploy.zone.shim import Identity, boot_id, identity, process_stat

#: bytes of each of the two log files, and lines a second
LOG_SIZE, LOG_RATE = 1024 * 1024, 1000

#: seconds between the request to end and the end by force
GRACE = 30.0

#: names the instance in the environment of its processes
MARK = "DPLOY_INSTANCE"

_FILES = ("lock", "shim.json", "exit.json", "log", "log.1")


class User(NamedTuple):
    """Whom a program runs as; the agent has to be root."""

    id: int
    group: int
    groups: tuple[int, ...] = ()


class Spec(NamedTuple):
    """What a shim runs."""

    #: the program is an absolute path
    argv: tuple[str, ...]
    cwd: str
    #: seconds between TERM and KILL
    grace: float = GRACE
    user: User | None = None
    #: names of the module `resource`, such as RLIMIT_AS, and their values
    rlimits: Mapping[str, int] = {}
    #: seconds after which it is ended; 0: never
    time: float = 0.0
    #: descendants at most; 0: any number. One more ends all of it
    processes: int = 0
    log_size: int = LOG_SIZE
    #: lines a second at most; 0: any number
    rate: int = LOG_RATE
    #: texts that no line of the log shows
    secrets: tuple[str, ...] = ()


class Exit(NamedTuple):
    """How a program ended."""

    #: None where a signal ended it, or where its shim was killed
    code: int | None
    signal: int | None
    #: exited, stopped (asked to end), killed (by force), time, processes (over its limit); lost: its shim was killed
    why: str
    #: milliseconds since the epoch; 0 where it is unknown
    at: int

    @property
    def good(self) -> bool:
        """It ended by itself, with code 0."""
        return self.why == "exited" and self.code == 0

    def __str__(self) -> str:
        if self.why == "lost":
            return "killed"
        return f"signal {self.signal}" if self.code is None else f"code {self.code}"


#: of a program whose shim was killed
LOST = Exit(None, None, "lost", 0)


class Backend(Protocol):
    """How a shim is started."""

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """As subprocess.Popen. Raises OSError."""
        ...


class Plain:
    """Starts it as any program: nothing is out of its reach."""

    def start(self, argv: Sequence[str], **how: Any) -> subprocess.Popen[bytes]:
        """See Backend."""
        return subprocess.Popen(argv, **how)


class ShimHandle:
    """A living shim, or one that has just ended. Not to be shared between threads."""

    def __init__(self, directory: Path, pid: int, pidfd: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.dir = directory
        self.pid = pid
        #: readable once the shim has ended
        self.pidfd = pidfd
        #: None for one that another agent has started
        self._process = process

    @property
    def alive(self) -> bool:
        """Whether the shim still runs, and with it something of its program."""
        return not self.wait(0)

    def wait(self, seconds: float | None) -> bool:
        """Whether the shim has ended, after at most so many seconds (None: wait for it)."""
        if self.pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(None if seconds is None else int(seconds * 1000)):
            return False
        if self._process is not None:
            self._process.wait()
        return True

    def exit(self) -> Exit:
        """How the program ended. Call it once the shim has ended."""
        return read_exit(self.dir) or LOST

    def terminate(self) -> None:
        """Ask the program to end; after the grace of its spec it is made to, with all of its descendants."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End all of it now."""
        self.signal(signal.SIGUSR1)

    def signal(self, number: int) -> None:
        """Send a signal to the shim itself."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def close(self) -> None:
        """Forget the shim, which goes on. Twice is the same as once."""
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
        if self._process is not None:
            self._process.poll()
            # what the shim outlives must not be waited for, and no warning be given that it runs
            self._process.returncode = self._process.returncode or 0


class Found(NamedTuple):
    """What an instance's directory says of the time before."""

    #: its living shim
    handle: ShimHandle | None
    #: how it ended; None where it lives, or never ran
    exit: Exit | None


def supervise(shim_dir: Path, spec: Spec, environ: Mapping[str, str], backend: Backend | None = None) -> ShimHandle:
    """Start a program under a shim. The directory is there, and nothing was started in it before.

    `environ` is the whole environment of the program. Returns once the shim has read what to run, not once the program runs: where
    that fails, its log says why and it ends with code 127. Raises OSError.
    """
    with ExitStack() as opened:
        files = []
        for name in _FILES:
            files.append(os.open(shim_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            opened.callback(os.close, files[-1])
        # what is asked of it before it can listen waits for it: a child begins with the signal mask of the thread that starts it
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, shim.AWAITED)
        try:
            process = (backend or Plain()).start(
                [sys.executable, "-I", "-S", shim.__file__, str(shim_dir), ",".join(map(str, files))],
                cwd="/",
                env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=files,
                start_new_session=True,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # of a child that is not waited for, the number cannot become another's
        handle = ShimHandle(shim_dir, process.pid, os.pidfd_open(process.pid), process)
    document = spec._asdict() | {"environ": dict(environ), "user": spec.user._asdict() if spec.user else None}
    assert process.stdin is not None  # noqa: S101 - PIPE was asked for
    with suppress(BrokenPipeError):  # it has ended, as its pidfd says
        process.stdin.write(json.dumps(document).encode() + b"\n")
        process.stdin.flush()
    with suppress(BrokenPipeError):
        process.stdin.close()
    return handle


def find(shim_dir: Path) -> Found:
    """What became of the shim that was started in a directory; a shim that was being started does not start its program any more.

    To be called once by an agent that begins, before it starts anything. Raises OperatorError where the lock is held by a process
    that shim.json does not name.
    """
    known = _known(shim_dir)
    if not _locked(shim_dir):
        return Found(None, read_exit(shim_dir) or (LOST if known else None))
    until = time.monotonic() + 10.0
    while time.monotonic() < until:
        known = _known(shim_dir)
        if known is not None and (handle := _handle(shim_dir, known)) is not None:
            return Found(handle, None)
        if not _locked(shim_dir):
            return Found(None, read_exit(shim_dir) or LOST)
        time.sleep(0.02)  # it has the lock, and writes down now who it is
    raise OperatorError(
        f"{shim_dir}/lock is held by a process that {shim_dir}/shim.json does not name; end that process"
    )


def read_exit(shim_dir: Path) -> Exit | None:
    """How the program of a directory ended; None where nothing says it."""
    told = _json(shim_dir / "exit.json")
    try:
        return None if told is None else Exit(told["code"], told["signal"], told["why"], told["at"])
    except KeyError:
        return None


def leader(shim_dir: Path) -> int:
    """Process id of the program, which is the id of its session too; 0 where the number means another process by now, or nothing says it.

    The number is not given again as long as a process of the session lives, so it is still the session's where there is no such process.
    """
    told = _json(shim_dir / "shim.json") or {}
    pid = int(told.get("leader", 0)) if told.get("boot") == boot_id() else 0
    stat = process_stat(pid) if pid else None
    return pid if stat is None or stat[3] == told.get("leader_start") else 0


def is_of_earlier_boot(shim_dir: Path) -> bool:
    """Whether the shim of a directory ended with a kernel that does not run any more."""
    known = _known(shim_dir)
    return known is not None and known.boot != boot_id()


def _locked(shim_dir: Path) -> bool:
    """Whether a shim lives. Where none does, none can begin to any more."""
    try:
        file = os.open(shim_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(shim_dir / "stop", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _known(shim_dir: Path) -> Identity | None:
    told = _json(shim_dir / "shim.json")
    try:
        return None if told is None else Identity(told["pid"], told["start"], told["boot"])
    except KeyError:
        return None


def _handle(shim_dir: Path, known: Identity) -> ShimHandle | None:
    """The process, if it is the one that is meant: first held, then looked at."""
    try:
        pidfd = os.pidfd_open(known.pid)
    except OSError:
        return None
    if identity(known.pid) == known:
        return ShimHandle(shim_dir, known.pid, pidfd)
    os.close(pidfd)
    return None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
