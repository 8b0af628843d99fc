"""zmq contexts and sockets that send and receive envelopes. Must not know servers and services.

As close to pyzmq as can be: types and options by the names of zmq, in any case, timeouts in milliseconds. A socket belongs to one
thread at a time, a context to all.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

import zmq

from dploylib import problems
from dploylib.errors import MalformedEnvelope, ReceiveTimeout, RequestFailed, SendTimeout
from dploylib.transport.authenticator import Authenticator
from dploylib.transport.envelope import JSON_MIMETYPE, TEXT_MIMETYPE, Envelope, Frame, encoded
from dploylib.transport.received import MalformedBody, ReceivedData

OptionValue = str | bytes | int
#: pairs of an option's name and its value
Options = Iterable[Sequence[Any]]

#: milliseconds that a closed socket gives what is not sent yet, unless its option `linger` was set: without a bound, a program that
#: asked a service that is away could not end
CLOSE_LINGER = 1000

#: as a number: the enumeration of zmq costs time with every message
_NOBLOCK = int(zmq.NOBLOCK)


def get_zmq_constant(name: str) -> Any:
    """The constant of zmq with this name, in any case. Raises AttributeError."""
    return getattr(zmq, name.upper())


def clean_option_value(value: Any) -> bytes | int:
    """An option's value as zmq takes it: text becomes UTF-8. Raises ValueError for anything but text, bytes and whole numbers."""
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bytes | int):
        return value
    raise ValueError(f"Option must be str, bytes or int, not {type(value).__name__}")


class Context:
    """A zmq context, and who may connect to its CURVE sockets. Every thread may use it."""

    def __init__(self, zmq_context: zmq.Context[Any]) -> None:
        self._zmq_context = zmq_context
        self._authenticator: Authenticator | None = None
        self._ending: threading.Thread | None = None
        self._lock = threading.Lock()

    @classmethod
    def new(cls) -> Context:
        """A context around a fresh one of zmq."""
        return cls(zmq.Context())

    @classmethod
    def from_raw_context(cls, zmq_context: zmq.Context[Any]) -> Context:
        """A context around one that the program has already."""
        return cls(zmq_context)

    @property
    def zmq_context(self) -> zmq.Context[Any]:
        """The context of zmq."""
        return self._zmq_context

    def socket(self, type_name: str) -> Socket:
        """A socket of a type such as `rep`. Raises AttributeError for a word that zmq does not have, ValueError for no socket's type."""
        constant = get_zmq_constant(type_name)
        if isinstance(constant, int) and not isinstance(constant, zmq.SocketType):
            raise ValueError(f"{type_name!r} is no type of socket")
        return Socket(self._zmq_context.socket(constant), self)

    def admit(self, domain: str, keys: Iterable[str] | None) -> None:
        """Let clients with these public keys connect to CURVE sockets of the domain, and no others; None: with any key.

        From the first call on, CURVE sockets whose domain was never named admit no client. Raises zmq.ZMQError if this context of
        zmq has an authenticator that is not ours.
        """
        with self._lock:
            if self._authenticator is None:
                self._authenticator = Authenticator(self._zmq_context)
            self._authenticator.admit(domain, keys)

    def term(self, timeout: int | None = None) -> bool:
        """End the context once its sockets are closed. False if some are still open after `timeout` milliseconds (None: wait).

        A context that could not end in time ends by itself when the last of its sockets is closed.
        """
        self._end_authenticator()
        with self._lock:
            if self._ending is None:
                self._ending = threading.Thread(target=self._zmq_context.term, name="dploylib-term", daemon=True)
                self._ending.start()
        self._ending.join(None if timeout is None else timeout / 1000)
        return not self._ending.is_alive()

    def _end_authenticator(self) -> None:
        with self._lock:
            authenticator, self._authenticator = self._authenticator, None
        if authenticator is not None:
            authenticator.close()

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close what sockets are left, then the context."""
        self._end_authenticator()
        self._zmq_context.destroy(linger=CLOSE_LINGER)


class Socket:
    """A zmq socket that sends and receives envelopes.

    `delimiter = True` puts the empty frame in front of every envelope without request frames: what a DEALER sends to a REP or a
    ROUTER needs it. All receiving takes `timeout` in milliseconds (None: the socket's `rcvtimeo`, which is for ever unless
    set) and raises ReceiveTimeout. All sending raises SendTimeout after the socket's `sndtimeo`.
    """

    def __init__(self, zmq_socket: zmq.Socket[bytes], zmq_context: Any) -> None:
        self._zmq_socket = zmq_socket
        self._zmq_context = zmq_context
        self._owned: Any = None
        self._is_router = getattr(zmq_socket, "type", None) == zmq.ROUTER
        self._awaited: list[Frame] | None = None
        self._inproc: list[str] = []
        self._linger: int | None = CLOSE_LINGER
        self.delimiter = False

    @classmethod
    def new(cls, socket_type: str, context: Context | None = None) -> Socket:
        """A socket that is neither bound nor connected. Without a context it has one of its own, which ends when it is closed."""
        used = Context.new() if context is None else context
        socket = used.socket(socket_type)
        if context is None:
            socket._owned = used
        return socket

    @classmethod
    def bind_new(
        cls, socket_type: str, uri: str, options: Options | None = None, context: Context | None = None
    ) -> Socket:
        """A bound socket; the options are set before it is bound. Raises zmq.ZMQError, ValueError."""
        return cls._set_up(socket_type, options, context, lambda socket: socket.bind(uri))

    @classmethod
    def connect_new(
        cls, socket_type: str, uri: str, options: Options | None = None, context: Context | None = None
    ) -> Socket:
        """A connected socket; the options are set before it connects. Raises zmq.ZMQError, ValueError."""
        return cls._set_up(socket_type, options, context, lambda socket: socket.connect(uri))

    @classmethod
    def _set_up(
        cls, socket_type: str, options: Options | None, context: Context | None, attach: Callable[[Socket], None]
    ) -> Socket:
        socket = cls.new(socket_type, context=context)
        try:
            for name, value in options or ():
                socket.set_option(name, value)
            attach(socket)
        except BaseException:
            socket.close(0)
            raise
        return socket

    @property
    def zmq_socket(self) -> zmq.Socket[bytes]:
        """The socket of zmq."""
        return self._zmq_socket

    @property
    def zmq_context(self) -> Any:
        """The context that it was made with."""
        return self._zmq_context

    @property
    def last_endpoint(self) -> str:
        """Where it was bound last, with the port that `tcp://127.0.0.1:*` got."""
        return self._zmq_socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()  # type: ignore[union-attr]

    def set_option(self, option_name: str, value: OptionValue) -> None:
        """Set an option by its name in zmq. Raises AttributeError for an unknown one, ValueError or zmq.ZMQError for its value.

        `hwm` sets both high-water marks, as it did before zmq had two.
        """
        cleaned = clean_option_value(value)
        if option_name.lower() == "hwm":
            self._zmq_socket.set_hwm(int(cleaned))
        else:
            self._zmq_socket.setsockopt(get_zmq_constant(option_name), cleaned)
        if option_name.lower() == "linger":
            self._linger = None

    def bind(self, uri: str) -> None:
        """Listen at a URI. Raises zmq.ZMQError."""
        self._zmq_socket.bind(uri)
        if uri.startswith("inproc:"):
            self._inproc.append(uri)

    def connect(self, uri: str) -> None:
        """Connect to a URI, now and whenever the connection is lost. Raises zmq.ZMQError."""
        self._zmq_socket.connect(uri)

    def bind_to_random(
        self, uri: str, min_port: int | None = None, max_port: int | None = None, max_tries: int | None = None
    ) -> int:
        """Listen at a free port of `tcp://<address>`; which one it is."""
        given = {"min_port": min_port, "max_port": max_port, "max_tries": max_tries}
        port: int = self._zmq_socket.bind_to_random_port(uri, **{name: value for name, value in given.items() if value})
        return port

    def poll(self, timeout: int | None = None) -> bool:
        """Whether there is input within `timeout` milliseconds (None: wait)."""
        return bool(self._zmq_socket.poll(timeout, zmq.POLLIN))

    def close(self, linger: int | None = None) -> None:
        """Close it, and its own context if it has one.

        `linger`: milliseconds for what is not sent yet (None: as the option says, or a second if it was not set).
        """
        while self._inproc and not self._zmq_socket.closed:
            # closing alone frees the address some time later
            self._zmq_socket.unbind(self._inproc.pop())
        self._zmq_socket.close(linger=self._linger if linger is None else linger)
        owned, self._owned = self._owned, None
        if owned is not None:
            owned.term()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def send_envelope(self, envelope: Envelope | ReceivedData) -> None:
        """Send an envelope, or the one that a handler received."""
        sent = envelope.envelope if isinstance(envelope, ReceivedData) else envelope
        frames: Any = sent.transfer_object()
        if isinstance(frames, list | tuple):
            frames = [frame if type(frame) is bytes else encoded(frame) for frame in frames]
            if self.delimiter and not sent.delimiter:
                frames.insert(0, b"")
        try:
            self._zmq_socket.send_multipart(frames)
        except zmq.Again as error:
            raise SendTimeout("no peer took the message in time") from error
        if self._awaited is not None and self._awaited == sent.request_frames:
            self._awaited = None

    def send_obj(self, obj: Any, id: str = "") -> None:
        """Send as JSON what the object's `serialize()` returns, or its `__serialize__()`. Raises AttributeError if it has neither."""
        serialize = getattr(obj, "serialize", None) or getattr(obj, "__serialize__", None)
        if serialize is None:
            raise AttributeError(f"{type(obj).__name__} has no method serialize: send_obj sends what that returns")
        self.send_envelope(Envelope.new(JSON_MIMETYPE, json.dumps(serialize()), id=id))

    def send_text(self, text: str, id: str = "") -> None:
        """Send plain text."""
        self.send_envelope(Envelope.new(TEXT_MIMETYPE, text, id=id))

    def receive_envelope(self, timeout: int | None = None) -> Envelope:
        """The next envelope. Raises MalformedEnvelope for a message that is none, and for one to a ROUTER without delimiter."""
        frames = self._receive(timeout)
        envelope = Envelope.from_raw(frames)
        if self._is_router and not envelope.request_frames:
            # the first frame of what a ROUTER receives is its peer's identity, so there was no room for all the others
            raise MalformedEnvelope("a ROUTER needs a delimiter, id, mimetype and body", frames)
        return envelope

    def receive_text(self, timeout: int | None = None) -> str:
        """The body of the next envelope, which has to be `text/plain`. Raises ValueError for another one, RequestFailed for an error."""
        envelope = self._next(timeout)
        if envelope.mimetype != TEXT_MIMETYPE:
            raise ValueError(
                f'Expected envelope with mimetype "{TEXT_MIMETYPE}" instead received "{envelope.mimetype}"'
            )
        return ReceivedData(envelope).text

    def receive_obj(self, handler: Callable[[Any], Any], timeout: int | None = None) -> Any:
        """What the handler, a callable, makes of the next envelope's JSON, whatever its mimetype. Raises MalformedBody, RequestFailed."""
        envelope = self._next(timeout)
        try:
            data = json.loads(envelope.data)
        except (ValueError, RecursionError) as error:
            raise MalformedBody(f"the body is not JSON: {error}") from error
        return handler(data)

    def await_answer(self, request_frames: list[Frame] | None) -> None:
        """From now on `answered` tells whether an envelope with these request frames was sent; None: no answer is awaited."""
        self._awaited = request_frames

    @property
    def answered(self) -> bool:
        """See await_answer."""
        return self._awaited is None

    def _next(self, timeout: int | None) -> Envelope:
        # programs put a receive_envelope of their own on a socket, one that takes no timeout
        envelope = self.receive_envelope() if timeout is None else self.receive_envelope(timeout=timeout)
        if (problem := problems.read(envelope.mimetype, envelope.data)) is not None:
            raise RequestFailed(problem)
        return envelope

    def _receive(self, timeout: int | None) -> list[bytes]:
        if timeout is None:
            try:
                return self._zmq_socket.recv_multipart()
            except zmq.Again as error:
                raise ReceiveTimeout("nothing came within the socket's rcvtimeo") from error
        end: float | None = None
        while True:
            try:
                return self._zmq_socket.recv_multipart(_NOBLOCK)
            except zmq.Again:
                # input may be a message that zmq drops, such as one to a REP without delimiter: look at the time again
                now = time.monotonic()
                end = now + timeout / 1000 if end is None else end
                if end <= now:
                    raise ReceiveTimeout(f"nothing came within {timeout} ms") from None
                self._zmq_socket.poll(max(1, int((end - now) * 1000)), zmq.POLLIN)
