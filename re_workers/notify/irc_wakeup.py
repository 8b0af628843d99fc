"""Wakes the one thread that waits for the IRC server, from any other thread. Must not know IRC."""

from __future__ import annotations

import contextlib
import select
import socket


class Stopped(ConnectionAbortedError):
    """The handler was closed."""


class Wakeup:
    """A pair of sockets: `ring` writes to one, the waiting thread selects on the other, and on its connection."""

    def __init__(self) -> None:
        self._ear, self._button = socket.socketpair()
        self._ear.setblocking(False)
        self._button.setblocking(False)
        self._stopped = False

    def ring(self) -> None:
        """End the wait that is under way, or the next one. Any thread."""
        with contextlib.suppress(BlockingIOError):  # full: it rings already
            self._button.send(b"!")

    def stop(self) -> None:
        """End every wait from now on, with Stopped. Any thread."""
        self._stopped = True
        self.ring()

    def wait(self, source: socket.socket | None, seconds: float) -> bool:
        """Wait for the source to be readable (True), for a ring or for the time to pass; raises Stopped."""
        sources = [self._ear, *([source] if source else [])]
        ready, _, _ = select.select(sources, (), (), max(0.0, seconds))
        if self._ear in ready:
            self._ear.recv(4096)
        if self._stopped:
            raise Stopped("the IRC handler is closed")
        return source in ready

    def close(self) -> None:
        """Close the sockets, once no thread waits or rings any more."""
        self._ear.close()
        self._button.close()
