"""One session with a host: what goes to the agent, what comes of it, and whether it was cut. Must not know verbs."""

from __future__ import annotations

import os
import secrets
import selectors
import subprocess
import threading
import time
from typing import NamedTuple

from re_workers.hosts.agent import MOST_NOISE, Lines
from re_workers.hosts.channels import Channel
from re_workers.hosts.port import Say, ShellSilent, Unreachable

#: seconds in which the agent has to say that it is there, and after which a session counts as cut in which it says nothing
SHELL_TIMEOUT, SILENCE = 20.0, 30.0

#: bytes that are read at once, and of what a login shell prints in all
_PIECE, _MOST = 64 * 1024, 64 * 1024
#: seconds between two looks at whether it shall end
_LOOK = 0.1
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


def nonce() -> str:
    """Tells the agent's lines of one session from everything else."""
    return secrets.token_hex(8)


class Session:
    """One thread."""

    def __init__(
        self, channel: Channel, command: str, mark: str, body: bytes = b"", patience: float = SHELL_TIMEOUT
    ) -> None:
        """`mark`: the nonce in the command. `body` is sent once the agent is there, and not before: a login shell might read it."""
        self._channel, self._command, self._body, self._patience = channel, command, body, patience
        self._lines = Lines(mark)
        self._said: list[list[str]] = []
        self._size = 0
        #: what came on standard output before the agent's line there, and that line
        self._stray, self._mark = b"", f"RE1 {mark} out\n".encode()
        self._has_output = False
        self._heard = time.monotonic()

    def run(self, say: Say, stop: threading.Event | None = None, after: int = 1) -> Report:
        """Until it is over, however that was. When `stop` is set it is left early, but not before the agent has said `after` lines.

        Raises Unreachable where the agent was never there, and ShellSilent where a login shell kept it from that.
        """
        process = self._channel.open(self._command)
        try:
            self._pump(process, say, stop or threading.Event(), after)
        finally:
            _close(process)
        noise = (self._stray + self._lines.noise).decode("utf-8", "replace").strip()[:MOST_NOISE]
        if not self._is_there:
            raise self._never_there(process.returncode, noise)
        return Report(self._said, self._size, noise)

    @property
    def _is_there(self) -> bool:
        return bool(self._said)

    def _pump(self, process: subprocess.Popen[bytes], say: Say, stop: threading.Event, after: int) -> None:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - the channel opened all three
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdout, process.stderr):
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ)
            os.set_blocking(process.stdin.fileno(), False)
            sending = False
            while len(selector.get_map()) > sending and not self._is_cut():
                if stop.is_set() and len(self._said) >= after:
                    return
                for key, _ in selector.select(_LOOK):
                    if key.fileobj is process.stdin:
                        sending = self._send(process.stdin.fileno())
                    elif not self._receive(key.fd, key.fileobj is process.stdout, say):
                        selector.unregister(key.fileobj)
                    if key.fileobj is process.stdin and not sending:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                if self._is_there and not sending and not process.stdin.closed:
                    selector.register(process.stdin, selectors.EVENT_WRITE)
                    sending = True

    def _is_cut(self) -> bool:
        """Nothing was heard for too long: of the agent, which says that it is there, or of the shell that was to start it."""
        return time.monotonic() - self._heard > (SILENCE if self._is_there else self._patience) or (
            not self._is_there and len(self._stray) + len(self._lines.noise) > _MOST
        )

    def _receive(self, pipe: int, is_output: bool, say: Say) -> bool:
        piece = os.read(pipe, _PIECE)
        if self._is_there:
            self._heard = time.monotonic()
        if not is_output:
            self._said += self._lines.feed(piece)
        elif output := self._without_mark(piece):
            self._size += len(output)
            say(output)
        return bool(piece)

    def _without_mark(self, piece: bytes) -> bytes:
        """Of a piece of standard output what is behind the agent's line."""
        if self._has_output:
            return piece
        self._stray, mark, behind = (self._stray + piece).partition(self._mark)
        self._has_output = bool(mark)
        return behind

    def _send(self, pipe: int) -> bool:
        """Whether there is more to send."""
        try:
            sent = os.write(pipe, self._body[:_PIECE]) if self._body else 0
        except BrokenPipeError:
            sent = len(self._body)
        self._body = self._body[sent:]
        return bool(self._body)

    def _never_there(self, code: int | None, noise: str) -> Exception:
        host = self._channel.host
        said = f": {noise[-2000:]}" if noise else ""
        if code == _SSH_FAILED:
            return Unreachable(f"{host} cannot be reached{said}")
        advice = "see what its login shell runs (~/.bashrc, ~/.profile, a ForceCommand)"
        return ShellSilent(f"the login shell of {host} does not start `sh`; {advice}; it printed{said or ' nothing'}")


def _close(process: subprocess.Popen[bytes]) -> None:
    """End our side of it; what runs on the host is not of it."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            pipe.close()
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
