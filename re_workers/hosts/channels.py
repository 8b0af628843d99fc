"""Ways to a host's shell: this machine's own, or an ssh client's. Must not know what is run.

A session is a process of ours with three pipes: its standard output and standard error come apart, so that what a program prints
needs no frames.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from typing import Protocol

from re_workers.hosts.port import Unreachable

#: starts a program as subprocess.Popen does
Start = Callable[..., "subprocess.Popen[bytes]"]


class Channel(Protocol):
    """One way to one host."""

    #: for people
    host: str

    def open(self, command: str) -> subprocess.Popen[bytes]:
        """Have the user's shell there run the command; its three pipes are open. Raises Unreachable."""
        ...


class LocalChannel:
    """This machine, as the user of this process."""

    def __init__(self, host: str = "localhost", start: Start = subprocess.Popen) -> None:
        self.host = host
        self._start = start

    def open(self, command: str) -> subprocess.Popen[bytes]:
        """As of every channel. What it starts belongs to a session of its own, and so survives a signal to ours."""
        return _opened(self._start, ["/bin/sh", "-c", command], self.host)


class SshChannel:
    """A host that the system's ssh client reaches."""

    def __init__(self, host: str, argv: Sequence[str], start: Start = subprocess.Popen) -> None:
        """`argv`: the client with its options, and the destination."""
        self.host = host
        self._argv = tuple(argv)
        self._start = start

    def open(self, command: str) -> subprocess.Popen[bytes]:
        """As of every channel. Without a terminal: what a host's shell shows there would mix with what programs print."""
        return _opened(self._start, [*self._argv, command], self.host)


def _opened(start: Start, argv: Sequence[str], host: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return start(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise Unreachable(f"{host}: cannot start {argv[0]}: {error}") from error
