"""A socket that gives up on a peer that does not read what it asked for. Must not know HTTP.

A peer has a credit of seconds. Each second that a send waits for it costs one, each RATE bytes (or `least`) that it takes give one
back, up to the patience of the moment: so a slow one that reads is served for hours, and one that stands still is not.
What counts is what the peer's machine has acknowledged. A socket becomes writable again only when a third of its buffer is
free, which may be megabytes: by that a slow reader could not be distinguished from a dead one.
"""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

#: bytes a second that a peer must take in the long run
RATE = 1024

#: bytes of one read of a file
_PIECE = 64 * 1024

#: milliseconds between two looks at a peer that keeps a send waiting
_LOOK = 250

#: milliseconds after which the kernel gives up on a peer that acknowledges nothing, as one that was unplugged
_GONE = 60_000


class PacedSocket(socket.socket):
    """A connected stream socket. One thread sends."""

    #: seconds that the request under way may take beyond those that every request has
    allowed = 0.0

    #: bytes a second that its peer must take of the answer under way, where that is more than RATE
    least = 0

    _patience: Callable[[], float]
    #: seconds left
    _credit: float
    #: bytes that the kernel took, and that the peer had acknowledged at the last look
    _sent: int
    _taken: int

    @classmethod
    def of(cls, connected: socket.socket, patience: Callable[[], float]) -> Self:
        """Take the connection over. `patience`: seconds that its peer may stand still, asked again and again."""
        made = cls(fileno=connected.detach())
        made._patience = patience
        made._credit = patience()
        made._sent = made._taken = 0
        with suppress(OSError, AttributeError):  # not TCP, or not Linux
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE)
        return made

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Raises ConnectionResetError where the peer does not read, and cuts the connection."""
        left, flags = data, flags | socket.MSG_DONTWAIT
        while left:
            try:
                sent = self.send(left, flags)
            except BlockingIOError:
                self._await_room()
                continue
            self._sent += sent
            if sent == len(left):  # nearly every answer: no view of the rest is made
                return
            left = memoryview(left).cast("B")[sent:]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """As `sendall`; how many bytes were sent."""
        file.seek(offset)
        sent = 0
        while piece := file.read(_PIECE if count is None else min(_PIECE, count - sent)):
            self.sendall(piece)
            sent += len(piece)
        return sent

    def cut(self) -> None:
        """End it at once; what was not sent is dropped."""
        with suppress(OSError):  # closed already
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.shutdown(socket.SHUT_RDWR)

    def _await_room(self) -> None:
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        ready = False
        while not ready:
            began = time.monotonic()
            ready = bool(poll.poll(_LOOK))
            waited, taken = time.monotonic() - began, self._sent - self._unsent()
            gained, self._taken = (taken - self._taken) / max(RATE, self.least), taken
            self._credit = min(self._patience(), self._credit - waited + gained)
            if self._credit <= 0:
                self.cut()
                raise ConnectionResetError(errno.ECONNRESET, "the client does not read")

    def _unsent(self) -> int:
        """Bytes that its peer has not acknowledged; 0 where the system does not say so."""
        try:
            (left,) = struct.unpack("i", fcntl.ioctl(self, termios.TIOCOUTQ, b"\0" * 4))
        except OSError:
            return 0
        return int(left)
