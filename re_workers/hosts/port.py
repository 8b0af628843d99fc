"""What runs on a host, and how it stands. Must not know how a host is reached."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import quote

from re_core.errors import ReleaseEngineError

#: seconds that a run has where nothing else is said, and bytes of output that its record keeps
LIMIT, CAP = 3600.0, 11 * 1024**2

#: hears bytes of output, in order, each once
Say = Callable[[bytes], None]


class RunKey(NamedTuple):
    """Which run it is: of an attempt, on a host, the n-th there."""

    attempt: str
    host: str
    n: int = 0
    #: how often what was to begin it died before it did: that leaves a record, and the next one is another's
    turn: int = 0

    @property
    def record(self) -> str:
        """Name of its record's directory: letters, digits and `._%-`, of at most 255. Two names of one machine do not meet in it."""
        return f"{self.family}.{self.n}" + (f".{self.turn}" if self.turn else "")

    @property
    def family(self) -> str:
        """What the names of all records of the attempt on the host begin with."""
        attempt = quote(self.attempt.replace("/", "."), safe="")
        if len(attempt) > _MOST:
            attempt = hashlib.sha256(self.attempt.encode()).hexdigest()
        return f"{attempt}.{hashlib.sha256(self.host.encode()).hexdigest()[:12]}"


#: characters of an attempt's id that stand in a name as they are
_MOST = 200


class Run(NamedTuple):
    """What to run."""

    key: RunKey
    #: what a POSIX shell reads; `agent.line` makes it of arguments
    script: str
    #: variables of the program; never in a process list, nor on the host's disk
    env: Mapping[str, str] = {}
    #: what it reads on its standard input: text
    stdin: str = ""
    #: where it starts; empty: in the home of its user, on the worker's own machine where other programs of steps start
    cwd: str = ""
    #: seconds after which the host itself ends it, whether anything can reach the host or not
    limit: float = LIMIT
    #: bytes of output that are kept; what is more is dropped, and nothing waits for it
    cap: int = CAP

    @property
    def digest(self) -> str:
        """Tells whether a run of the same key is the same run. Values of variables do not count: a secret may be rotated meanwhile."""
        said = "\0".join((self.script, self.stdin, self.cwd, *sorted(self.env)))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


class Claim(NamedTuple):
    """What may have happened before a run's first session with its host."""

    #: another worker may have begun it
    resumed: bool = False
    #: when its attempt was claimed: seconds of the monotonic clock; None where that is not known
    at: float | None = None
    #: earlier attempts of the step, oldest first: what they left is ended before this run begins
    earlier: Sequence[str] = ()


#: how a run stands: it never began and never will; it is about to; it runs; it has ended; its supervisor was killed, so that its
#: code is unknown; the host was booted since; there is no record
NEVER, BEGINNING, RUNS, ENDED, VANISHED, REBOOTED, NONE = (
    "never",
    "beginning",
    "runs",
    "ended",
    "vanished",
    "rebooted",
    "none",
)


class Standing(NamedTuple):
    """How a run stands, as its host says."""

    state: str
    #: of `ended`: the exit code, 128 and more for a signal
    code: int | None = None
    #: bytes of output in the record, and those that were dropped
    size: int = 0
    dropped: int = 0
    #: of `none`: which boot this is, and seconds since then
    boot: str = ""
    uptime: int | None = None


class Ended(NamedTuple):
    """The end of a run."""

    code: int
    size: int
    dropped: int
    #: it was begun earlier: by another worker, or by this one before its connection was lost
    attached: bool


class Put(NamedTuple):
    """How a file is stored on a host."""

    #: permissions; None: those of the file that it replaces, or 0600
    mode: int | None = None
    #: `user`, `user:group` or `:group`, by name or number; empty: the user who stores it
    owner: str = ""
    #: hears how many bytes of it are there
    progress: Callable[[int], None] | None = None


#: permissions and owner of the file that it replaces
AS_IT_WAS = Put()


class Stored(NamedTuple):
    """A file that is on a host now."""

    size: int
    sha256: str
    #: False: it was there already
    changed: bool


class Got(NamedTuple):
    """A file that was read from a host."""

    size: int
    sha256: str


class Facts(NamedTuple):
    """What a host says of itself."""

    kernel: str = ""
    user: str = ""
    uid: int = -1
    home: str = ""
    #: which boot this is
    boot: str = ""
    #: those of the tools that steps may use which are there
    tools: frozenset[str] = frozenset()
    #: bytes that are free where the records are
    free: int = -1
    #: whether the host ends what runs on when its user has logged out (systemd's KillUserProcesses)
    kills_sessions: bool = False
    #: what the login shell prints before anything is asked of it
    noise: str = ""
    #: how long one session takes, its login shell with it
    milliseconds: int = 0

    @property
    def warnings(self) -> list[str]:
        """What makes runs there slow or unsafe, and what to do; without the host's name."""
        found = []
        if self.noise:
            lines = len(self.noise.splitlines())
            found.append(f"the login shell prints {lines} lines; they are dropped ({_QUIET})")
        if self.milliseconds > SLOW_SHELL:
            found.append(
                f"each session takes {self.milliseconds / 1000:.1f} s, most of it the login shell's ({_QUIET})"
            )
        if self.kills_sessions and self.uid != 0:
            linger = f"loginctl enable-linger {self.user}"
            found.append(
                f"systemd ends what runs when a connection is lost (KillUserProcesses=yes); run there: {linger}"
            )
        return found


#: milliseconds of a session above which people are warned
SLOW_SHELL = 500
_QUIET = "begin its ~/.bashrc with: case $- in *i*) ;; *) return ;; esac"


class HostRunner(Protocol):
    """Runs programs on one host, as one user there. Safe to share between threads. All raise HostError."""

    @property
    def host(self) -> str:
        """Its name."""
        ...

    def run(
        self,
        run: Run,
        say: Say,
        stop: threading.Event,
        leave: threading.Event | None = None,
        claim: Claim = ...,
    ) -> Ended:
        """Begin it, or go on with it where it was begun; returns when it has ended. When `stop` is set, it is ended; when `leave` is
        set it is left as it is, and Left is raised."""
        ...

    def look(self, key: RunKey) -> Standing:
        """How it stands."""
        ...

    def end(self, key: RunKey) -> Standing:
        """End it with all its children; how it stands then."""
        ...

    def sweep(self, keys: Iterable[RunKey]) -> int:
        """Remove the records of those that have ended; how many there were."""
        ...

    def put(self, source: BinaryIO, target: str, how: Put = ..., stop: threading.Event | None = None) -> Stored:
        """Store what `source`, which can be read twice, has from its present place on; what was there stays until all of it is there."""
        ...

    def get(self, path: str, sink: BinaryIO, most: int, stop: threading.Event | None = None) -> Got:
        """Write a file of the host, of at most this many bytes, to `sink`."""
        ...

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """A connection to a unix socket there, as the user of the login also where programs run as another one.

        Raises BadHost where the host refuses it.
        """
        ...

    def facts(self) -> Facts:
        """What the host says of itself; asked once in a while."""
        ...


class Confined(Protocol):
    """How programs that run on the worker's own machine are kept from what is the engine's."""

    def environment(self) -> dict[str, str]:
        """What they inherit."""
        ...

    def directory(self) -> str:
        """Where they start."""
        ...

    def prefix(self) -> Sequence[str]:
        """A program that confines itself, and becomes the one whose arguments follow; empty: nothing is to be confined."""
        ...

    def start(self, argv: Sequence[str], **how: Any) -> Any:
        """Start one of them, as subprocess.Popen does."""
        ...


class Opened(Protocol):
    """A session that is open. subprocess.Popen is one."""

    stdin: Any
    stdout: Any
    stderr: Any

    @property
    def returncode(self) -> int | None:
        """None while it is not known."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; 255 where the connection was lost. Raises subprocess.TimeoutExpired."""
        ...

    def kill(self) -> None:
        """Leave it; what runs on the host is not of it."""
        ...


class HostError(ReleaseEngineError):
    """The host did not do what it should."""

    reason = "host-error"


class Unreachable(HostError):
    """The host cannot be reached. What is begun there may go on, so that a run which has begun is looked for again."""

    reason = "unreachable"


class BadHost(Unreachable):
    """What the inventory, or ssh_config, says of the host cannot be used."""

    reason = "bad-host"


class HostKeyRefused(Unreachable):
    """The host shows a key that is not trusted."""

    reason = "host-key"


class LoginRefused(Unreachable):
    """The host does not let the user in."""

    reason = "login"


class ShellSilent(Unreachable):
    """The login shell of the host does not start what it is asked to."""

    reason = "login"


class SudoRefused(Unreachable):
    """The user may not become the other one."""

    reason = "sudo"


class PasswordRefused(SudoRefused):
    """sudo does not take the password. It is not tried again: a few wrong ones lock accounts."""


class NotBegun(HostError):
    """The run did not begin, and will not."""

    reason = "not-begun"


class NoSpace(NotBegun):
    """The host has no room for it."""

    reason = "disk"


class TransferFailed(HostError):
    """The file was not stored, or not read."""

    reason = "transfer"


class OtherRun(HostError):
    """Under this key something else was begun."""

    reason = "other-run"


class Left(HostError):
    """The run was left running: another worker goes on with it."""

    reason = "left"


class HostLost(HostError):
    """The run began, and how it ended cannot be known."""

    reason = "host-lost"


class Killed(HostError):
    """The run was killed on its host, with what supervised it; it is over."""

    reason = "vanished"
