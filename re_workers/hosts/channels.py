"""Ways to a host's shell: this machine's own, or an ssh client's. Must not know what is run.

A session has three pipes: its standard output and standard error come apart, so that what a program prints needs no frames.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from re_workers.hosts.port import BadHost, HostError, Opened, Unreachable

#: seconds for a connection to a socket of this machine
_DIALLING = 10.0

#: starts a program as subprocess.Popen does
Start = Callable[..., "subprocess.Popen[bytes]"]


class Channel(Protocol):
    """One way to one host."""

    #: for people
    host: str
    #: what a session reads at once, before the agent is there: a password that sudo asks for
    first: bytes

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """Have the user's shell there run the command; its three pipes are open.

        Raises HostError where that cannot be, and Unreachable when `stop` is set while it waits for a free session.
        """
        ...

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """A connection to a unix socket there, as the user of the login. Raises HostError."""
        ...

    def explain(self, noise: str, code: int | None) -> HostError | None:
        """Why the command did not begin, by what was printed instead; None where that is not known."""
        ...


@runtime_checkable
class Settling(Protocol):
    """A channel that wants to know what becomes of the sessions that it opened."""

    def settle(self, opened: Opened, let_in: bool) -> None:
        """The agent is there (`let_in`), or the session has ended without it. Called once or twice, the last time at the session's end."""
        ...


class LocalChannel:
    """This machine, as the user of this process."""

    first = b""

    def __init__(
        self, host: str = "localhost", start: Start = subprocess.Popen, env: Mapping[str, str] | None = None
    ) -> None:
        """`env`: the variables of what is started; None: those of this process."""
        self.host = host
        self._start, self._env = start, env

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel. What it starts belongs to a session of its own, and so survives a signal to ours."""
        how = {} if self._env is None else {"env": self._env}
        return _opened(self._start, ["/bin/sh", "-c", command], self.host, how)

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """As of every channel."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(_DIALLING)
            found.connect(path)
        except OSError as error:
            found.close()
            raise BadHost(f"{self.host}: cannot connect to {path}: {error.strerror or error}") from error
        return found

    def explain(self, noise: str, code: int | None) -> HostError | None:
        """As of every channel."""
        return None


class SshChannel:
    """A host that the system's ssh client reaches, with a process for each session."""

    first = b""

    def __init__(self, host: str, argv: Sequence[str], start: Start = subprocess.Popen) -> None:
        """`argv`: the client with its options, and the destination."""
        self.host = host
        self._argv = tuple(argv)
        self._start = start

    def open(self, command: str, stop: threading.Event | None = None) -> Opened:
        """As of every channel. Without a terminal: what a host's shell shows there would mix with what programs print."""
        return _opened(self._start, [*self._argv, command], self.host, {})

    def dial(self, path: str, stop: threading.Event | None = None) -> socket.socket:
        """As of every channel: only a connection that is kept does that."""
        raise BadHost(f"{self.host}: {path} is reached over connections that are kept")

    def explain(self, noise: str, code: int | None) -> HostError | None:
        """As of every channel."""
        return None


def _opened(start: Start, argv: Sequence[str], host: str, how: Mapping[str, object]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return start(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, **how)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unreachable(f"{host}: cannot start {argv[0]}: {error}") from error
