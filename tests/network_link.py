"""A cable between a client and a server on TCP, to be cut, pulled and plugged in again. Must not know what travels.

What was sent just before a cut may have arrived or not, and neither end knows: that is what it is for.
"""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit, urlunsplit

from tests.sockets import close_listener, cut

#: bytes read at once
_CHUNK = 1 << 16


class NetworkLink:
    """Clients connect to `url`; what they say goes on to the server of the URL that it was made with."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "localhost", parts.port or 5672)
        self._listener = socket.create_server(("127.0.0.1", 0))
        host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        user = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._plugged = True
        #: connections that there have been
        self.connections = 0
        self._start(self._accept)

    def cut(self) -> None:
        """Break every connection there is; new ones are possible at once."""
        with self._lock:
            ends, self._ends = self._ends, []
        cut(ends)

    def pull(self) -> None:
        """Break every connection, and refuse new ones until it is plugged in again."""
        self._plugged = False
        self.cut()

    def plug(self) -> None:
        """Let them connect again."""
        self._plugged = True

    def close(self) -> None:
        """Break everything, and be gone."""
        self._plugged = False
        close_listener(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()

    def _start(self, target: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, name="cable", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._plugged:
                client.close()
                continue
            self._start(self._carry, client)

    def _carries(self, client: socket.socket, server: socket.socket) -> None:
        """These are the ends of a connection now."""
        with self._lock:
            self._ends += [client, server]
            self.connections += 1
        if not self._plugged:
            self.cut()

    def _carry(self, client: socket.socket) -> None:
        with ExitStack() as stack:
            stack.enter_context(client)
            try:
                server = stack.enter_context(socket.create_connection(self._server))
            except OSError:
                return
            self._carries(client, server)
            back = threading.Thread(target=_pump, args=(server, client), name="cable", daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry on what comes, until either end is gone; then both are."""
    try:
        while data := source.recv(_CHUNK):
            target.sendall(data)
    except OSError:
        pass
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
