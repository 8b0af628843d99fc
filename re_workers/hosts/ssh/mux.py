"""Sessions over a connection that an ssh process keeps open (a master), without a process for each.

OpenSSH's client asks a master over a socket in the same way (PROTOCOL.mux, version 4): each message is a 32 bit length and 32 bit
numbers and strings, and the session's three pipes follow as descriptors. Must not know hosts.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO

_HELLO, _VERSION = 1, 4
_NEW_SESSION, _OPEN_FORWARD = 0x10000002, 0x10000006
_OK, _DENIED, _FAILURE, _EXIT, _OPENED = 0x80000001, 0x80000002, 0x80000003, 0x80000004, 0x80000006
#: a forward of what connects to this machine; and in place of a port: what stands for the host is the path of a socket (PORT_STREAMLOCAL)
_LOCAL = 1
_NO_PORT = struct.pack(">I", 0xFFFFFFFE)
#: no escape character
_NO_ESCAPE = 0xFFFFFFFF
#: bytes of a message: OpenSSH's own bound
_MOST = 256 * 1024
#: bytes that are read at once
_PIECE = 4096

#: the exit code of a session whose connection was lost, as the ssh client has it
CUT = 255


class MuxError(Exception):
    """The master did not do what it was asked."""


class MuxGone(MuxError):
    """There is no master, or it has ended."""


class MuxRefused(MuxError):
    """The master, or the server behind it, has no further session."""


class MuxOther(MuxError):
    """The master speaks another version."""


class MuxSession:
    """A command on a host, with its three pipes: as subprocess.Popen, but that no process of ours belongs to it."""

    def __init__(self, link: _Link, ends: Sequence[int]) -> None:
        """`ends`: our ends of standard input, output and error."""
        self._link = link
        self._lock = threading.Lock()
        self._ended: Callable[[], None] = lambda: None
        self.returncode: int | None = None
        self.stdin: IO[bytes] = os.fdopen(ends[0], "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(ends[1], "rb", buffering=0)
        self.stderr: IO[bytes] = os.fdopen(ends[2], "rb", buffering=0)

    def when_over(self, ended: Callable[[], None]) -> None:
        """Have this called once, when its end was waited for."""
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; CUT where the connection was lost. Raises subprocess.TimeoutExpired."""
        with self._lock:
            if self.returncode is None:
                try:
                    self.returncode = self._link.exit_code(timeout)
                except TimeoutError:
                    raise subprocess.TimeoutExpired("session", timeout or 0) from None
                self._link.close()
                self._ended()
        return self.returncode

    def kill(self) -> None:
        """Leave it: the master closes the session, and its command loses its pipes."""
        self._link.shutdown()


class _Link:
    """A conversation with a master."""

    def __init__(self, path: str, timeout: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._until = time.monotonic() + timeout
        #: what has come of messages that are not yet asked for
        self._read = b""
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(path)
            self.send(struct.pack(">II", _HELLO, _VERSION))
            kind, body = self.receive()
            if kind != _HELLO or len(body) < 4:
                raise MuxOther(f"the master answered with message {kind:#x}")
            if (version := struct.unpack_from(">I", body)[0]) != _VERSION:
                raise MuxOther(
                    f"the master speaks version {version} of its protocol, and this program version {_VERSION}"
                )
        except OSError as error:
            self.close()
            raise MuxGone(str(error)) from error
        except MuxError:
            self.close()
            raise

    def send(self, message: bytes) -> None:
        """Raises MuxGone."""
        try:
            self._socket.sendall(struct.pack(">I", len(message)) + message)
        except OSError as error:
            raise MuxGone(str(error)) from error

    def give(self, descriptors: Sequence[int]) -> None:
        """Raises MuxGone."""
        try:
            for one in descriptors:
                socket.send_fds(self._socket, [b"\0"], [one])
        except OSError as error:
            raise MuxGone(str(error)) from error

    def receive(self) -> tuple[int, bytes]:
        """The kind of the next message, and what follows. Raises TimeoutError, MuxGone."""
        (size,) = struct.unpack(">I", self._exactly(4))
        if not 4 <= size <= _MOST:
            raise MuxGone(f"the master sent a message of {size} bytes")
        message = self._exactly(size)
        return struct.unpack_from(">I", message)[0], message[4:]

    def answer(self, request: int) -> tuple[int, bytes]:
        """The next message about this request, and what follows its number. Raises TimeoutError, MuxGone."""
        while True:
            kind, body = self.receive()
            if len(body) >= 4 and struct.unpack_from(">I", body)[0] == request:
                return kind, body[4:]

    def exit_code(self, timeout: float | None) -> int:
        """Of the session that was opened. Raises TimeoutError."""
        self._until = time.monotonic() + timeout if timeout is not None else float("inf")
        try:
            while True:
                kind, body = self.receive()
                if kind == _EXIT and len(body) >= 8:
                    return int(struct.unpack_from(">I", body, 4)[0])
        except MuxGone:
            return CUT

    def shutdown(self) -> None:
        """The other side sees that it is over; who waits for an answer sees it too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Safe to repeat."""
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the master does not answer")
            try:
                self._socket.settimeout(None if left == float("inf") else left)
                piece = self._socket.recv(_PIECE)
            except TimeoutError:
                raise
            except OSError as error:
                raise MuxGone(str(error)) from error
            if not piece:
                raise MuxGone("the master closed the connection")
            self._read += piece
        found, self._read = self._read[:size], self._read[size:]
        return found


def session(path: str, command: str, timeout: float = 30.0) -> MuxSession:
    """Have the shell of the host run the command. Raises MuxError, and OSError where this process has no descriptors left."""
    link = _Link(path, timeout)
    theirs: list[int] = []
    ours: list[int] = []
    try:
        for is_input in (True, False, False):
            reads, writes = os.pipe()
            ours.append(writes if is_input else reads)
            theirs.append(reads if is_input else writes)
        link.send(_asked(command))
        link.give(theirs)
        kind, body = link.answer(0)
    except (MuxError, OSError) as error:
        link.close()
        _close(ours)
        if isinstance(error, TimeoutError):
            raise MuxGone(str(error)) from error
        raise
    finally:
        _close(theirs)
    if kind == _OPENED:
        return MuxSession(link, ours)
    link.close()
    _close(ours)
    if kind in (_DENIED, _FAILURE):
        raise MuxRefused(_text(body))
    raise MuxOther(f"the master answered with message {kind:#x}")


def forward(path: str, local: str, target: str, timeout: float = 30.0) -> None:
    """Have the master listen on the unix socket `local`, and connect what comes there to the host's `target`. Raises MuxError."""
    link = _Link(path, timeout)
    try:
        ends = b"".join(_string(os.fsencode(one)) + _NO_PORT for one in (local, target))
        link.send(struct.pack(">III", _OPEN_FORWARD, 0, _LOCAL) + ends)
        kind, body = link.answer(0)
    except TimeoutError as error:
        raise MuxGone(str(error)) from error
    finally:
        link.close()
    if kind in (_DENIED, _FAILURE):
        raise MuxRefused(_text(body))
    if kind != _OK:
        raise MuxOther(f"the master answered with message {kind:#x}")


def _asked(command: str) -> bytes:
    """Request 0: no terminal, no X11, no agent, no subsystem, no escape character."""
    numbers = struct.pack(">IIIII", 0, 0, 0, 0, _NO_ESCAPE)
    words = _string(b"xterm") + _string(command.encode("utf-8", "surrogateescape"))
    return struct.pack(">II", _NEW_SESSION, 0) + _string(b"") + numbers + words


def _string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def _text(body: bytes) -> str:
    return body[4:].decode("utf-8", "replace")


def _close(descriptors: Sequence[int]) -> None:
    for one in descriptors:
        os.close(one)
