"""A relay between a client and a server that a test can cut, hold and refuse at any moment. Must not know what is said."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tests.sockets import close_listener, cut

#: octets that are passed on at a time
_CHUNK = 1 << 16

#: seconds for the server's side of a connection
_TIMEOUT = 5.0


class Relay:
    """Listens on a port of its own from `open` on. Every thread of it ends with `close`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """`tls` is what the client's side is wrapped in."""
        self._target = (host, port)
        self._tls = tls
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._flows = threading.Event()
        self._flows.set()
        self._closed = False
        #: connections that were passed on so far
        self.passed = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    def open(self) -> None:
        """From now on connections are passed on."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        self._start(lambda: self._accept(listener))

    def refuse(self) -> None:
        """Refuse whoever comes, and cut whoever is there."""
        if self._listener is not None:
            close_listener(self._listener)
            self._listener = None
        self.cut()

    def cut(self) -> int:
        """End all connections; how many there were."""
        with self._lock:
            ends, self._sockets = self._sockets, []
        cut(ends)
        return len(ends) // 2

    def hold(self) -> None:
        """Keep back what the server says."""
        self._flows.clear()

    def let_go(self) -> None:
        """Pass on what the server says, and what it said."""
        self._flows.set()

    def close(self) -> None:
        self._closed = True
        self.refuse()
        self.let_go()
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="relay")
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._start(partial(self._connect, client))

    def _connect(self, plain: socket.socket) -> None:
        client = plain
        try:
            client = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            server = socket.create_connection(self._target, _TIMEOUT)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            self._sockets += [client, server]
            self.passed += 1
        back = threading.Thread(target=self._pass_on, args=(server, client, True), name="relay back")
        back.start()
        self._pass_on(client, server, False)
        back.join()
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, sink: socket.socket, held: bool) -> None:
        with suppress(OSError):
            while octets := source.recv(_CHUNK):
                if held:
                    self._flows.wait()
                sink.sendall(octets)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
