"""What runs on a host, and how it stands. Must not know how a host is reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import NamedTuple
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
        attempt = quote(self.attempt.replace("/", "."), safe="")
        if len(attempt) > _MOST:
            attempt = hashlib.sha256(self.attempt.encode()).hexdigest()
        host = hashlib.sha256(self.host.encode()).hexdigest()[:12]
        return f"{attempt}.{host}.{self.n}" + (f".{self.turn}" if self.turn else "")


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
    #: seconds after which the host itself ends it, whether anything can reach the host or not
    limit: float = LIMIT
    #: bytes of output that are kept; what is more is dropped, and nothing waits for it
    cap: int = CAP

    @property
    def digest(self) -> str:
        """Tells whether a run of the same key is the same run. Values of variables do not count: a secret may be rotated meanwhile."""
        said = "\0".join((self.script, self.stdin, *sorted(self.env)))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


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


class HostError(ReleaseEngineError):
    """The host did not do what it should."""

    reason = "host-error"


class Unreachable(HostError):
    """The host cannot be reached."""

    reason = "unreachable"


class ShellSilent(HostError):
    """The login shell of the host does not start what it is asked to."""

    reason = "login"


class NotBegun(HostError):
    """The run did not begin, and will not."""

    reason = "not-begun"


class OtherRun(HostError):
    """Under this key something else was begun."""

    reason = "other-run"


class HostLost(HostError):
    """The run began, and how it ended cannot be known."""

    reason = "host-lost"


class Killed(HostError):
    """The run was killed on its host, with what supervised it; it is over."""

    reason = "vanished"
