"""A poller that calls a handler for each socket with input. Must not know what the handlers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from dploylib.transport.wrapper import Socket

#: called with the socket as it was registered
InputHandler = Callable[[Any], object]

#: as a number: the enumeration of zmq costs more than the comparison
_INPUT = int(zmq.POLLIN)


class PollLoop:
    """Sockets, raw zmq sockets and file descriptors, each with its handler. Of one thread."""

    def __init__(self, poller: zmq.Poller) -> None:
        self._poller = poller
        self._handlers: dict[Any, tuple[Any, InputHandler]] = {}

    @classmethod
    def new(cls) -> PollLoop:
        """A loop with a poller of its own."""
        return cls(zmq.Poller())

    def register(self, socket: Any, handler: InputHandler) -> None:
        """Call the handler whenever the socket has input; a second handler of a socket takes the place of the first."""
        key = _raw(socket)
        self._handlers[key] = (socket, handler)
        self._poller.register(key, zmq.POLLIN)

    def unregister(self, socket: Any) -> None:
        """Call no handler for the socket any more. Raises KeyError for one that was not registered."""
        key = _raw(socket)
        del self._handlers[key]
        self._poller.unregister(key)

    def poll(self, timeout: int | None = None) -> None:
        """One pass: wait for input, at most `timeout` milliseconds (None: for ever), and call the handler of each ready socket once.

        What a handler raises ends the pass.
        """
        for key, event in self._poller.poll(timeout=timeout):
            # a handler before may have unregistered it
            found = self._handlers.get(key)
            if found is not None and event & _INPUT:
                socket, handler = found
                handler(socket)


def _raw(socket: Any) -> Any:
    return socket.zmq_socket if isinstance(socket, Socket) else socket
