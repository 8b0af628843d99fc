"""Servers: sockets with handlers, and the loop that runs them. Must not know services, threads and configuration files.

A class declares its sockets; calling the class describes a server, and `new` makes one, in the thread that will run it. All
of it stands in one module, since programs and tests look these names up here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import zmq

from dploylib.constants import COORDINATOR_SHUTDOWN
from dploylib.errors import DploylibError, MalformedEnvelope, ReceiveTimeout
from dploylib.servers import answers, socket_settings
from dploylib.servers.storage import SocketStorage
from dploylib.throttle import Throttle
from dploylib.transport import Context, PollLoop, ReceivedData, Socket

#: milliseconds that a server that stops gives its last messages
STOP_LINGER = 250
#: bytes of the longest frame that a declared socket takes, unless its options say another number
LONGEST_FRAME = 64 * 1024 * 1024

#: called with the server, the socket, and what was received
ReceivedHandler = Callable[[Any, Any, Any], object]

_CONTROL = "_server_control"


class ServerStopped(DploylibError):
    """Ends the loop of a server; a handler may raise it."""


class SocketHandlerWrapper:
    """Receives what a socket has, and passes it to a handler. What the handler raises does not end the server."""

    def __init__(self, server: Any, handler: ReceivedHandler, deserializer: Any = None) -> None:
        self._server = server
        self._handler = handler
        self._deserializer = deserializer
        self._complaints = Throttle(server.logger)

    def __call__(self, socket: Any) -> None:
        try:
            # input may be a message that zmq drops: a wait for the next one would stop the whole server
            envelope = socket.receive_envelope(timeout=0) if isinstance(socket, Socket) else socket.receive_envelope()
        except ReceiveTimeout:
            return
        except MalformedEnvelope as error:
            answers.malformed(socket, error, self._complaints)
            return
        received = ReceivedData(envelope, self._deserializer)
        socket.await_answer(envelope.request_frames)
        try:
            self._handler(self._server, socket, received)
        except (ServerStopped, zmq.ContextTerminated):
            raise
        except Exception as error:
            answers.failed(socket, envelope, error, self._complaints)


class SocketDescription:
    """A socket to be made: its name, its type, `bind` or `connect`, and its handler if it has one."""

    def __init__(
        self,
        name: str,
        socket_type: str,
        setup_type: str,
        input_handler: ReceivedHandler | None = None,
        deserializer: Any = None,
        default_options: Any = None,
    ) -> None:
        self.name = name
        self.socket_type = socket_type
        self.setup_type = setup_type
        self.default_options = default_options
        self._input_handler = input_handler
        self._deserializer = deserializer

    def create_socket(self, context: Any, uri: str, options: Any = None) -> Any:
        """The socket, its options set before it is bound or connected. Raises zmq.ZMQError, ValueError."""
        socket = context.socket(self.socket_type)
        try:
            for option, value in [*(self.default_options or ()), *(options or ())]:
                socket.set_option(option, value)
            getattr(socket, self.setup_type)(uri)
        except BaseException as error:
            socket.close(0)
            error.add_note(f"while the socket {self.name!r} was set up to {self.setup_type} {uri}")
            raise
        return socket

    def handler(self, server: Any) -> Callable[[Any], object] | None:
        """What the server calls with the socket if there is input; None if nothing handles it."""
        if self._input_handler is None:
            return None
        return SocketHandlerWrapper(server, self._input_handler, self._deserializer)


class Handler:
    """A handler that is a class: `request = EchoHandler.bind("request")`.

    There is one instance for each declaration: all servers of the class that declares it share what it keeps.
    """

    socket_type: str
    deserializer: Any = None

    @classmethod
    def bind(cls, name: str) -> SocketDescription:
        """A bound socket that this handles."""
        return cls._description(name, "bind")

    @classmethod
    def connect(cls, name: str) -> SocketDescription:
        """A connected socket that this handles."""
        return cls._description(name, "connect")

    @classmethod
    def _description(cls, name: str, setup_type: str) -> SocketDescription:
        handler = cls()
        return SocketDescription(name, cls.socket_type, setup_type, handler, handler.deserializer, default_options())

    def __call__(self, server: Any, socket: Any, received: Any) -> object:
        """Handle one message."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it handles a message")


class DployServer:
    """The sockets of a server at work, and their loop. It belongs to the thread that made it."""

    def __init__(self, name: str, settings: Any, control_uri: str, context: Any, poll_loop: Any = None) -> None:
        self.name = name
        self.settings = settings
        self.sockets = SocketStorage()
        self.logger = logging.getLogger(f"dploylib.server.{name}")
        self._control_uri = control_uri
        self._context = context
        self._owned: Context | None = None
        self._poll_loop = PollLoop.new() if poll_loop is None else poll_loop

    def add_socket(self, name: str, socket: Any, handler: Callable[[Any], object] | None = None) -> None:
        """Keep a socket, and call the handler with it whenever it has input; without a handler nothing polls it."""
        self.sockets.register(name, socket)
        if handler is not None:
            self._poll_loop.register(socket, handler)

    def add_socket_from_description(self, description: Any) -> None:
        """Make the described socket by the server's settings. Raises ConfigurationError, zmq.ZMQError."""
        place = f"{self.name}.{description.name}"
        info = socket_settings.read(place, self.settings.socket_info(description.name))
        options = info.options
        if info.curve is not None:
            options = [*(options or ()), *info.curve.options(self._context, place)]
        socket = description.create_socket(self._context, info.uri, options)
        if info.delimiter:
            socket.delimiter = True
        self.add_socket(description.name, socket, description.handler(self))

    def add_setup(self, setup: Callable[[DployServer], object]) -> None:
        """Call a function with the server, now."""
        setup(self)

    def connect_to_control(self) -> None:
        """Listen for the end of the service."""
        socket = self._context.socket("sub")
        self.add_socket(_CONTROL, socket, self._control_received)
        socket.set_option("subscribe", "")
        socket.connect(self._control_uri)

    def start(self) -> None:
        """Run until the service stops it, a handler raises ServerStopped or the context ends; then close the sockets."""
        try:
            while True:
                self._poll_loop.poll()
        except (ServerStopped, zmq.ContextTerminated):
            self.logger.debug("server %s stopped", self.name)
        finally:
            self.close()

    def close(self, linger: int = STOP_LINGER) -> None:
        """Close all sockets; `linger`: milliseconds for messages that are not sent yet."""
        self.sockets.close(linger)
        if self._owned is not None:
            self._owned.term()
            self._owned = None

    def _control_received(self, socket: Any) -> None:
        try:
            text = socket.receive_text()
        except ValueError as error:
            self.logger.warning("ignored what came on the control socket: %s", error)
            return
        if text == COORDINATOR_SHUTDOWN:
            raise ServerStopped(f"the service stops server {self.name!r}")


class ServerMeta(type):
    """Collects the sockets that a class and its bases declare, and makes a call of the class a description of a server."""

    socket_descriptions: list[tuple[str, Any]]

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> None:
        super().__init__(name, bases, body)
        found: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            for attribute, value in vars(base).items():
                if hasattr(value, "create_socket") and hasattr(value, "handler"):
                    found[attribute] = value
                else:
                    # a subclass that says `request = None` does without the socket
                    found.pop(attribute, None)
        cls.socket_descriptions = list(found.items())

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return ServerDescription(cls, *args, **kwargs)


class Server(DployServer, metaclass=ServerMeta):
    """The class to derive a server from. `EchoServer()` is a ServerDescription, `EchoServer.new(…)` the server itself."""

    @classmethod
    def new(cls, name: str, settings: Any, control_uri: str, context: Any = None) -> Any:
        """A server with its sockets; see `create`."""
        return ServerDescription(cls).new(name, settings, control_uri, context=context)

    @classmethod
    def create(cls, name: str, settings: Any, control_uri: str, context: Any = None) -> Any:
        """A server with its declared sockets, set up, connected to the control socket of its service.

        Without a context it has one of its own. Raises what its sockets or its `setup` raise; no socket stays open then.
        """
        used = Context.new() if context is None else context
        server = type.__call__(cls, name, settings, control_uri, used)
        if context is None:
            server._owned = used
        try:
            server.connect_to_control()
            server.setup_sockets()
            server.setup()
        except BaseException:
            server.close(0)
            raise
        return server

    def setup_sockets(self) -> None:
        """Make the sockets that the class declares."""
        for attribute, description in type(self).socket_descriptions:
            self.add_socket_from_description(description)
            self.sockets.alias(attribute, description.name)

    def setup(self) -> None:
        """What a subclass does before its server runs; all declared sockets are there."""


class ServerDescription:
    """A server to be made. Pairs that are appended to `socket_descriptions` add sockets, after `setup` ran."""

    def __init__(self, server_cls: Any) -> None:
        self._server_cls = server_cls
        self.socket_descriptions: list[tuple[str, Any]] = []

    def new(self, name: str, settings: Any, control_uri: str, context: Any = None) -> Any:
        """The server. Raises what `Server.create` raises."""
        server = self._server_cls.create(name, settings, control_uri, context=context)
        try:
            for attribute, description in self.socket_descriptions:
                server.add_socket_from_description(description)
                server.sockets.alias(attribute, description.name)
        except BaseException:
            server.close(0)
            raise
        return server


def default_options() -> list[tuple[str, int]]:
    """What every declared socket begins with."""
    return [("maxmsgsize", LONGEST_FRAME)]


def bind_in(name: str, socket_type: str, obj: Any = None) -> Callable[[ReceivedHandler], SocketDescription]:
    """A bound socket whose input the decorated method handles, as `method(self, socket, received)`.

    `obj` has a method `deserialize`, which makes `received.obj` out of JSON. The attribute is the description of the socket, not a
    method that others could call. Raises TypeError if name and type are swapped.
    """
    return _in(name, socket_type, "bind", obj)


def connect_in(name: str, socket_type: str, obj: Any = None) -> Callable[[ReceivedHandler], SocketDescription]:
    """A connected socket whose input the decorated method handles; as bind_in."""
    return _in(name, socket_type, "connect", obj)


def bind(name: str, socket_type: str) -> SocketDescription:
    """A bound socket without a handler, for output: `self.sockets.<name>`. Raises TypeError if name and type are swapped."""
    return _described(name, socket_type, "bind")


def connect(name: str, socket_type: str) -> SocketDescription:
    """A connected socket without a handler; as bind."""
    return _described(name, socket_type, "connect")


def _in(name: str, socket_type: str, setup_type: str, obj: Any) -> Callable[[ReceivedHandler], SocketDescription]:
    _check_order(name, socket_type)

    def described(handler: ReceivedHandler) -> SocketDescription:
        return SocketDescription(name, socket_type, setup_type, handler, obj, default_options())

    return described


def _described(name: str, socket_type: str, setup_type: str) -> SocketDescription:
    _check_order(name, socket_type)
    return SocketDescription(name, socket_type, setup_type, default_options=default_options())


def _check_order(name: str, socket_type: str) -> None:
    types = zmq.SocketType.__members__
    if name.upper() in types and socket_type.upper() not in types:
        raise TypeError(f"the name of a socket comes before its type: ({socket_type!r}, {name!r})")
