"""A connection to a MongoDB server that loses answers. Must not know who asks, nor what is stored."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

#: bytes read at once
_CHUNK = 1 << 20


class LossyWire:
    """Clients connect to `url`. Once told to, it lets one request reach the server and breaks before the answer arrives."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        user = parts.netloc.rpartition("@")[0]
        host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))
        self._doomed = b""
        #: answers that were lost
        self.lost = 0
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="lossy-wire")]
        self._threads[0].start()

    def lose_answer_to(self, word: bytes, times: int = 1) -> None:
        """Of the next `times` requests that hold this word; it is forgotten after them."""
        self._doomed, self._times = word, times

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._carry, args=(client,), name="lossy-wire"))
            self._threads[-1].start()

    def _carry(self, client: socket.socket) -> None:
        """One request after the other, as the protocol has it; `exhaust` answers are not asked for here."""
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(client)
            server = stack.enter_context(socket.create_connection(self._server))
            self._ends += [client, server]
            while request := _message(client):
                server.sendall(request)
                answer = _message(server)
                if self._doomed and self._doomed in request:
                    self._times -= 1
                    self.lost += 1
                    if not self._times:
                        self._doomed = b""
                    return
                client.sendall(answer)


def _message(source: socket.socket) -> bytes:
    """A whole message: its first four bytes are its length; empty where the other end has gone."""
    whole = b""
    size = 4
    while len(whole) < size:
        chunk = source.recv(min(_CHUNK, size - len(whole)))
        if not chunk:
            return b""
        whole += chunk
        if len(whole) == 4:
            size = int.from_bytes(whole, "little")
    return whole
