"""The small process around each instance: starts its program, keeps its output, ends all of its descendants.

Run as a script of the standard library alone, `python -I -S shim.py DIR LOCK,SHIM,EXIT,LOG,LOG1`, by `supervise`. The numbers are
descriptors of files in DIR that the agent has opened: what the shim says of itself it writes there and nowhere else, so a
program of the same user cannot say it in its place. What to run stands on stdin, the environment too: neither argv nor the
shim's own environment shows a secret. Must not know zones, orders and apps.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

#: bytes of one line that are kept
MAX_LINE = 16 * 1024

#: what begins a log file: its generation, in a fixed number of bytes
HEADER = b"#gen %019d\n"
HEADER_SIZE = len(HEADER % 0)

#: bytes read from a pipe at once
PIECE = 64 * 1024

#: seconds between two counts of the descendants, where there is a limit
COUNT = 0.5

#: seconds between two looks whether what was asked to end has ended; the end of the last one is a signal, so this is for KILL
LOOK = 0.5

#: pieces that are read at most after the end: what lies in a pipe, which has room for 1 MiB at most
LAST_PIECES = 17

#: seconds after which descendants that cannot be killed are given up
GIVEN_UP = 10.0

#: bytes of exit.json that are taken from the disk before the program begins: how it ended is written where the disk is full too
OUTCOME = 256

#: signals that ask a shim to end, or to pass them on: they wait until it, or its program, can take them
AWAITED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})

#: what stands in the place of a secret
REDACTED = b"[redacted]"

# linux/prctl.h
_PDEATHSIG, _DUMPABLE, _SUBREAPER = 1, 4, 36


class Identity(NamedTuple):
    """Which process a number means: numbers are given again, the pair of number and start within one boot is not."""

    pid: int
    #: clock ticks from the boot to its start
    start: int
    boot: str


def boot_id() -> str:
    """Of the running kernel's boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - no pathlib: it costs the start 10 ms
        return file.read().strip()


def process_stat(pid: int) -> tuple[str, int, int, int] | None:
    """State, parent, session and start in ticks of a process; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19])


def identity(pid: int) -> Identity | None:
    """Of a process that lives; None where there is none."""
    stat = process_stat(pid)
    return None if stat is None or stat[0] in "ZX" else Identity(pid, stat[3], boot_id())


def processes() -> dict[int, tuple[str, int, int, int]]:
    """All processes, as `process_stat` gives them."""
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit() and (stat := process_stat(int(name))) is not None:
            found[int(name)] = stat
    return found


def descendants(root: int) -> list[int]:
    """Process ids of children and children's children that have not ended, in no order."""
    children: dict[int, list[int]] = {}
    known = processes()
    for pid, stat in known.items():
        children.setdefault(stat[1], []).append(pid)
    found, waiting = [], [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            waiting.append(pid)
            if known[pid][0] not in "ZX":
                found.append(pid)
    return found


class Log:
    """Lines in two files in turn. A line is `<unix ms> <o|e|s> <text>`: printed, printed as an error, said by the shim.

    From the second file on the first line is `0 n <number>`: how many lines stood in the files before.
    """

    def __init__(self, files: tuple[int, int], size: int, rate: int, secrets: list[bytes], after: int = 0) -> None:
        """`size`: bytes of one file. `rate`: lines a second, 0 for any number. `secrets` never get into a line.

        `after`: the last generation that another log of these files had.
        """
        self._files = files
        self._size = size
        self._rate = rate
        self._secrets = (
            re.compile(b"|".join(map(re.escape, sorted(secrets, key=len, reverse=True)))) if secrets else None
        )
        #: what a line may have before it is redacted and cut, so that no secret is cut in two
        self.margin = MAX_LINE + max(map(len, secrets), default=0)
        self._generation = after
        self._written = 0
        #: lines in all files, also in those that were overwritten
        self._total = 0
        self._second = 0
        self._lines = 0
        #: lines of this second that nothing says anything of yet
        self.dropped = 0
        self._turn()

    @property
    def generation(self) -> int:
        """Of the file that is written."""
        return self._generation

    def add(self, source: str, lines: list[bytes]) -> None:
        """Write lines. Those over the rate, and those for which the disk has no room, are dropped and counted."""
        self._count()
        kept = lines
        if self._rate:
            kept = lines[: max(0, self._rate - self._lines)]
            self._lines += len(kept)
            self.dropped += len(lines) - len(kept)
        for line in kept:
            self._write(source, line)

    def say(self, text: str) -> None:
        """A line of the shim's own."""
        self._write("s", text.encode())

    def flush(self) -> None:
        """Say what was dropped, if the second is over."""
        self._count()

    def end(self) -> None:
        """Say what was dropped."""
        self._second = -1
        self._count()

    def _count(self) -> None:
        second = int(time.monotonic())
        if second != self._second:
            dropped, self.dropped, self._lines, self._second = self.dropped, 0, 0, second
            if dropped:
                self.say(f"{dropped} lines were dropped: more than {self._rate} in one second, or the disk is full")

    def _write(self, source: str, line: bytes) -> None:
        if self._secrets is not None:
            line = self._secrets.sub(REDACTED, line)
        text = line[:MAX_LINE].decode("utf-8", "replace").replace("\0", "\ufffd")
        data = f"{int(time.time() * 1000)} {source} {text}\n".encode()
        if self._written + len(data) > self._size:
            self._turn()
        try:
            os.pwrite(self._files[self._generation % 2], data, HEADER_SIZE + self._written)
            self._written += len(data)
            self._total += 1
        except OSError:
            self.dropped += 1

    def _turn(self) -> None:
        """Begin the other file; a reader that looks at the header before and after it reads never takes old lines for new ones."""
        self._generation += 1
        before = b"0 n %d\n" % self._total if self._total else b""
        self._written = len(before)
        file = self._files[self._generation % 2]
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, HEADER % self._generation + before, 0)
        except OSError:
            self.dropped += 1


class Lines:
    """Splits what a program prints at line feeds; of a long line the begin is kept."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._line = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that end in `data`."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            lines.append((self._line + piece[: self._longest - len(self._line)]).rstrip(b"\r"))
            self._line = b""
        self._line += rest[: self._longest - len(self._line)]
        return lines

    def end(self) -> list[bytes]:
        """The last line, where no line feed ends it."""
        line, self._line = self._line, b""
        return [line] if line else []


class Child:
    """The program, in a session of its own."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self.status: int | None = None
        out, err = os.pipe(), os.pipe()
        shim = os.getpid()
        # a signal that comes before the program is one has to end it too, and not be taken by a handler of the shim's
        signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
        self.pid = os.fork()
        if self.pid == 0:
            self._become(shim, out[1], err[1])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
        os.close(out[1])
        os.close(err[1])
        for pipe in (out[0], err[0]):
            os.set_blocking(pipe, False)
        self.pipes = {out[0]: "o", err[0]: "e"}

    def _become(self, shim: int, out: int, err: int) -> NoReturn:
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(err, 2)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            self._limit()
            if user := self._spec["user"]:
                os.setgroups(user["groups"])
                os.setresgid(user["group"], user["group"], user["group"])
                os.setresuid(user["id"], user["id"], user["id"])
            os.umask(0o022)
            os.chdir(self._spec["cwd"])
            _prctl(_PDEATHSIG, signal.SIGKILL)  # after the change of the user, which clears it
            if os.getppid() == shim:
                os.execve(self._spec["argv"][0], self._spec["argv"], self._spec["environ"])  # noqa: S606
        except BaseException as error:
            os.write(2, f"cannot be started: {error}\n".encode())
        os._exit(127)

    def _limit(self) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for name, value in self._spec["rlimits"].items():
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (most, most))
        _prctl(_DUMPABLE, 1)  # the fork of a concealed process may not write the following file
        file = os.open("/proc/self/oom_score_adj", os.O_RDWR)
        score = int(os.read(file, 20)) + 100
        os.write(file, b"%d" % min(1000, score))  # the kernel takes the program before its shim
        os.close(file)


class Shim:
    """Watches the program until it and its descendants have ended."""

    def __init__(self, spec: dict[str, Any], log: Log, child: Child, wake: int) -> None:
        self._spec = spec
        self._log = log
        self._child = child
        self._wake = wake
        self._lines = {pipe: Lines(log.margin) for pipe in child.pipes}
        #: why it ends: exited, stopped, killed, time, processes; empty while it runs
        self.why = ""
        self._kill_at = 0.0
        #: process that got a TERM from here -> when it gets a second one: a shell that has just forked loses the first
        self._asked: dict[int, float] = {}
        self._end_at = time.monotonic() + spec["time"] if spec["time"] else float("inf")
        self._count_at = time.monotonic()

    def run(self) -> None:
        """Return when nothing of it is left, or when what is left cannot be killed."""
        poll = select.poll()
        for pipe in (*self._child.pipes, self._wake):
            poll.register(pipe, select.POLLIN)
        while not self._is_over():
            for pipe, _ in poll.poll(self._wait_ms()):
                if pipe == self._wake:
                    self._woken()
                elif not self._read(pipe):
                    poll.unregister(pipe)
            self._log.flush()
        for pipe in self._child.pipes:
            for _ in range(LAST_PIECES):
                if not self._read(pipe):
                    break
            self._log.add(self._child.pipes[pipe], self._lines[pipe].end())

    def _read(self, pipe: int) -> bool:
        try:
            data = os.read(pipe, PIECE)
        except OSError:
            return False
        self._log.add(self._child.pipes[pipe], self._lines[pipe].feed(data))
        return bool(data)

    def _woken(self) -> None:
        for number in os.read(self._wake, 512):
            if number == signal.SIGTERM:
                self._ask("stopped")
            elif number == signal.SIGUSR1:
                self._ask("killed", grace=0.0)
            elif number == signal.SIGINT:
                self._signal(signal.SIGINT)

    def _ask(self, why: str, grace: float | None = None) -> None:
        """TERM to the session, once; KILL to all after the grace, or earlier if that is asked later."""
        until = time.monotonic() + (self._spec["grace"] if grace is None else grace)
        self._kill_at = min(self._kill_at, until) if self.why else until
        if not self.why:
            self.why = why
            self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        known = processes()
        for pid in descendants(os.getpid()):
            # the program itself may not have its session yet
            if pid == self._child.pid or known.get(pid, ("", 0, 0, 0))[2] == self._child.pid:
                _kill(pid, number)
                self._asked[pid] = time.monotonic() + 1.0

    def _is_over(self) -> bool:
        now = time.monotonic()
        self._reap()
        if not self.why:
            self._judge(now)
        if not self.why:
            return False
        left = descendants(os.getpid())
        if left and now >= self._kill_at:
            kill_all(self._reap)
            left = []
        if self._child.status is not None:
            self._ask_orphans(left)
        self._reap()
        return not left

    def _ask_orphans(self, left: list[int]) -> None:
        """TERM to what the program has left: what it began in the moment of its end was not asked with it."""
        for pid in left:
            if time.monotonic() >= (due := self._asked.get(pid, 0.0)):
                self._asked[pid] = float("inf") if due else time.monotonic() + 1.0
                _kill(pid, signal.SIGTERM)

    def _judge(self, now: float) -> None:
        if self._child.status is not None:
            left = len(descendants(os.getpid()))
            if left:
                text = "it put itself into the background; they are ended too"
                self._log.say(f"it has ended and left {left} processes: {text}")
            self.why = "exited"
            self._kill_at = now + min(self._spec["grace"], 5.0)
        elif now >= self._end_at:
            self._log.say(f"it ran longer than {self._spec['time']:g} s")
            self._ask("time")
        elif self._spec["processes"] and now >= self._count_at:
            self._count_at = now + COUNT
            if len(descendants(os.getpid())) > self._spec["processes"]:
                self._log.say(f"it has more than {self._spec['processes']} processes")
                self._ask("processes", grace=0.0)

    def _wait_ms(self) -> int | None:
        if self.why:
            return int(LOOK * 1000)
        if self._log.dropped:
            return 1000
        ends = [self._end_at, self._count_at if self._spec["processes"] else float("inf")]
        left = min(ends) - time.monotonic()
        return None if left == float("inf") else max(0, int(left * 1000) + 1)

    def _reap(self) -> None:
        for pid, status in _ended_children():
            if pid == self._child.pid:
                self._child.status = status


def kill_all(reap: Callable[[], object] = lambda: None) -> None:
    """KILL to every descendant. They are stopped first: what forks cannot go on while it is looked at once more."""
    until = time.monotonic() + GIVEN_UP
    while (left := descendants(os.getpid())) and time.monotonic() < until:
        for pid in left:
            _kill(pid, signal.SIGSTOP)
        for pid in descendants(os.getpid()):
            _kill(pid, signal.SIGKILL)
        reap()


def _ended_children() -> Iterator[tuple[int, int]]:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _kill(pid: int, number: int) -> None:
    with suppress(OSError):  # ended by now
        os.kill(pid, number)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


def _write_file(file: int, value: dict[str, Any]) -> None:
    data = json.dumps(value).encode()
    os.pwrite(file, data, 0)
    os.ftruncate(file, len(data))
    os.fsync(file)


def _wakeup() -> int:
    reading, writing = os.pipe()
    for pipe in (reading, writing):
        os.set_blocking(pipe, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, lambda number, frame: None)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGPIPE, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reading


def main(directory: str, descriptors: str) -> int:
    """The script. 0: the program ran and exit.json says how it ended; 3: it was not started."""
    lock, about, outcome, *logs = map(int, descriptors.split(","))
    wake = _wakeup()
    for file in (lock, about, outcome, *logs):
        os.set_inheritable(file, False)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return 3
    # an agent that found no shim here removes the lock's file before `stop`, so look at them in the other order
    if os.path.exists(f"{directory}/stop") or not os.fstat(lock).st_nlink:  # noqa: PTH110
        return 3
    _prctl(_DUMPABLE, 0)
    me = identity(os.getpid())
    assert me is not None  # noqa: S101 - it asks about itself
    _write_file(about, me._asdict())
    with suppress(OSError):  # without it, how the program ends can be unknown on a full disk
        os.posix_fallocate(outcome, 0, OUTCOME)
    _prctl(_SUBREAPER, 1)
    given = sys.stdin.buffer.read()
    if not given.endswith(b"\n"):  # the agent was killed while it wrote
        return 3
    spec = json.loads(given)
    log = Log((logs[0], logs[1]), spec["log_size"], spec["rate"], [one.encode() for one in spec["secrets"]])
    child = Child(spec)
    begun = process_stat(child.pid)
    _write_file(about, {**me._asdict(), "leader": child.pid, "leader_start": begun[3] if begun else 0})
    shim = Shim(spec, log, child, wake)
    shim.run()
    log.end()
    code = None if child.status is None else os.waitstatus_to_exitcode(child.status)
    told = {"code": code, "signal": None} if code is None or code >= 0 else {"code": None, "signal": -code}
    _write_file(outcome, {**told, "why": shim.why, "at": int(time.time() * 1000)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
