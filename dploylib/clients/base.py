"""Clients that ask, and clients that listen. Must not know what is asked.

Both are classes to derive from: `obj` deserializes what comes, `options` and `curve` set their socket up.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from dploylib import problems
from dploylib.errors import DploylibError, ReceiveTimeout, RequestFailed, SendTimeout
from dploylib.transport import ReceivedData
from dploylib.transport.curve import Curve

#: called with the socket, what was received, and a function that ends the listening
ListeningHandler = Callable[[Any, Any, Callable[[], None]], object]


class StopListening(DploylibError):
    """Ends `listen`; a handler may raise it."""


def stop_listening() -> None:
    """End `listen`. Raises StopListening."""
    raise StopListening("the handler stops the listening")


class BaseClient:
    """What every client has: an address, a context, and sockets that it closes."""

    socket_type: str
    #: makes `received.obj`
    obj: Any = None
    #: pairs of an option's name and its value, set before the socket connects
    options: Any = ()
    #: keys of an encrypted connection
    curve: Curve | None = None
    #: milliseconds that receiving takes at most, and sending a request; None: for ever
    timeout: int | None = None

    def close(self) -> None:
        """Close the sockets; what is not sent yet is dropped."""
        raise NotImplementedError

    def _socket(self, context: Any, socket_type: str) -> Any:
        socket = context.socket(socket_type)
        options = [*self.options, *(self.curve.options(context, "") if self.curve is not None else ())]
        for name, value in options:
            socket.set_option(name, value)
        return socket

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class BaseRequestClient(BaseClient):
    """Asks, and returns the answer: REQ, or DEALER with the delimiter that a REP and a ROUTER need. One request at a time."""

    socket_type = "req"

    def __init__(self, request_uri: str, context: Any) -> None:
        self._request_uri = request_uri
        self._context = context
        self._request_socket: Any = None

    def connect(self) -> None:
        """Connect, before the first request; whether a service is there shows in the first answer."""
        self._connect_request()

    def _connect_request(self) -> None:
        socket = self._socket(self._context, self.socket_type)
        if self.socket_type.lower() == "dealer":
            socket.delimiter = True
        socket.connect(self._request_uri)
        self._request_socket = socket

    def request(self, obj: Any, **options: Any) -> ReceivedData:
        """The answer to an object with `serialize()`; options are those of Socket.send_obj: `id`.

        Raises ReceiveTimeout if no answer came within `timeout` milliseconds, SendTimeout if no peer took the request (a service
        that refused the client's key: zmq does not try that connection again), and RequestFailed if the service answers an error.
        After a timeout the client has a new socket: a late answer to the old request cannot be taken for that to the next one.
        """
        try:
            self._bound_sending()
            self._request_socket.send_obj(obj, **options)
            envelope = self._receive()
        except (ReceiveTimeout, SendTimeout):
            self._close_request()
            self._connect_request()
            raise
        if (problem := problems.read(envelope.mimetype, envelope.data)) is not None:
            raise RequestFailed(problem)
        return ReceivedData(envelope, self.obj)

    def close(self) -> None:
        """See BaseClient. `connect` opens it again."""
        self._close_request()

    def _close_request(self) -> None:
        if self._request_socket is not None:
            self._request_socket.close(0)
            self._request_socket = None

    def _bound_sending(self) -> None:
        if self.timeout is not None and all(name.lower() != "sndtimeo" for name, _ in self.options):
            self._request_socket.set_option("sndtimeo", self.timeout)

    def _receive(self) -> Any:
        if self.timeout is None:
            return self._request_socket.receive_envelope()
        return self._request_socket.receive_envelope(timeout=self.timeout)


class BaseListeningClient(BaseClient):
    """Listens to what is published under an id, and under all ids that begin with it, as SUB sockets do."""

    socket_type = "sub"

    def __init__(self, listening_uri: str, listening_id: str, context: Any) -> None:
        self._listening_uri = listening_uri
        self._listening_id = listening_id
        self._context = context
        self._listening_socket: Any = None

    def connect(self) -> None:
        """Subscribe and connect. A service does not know of the subscription at once: what it publishes before is missed."""
        socket = self._socket(self._context, self.socket_type)
        socket.set_option("subscribe", self._listening_id)
        socket.connect(self._listening_uri)
        self._listening_socket = socket

    def listen(self, handler: ListeningHandler) -> None:
        """Call the handler with each message, as `handler(socket, received, stop)`, until it calls `stop`.

        Raises what the handler raises, ReceiveTimeout if nothing comes within `timeout` milliseconds, and MalformedEnvelope.
        """
        try:
            while True:
                envelope = self._receive()
                handler(self._listening_socket, ReceivedData(envelope, self.obj), stop_listening)
        except StopListening:
            return

    def close(self) -> None:
        """See BaseClient."""
        if self._listening_socket is not None:
            self._listening_socket.close(0)
            self._listening_socket = None

    def _receive(self) -> Any:
        if self.timeout is None:
            return self._listening_socket.receive_envelope()
        return self._listening_socket.receive_envelope(timeout=self.timeout)
