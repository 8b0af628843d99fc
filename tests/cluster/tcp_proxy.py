"""A TCP address that leads to a server, or to nobody while it is shut. Must not know what is said through it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.services.server import LOOPBACK, free_ports

#: bytes that go through at once
PIECE = 65536

#: seconds that its threads get to end
END = 10.0


class TcpProxy:
    """`port` on this machine. Shut at first: who connects is refused, as by a server that does not run."""

    def __init__(self, host: str, port: int) -> None:
        """Where it leads."""
        self._target = (host, port)
        [self.port] = free_ports(1)
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._lines: list[socket.socket] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """From now on it leads there."""
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._run(self._accept, self._listener)

    def shut(self) -> None:
        """Refuse whoever comes, and cut who is there."""
        if self._listener is not None:
            with suppress(OSError):  # it may have failed already
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            with suppress(OSError):  # the other side may have gone first
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(END)
        for line in lines:
            line.close()
        self._threads.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                guest, _ = listener.accept()
            except OSError:  # it was shut
                return
            try:
                host = socket.create_connection(self._target)
            except OSError:
                guest.close()
                continue
            with self._lock:
                self._lines += [guest, host]
            self._run(_pass_on, guest, host)
            self._run(_pass_on, host, guest)

    def _run(self, what: object, *words: object) -> None:
        thread = threading.Thread(target=what, args=words, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side was cut
        while data := source.recv(PIECE):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
