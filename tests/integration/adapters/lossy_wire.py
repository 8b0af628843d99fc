"""A connection to a MongoDB server that loses answers. Must not know who asks, nor what is stored."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from tests.network_link import NetworkLink

#: bytes read at once
_CHUNK = 1 << 20


class LossyWire(NetworkLink):
    """Clients connect to `url`. Once told to, it lets one request reach the server and breaks before the answer arrives."""

    def __init__(self, url: str) -> None:
        self._doomed = b""
        #: answers that were lost
        self.lost = 0
        super().__init__(url)

    def lose_answer_to(self, word: bytes, times: int = 1) -> None:
        """Of the next `times` requests that hold this word; it is forgotten after them."""
        self._doomed, self._times = word, times

    def _carry(self, client: socket.socket) -> None:
        """One request after the other, as the protocol has it; `exhaust` answers are not asked for here."""
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(client)
            server = stack.enter_context(socket.create_connection(self._server))
            self._carries(client, server)
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
