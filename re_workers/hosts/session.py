"""One session with a host: what goes to the agent, what comes of it, and whether it was cut. Must not know verbs."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from re_core.runtime import killing
from re_workers.hosts.agent import MOST_NOISE, Lines
from re_workers.hosts.channels import Channel, Settling
from re_workers.hosts.port import HostError, Opened, Say, ShellSilent, Unreachable

#: seconds in which the agent has to say that it is there, and after which a session counts as cut in which nothing moves
SHELL_TIMEOUT, SILENCE = 20.0, 30.0

#: what is sent, by what the agent has said so far; None where it has to say more first. Never called before it is there: what is sent
#: earlier could be read by a login shell
Body = Callable[[Sequence[Sequence[str]]], "Iterator[bytes] | None"]

#: bytes that are read or sent at once, and of what a login shell prints in all
_PIECE, _MOST = 64 * 1024, 64 * 1024
#: seconds between two looks at whether it shall end
_LOOK = 0.1
#: what csh and tcsh say of a text of several lines; of one with a `!` they repeat the rest
_CSH = re.compile(r"^Unmatched\b.{0,4}['`]|: Event not found|^eval \"\$shared\"$", re.MULTILINE)
#: the exit code of an ssh client that has lost, or never had, its connection
_SSH_FAILED = 255


class Report(NamedTuple):
    """What the agent said in a session."""

    #: word by word
    lines: list[list[str]]
    #: bytes that came on standard output
    size: int
    #: what came beside it, for people
    noise: str
    #: of this what a login shell printed before the agent was there, and the milliseconds until then
    login: str = ""
    milliseconds: int = 0


def nonce() -> str:
    """Tells the agent's lines of one session from everything else."""
    return secrets.token_hex(8)


def whole(body: bytes) -> Body:
    """All of it as soon as the agent is there."""
    return lambda said: iter((body,) if body else ())


class Session:
    """One thread."""

    def __init__(
        self,
        channel: Channel,
        command: str,
        mark: str,
        body: Body | None = None,
        patience: float = SHELL_TIMEOUT,
    ) -> None:
        """`mark`: the nonce in the command."""
        self._channel, self._command, self._patience = channel, command, patience
        self._lines = Lines(mark)
        self._said: list[list[str]] = []
        self._size = 0
        #: what came on standard output before the agent's line there, and that line
        self._stray, self._mark = b"", f"RE1 {mark} out\n".encode()
        self._has_output = False
        self._body = body or whole(b"")
        #: what is to be sent now, and what comes after it once that is known
        self._pending, self._pieces = memoryview(channel.first), None
        #: there is no room in its standard input
        self._waits = False
        self._opened = self._moved = time.monotonic()
        self._login, self._milliseconds = b"", 0

    #: None: not opened
    _process: Opened | None = None
    #: None: not yet known
    _pieces: Iterator[bytes] | None

    def run(self, say: Say, stop: threading.Event | None = None, after: int = 1) -> Report:
        """Until it is over, however that was. When `stop` is set it is left early, but not before the agent has said `after` lines.

        Raises Unreachable where the agent was never there, ShellSilent where a login shell kept it from that, and what the channel
        raises.
        """
        self._process = process = self._channel.open(self._command, stop)
        self._opened = self._moved = time.monotonic()
        try:
            return self._report(process, say, stop or threading.Event(), after)
        finally:
            self._settle()

    def _report(self, process: Opened, say: Say, stop: threading.Event, after: int) -> Report:
        is_over = False
        try:
            is_over = self._pump(process, say, stop, after)
        finally:
            _close(process, is_over)
        noise = self._noise()
        if not self._is_there:
            raise self._never_there(process.returncode if is_over else None, noise)
        login = _text((self._stray if self._has_output else b"") + self._login)
        return Report(self._said, self._size, noise, login, self._milliseconds)

    @property
    def _is_there(self) -> bool:
        return bool(self._said)

    def _pump(self, process: Opened, say: Say, stop: threading.Event, after: int) -> bool:
        """Whether it came to its end."""
        with (
            selectors.PollSelector() as selector
        ):  # three pipes: what epoll needs to be set up costs more than it saves
            for pipe in (process.stdin, process.stdout, process.stderr):
                os.set_blocking(pipe.fileno(), False)
            for pipe in (process.stdout, process.stderr):
                selector.register(pipe, selectors.EVENT_READ)
            reading = 2
            while reading:
                if self._is_cut() or (stop.is_set() and len(self._said) >= after):
                    return False
                self._offer(selector, process)
                for key, _ in selector.select(_LOOK):
                    if key.fileobj is process.stdin:
                        self._send(selector, process)
                    elif not self._receive(key.fd, key.fileobj is process.stdout, say):
                        selector.unregister(key.fileobj)
                        reading -= 1
        return True

    def _is_cut(self) -> bool:
        """Nothing has moved for too long: of the agent, which says that it is there, or of the shell that was to start it."""
        if self._is_there:
            return time.monotonic() - self._moved > SILENCE
        return (
            time.monotonic() - self._moved > self._patience
            or len(self._stray) + len(self._lines.noise) > _MOST
            # what has refused it may wait for another try
            or self._channel.explain(_text(self._lines.noise), None) is not None
        )

    def _receive(self, pipe: int, is_output: bool, say: Say) -> bool:
        piece = os.read(pipe, _PIECE)
        if self._is_there:
            self._moved = time.monotonic()
        if not is_output:
            self._hear(self._lines.feed(piece))
        elif output := self._without_mark(piece):
            self._size += len(output)
            say(output)
        return bool(piece)

    def _hear(self, lines: list[list[str]]) -> None:
        is_first = bool(lines) and not self._is_there
        if is_first:
            self._login, self._milliseconds = self._lines.noise, round(1000 * (time.monotonic() - self._opened))
        self._said += lines
        if is_first:
            self._settle()

    def _settle(self) -> None:
        """Its channel hears whether the session was let in."""
        if self._process is not None and isinstance(self._channel, Settling):
            self._channel.settle(self._process, self._is_there)

    def _noise(self) -> str:
        return _text(self._stray + self._lines.noise)

    def _without_mark(self, piece: bytes) -> bytes:
        """Of a piece of standard output what is behind the agent's line."""
        if self._has_output:
            return piece
        self._stray, mark, behind = (self._stray + piece).partition(self._mark)
        self._has_output = bool(mark)
        return behind

    def _offer(self, selector: selectors.BaseSelector, process: Opened) -> None:
        """Send what there is to send; wait for room in its standard input while, and only while, that is full."""
        if process.stdin.closed:
            return
        if self._pieces is None and self._is_there:
            self._pieces = self._body(self._said)
        # most is one piece and its end, and there is room for it
        for _ in range(0 if self._waits else 2):
            if self._has_more(process):
                self._send(selector, process)
        if (wants := self._has_more(process)) != self._waits:
            if wants:
                selector.register(process.stdin, selectors.EVENT_WRITE)
            else:
                selector.unregister(process.stdin)
            self._waits = wants

    def _has_more(self, process: Opened) -> bool:
        return not process.stdin.closed and (self._pieces is not None or bool(self._pending))

    def _send(self, selector: selectors.BaseSelector, process: Opened) -> None:
        if not self._pending and self._pieces is not None:
            self._pending = memoryview(next(self._pieces, b""))
            if not self._pending:
                self._end_input(selector, process)
                return
        try:
            sent = os.write(process.stdin.fileno(), self._pending[:_PIECE])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._end_input(selector, process)
            return
        self._pending = self._pending[sent:]
        if self._is_there:
            self._moved = time.monotonic()

    def _end_input(self, selector: selectors.BaseSelector, process: Opened) -> None:
        if self._waits:
            selector.unregister(process.stdin)
            self._waits = False
        process.stdin.close()

    def _never_there(self, code: int | None, noise: str) -> HostError:
        host = self._channel.host
        if (problem := self._channel.explain(noise, code)) is not None:
            return problem
        if _CSH.search(noise):
            advice = "name another user of the host, or run there: chsh -s /bin/sh"
            return ShellSilent(f"the login shell of {host} is csh or tcsh, which can be given no script; {advice}")
        said = f": {noise[-2000:]}" if noise else ""
        if code == _SSH_FAILED:
            return Unreachable(f"{host} cannot be reached{said}")
        advice = "see what its login shell runs (~/.bashrc, ~/.profile, a ForceCommand)"
        within = f" within {self._patience:g} s" if code is None else ""
        return ShellSilent(
            f"the login shell of {host} does not start `sh`{within}; {advice}; it printed{said or ' nothing'}"
        )


def _text(noise: bytes) -> str:
    return noise.decode("utf-8", "replace").strip()[:MOST_NOISE]


def _close(process: Opened, is_over: bool) -> None:
    """End our side of it; what runs on the host is not of it."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if not pipe.closed:
            pipe.close()
    if not is_over:
        with suppress(PermissionError):  # of this machine, and by sudo another user's: it ends by its closed pipes
            process.kill()
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        killing.kill(process)
