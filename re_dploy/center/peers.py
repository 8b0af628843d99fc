"""Who is asking, over ZeroMQ: the key of the connection stands for a user, or for a zone. Must not know what is asked.

CURVE says with every message which key sent it (the property User-Id of its frames, set by dploylib's authenticator).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import zmq

from dploylib.errors import MalformedEnvelope
from dploylib.servers import answers
from dploylib.servers.server import SocketDescription
from dploylib.throttle import Throttle
from dploylib.transport import Envelope, ReceivedData
from re_core.usecases.authorization import Principal

#: called with the server, the socket, what was received, and the key of its sender: empty without CURVE
PeerHandler = Callable[[Any, Any, ReceivedData, str], object]


#: messages of one connection that wait unread; what comes then waits with its sender
MOST_UNREAD = 10


class Client(NamedTuple):
    """What a key stands for."""

    principal: Principal | None = None
    #: name of the zone whose key it is; empty: it is none
    zone: str = ""
    #: it sends without a key from this machine, where the settings trust that
    is_local: bool = False


class Peers:
    """By key."""

    def __init__(self, clients: Mapping[str, Principal], zones: Mapping[str, str], plain: Principal | None) -> None:
        """`zones`: key -> name. `plain`: who asks over a connection without CURVE; None: there are none."""
        self._known = {key: Client(principal) for key, principal in clients.items()}
        self._known |= {key: Client(zone=name) for key, name in zones.items()}
        self._plain = Client(plain, is_local=plain is not None)

    @property
    def keys(self) -> list[str]:
        """Those that may connect."""
        return sorted(self._known)

    def of(self, key: str) -> Client:
        """Who sends under this key; one without a principal and without a zone may nothing.

        Without CURVE a peer says itself which key it has, so there all are one.
        """
        return self._plain if self._plain.is_local else self._known.get(key, Client()) if key else Client()

    def key(self, said: str) -> str:
        """The key of a connection, of which `said` was said; empty where anyone could say it."""
        return "" if self._plain.is_local else said


def peer_of(frame: zmq.Frame) -> str:
    """The key under which a frame came; empty without CURVE."""
    try:
        return str(frame.get("User-Id"))
    except (zmq.ZMQError, ValueError, KeyError):
        return ""


class PeerSocket(SocketDescription):
    """A bound socket whose handler gets the key of the sender too. What it raises is answered as dploylib does."""

    def __init__(self, name: str, socket_type: str, handle: PeerHandler, longest: int) -> None:
        super().__init__(name, socket_type, "bind", default_options=[("maxmsgsize", longest), ("rcvhwm", MOST_UNREAD)])
        self._handle = handle

    def handler(self, server: Any) -> Callable[[Any], object]:
        """See SocketDescription."""
        complaints = Throttle(server.logger)

        def received(socket: Any) -> None:
            try:
                frames = socket.zmq_socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            raw = [frame.bytes for frame in frames]
            try:
                envelope = Envelope.from_raw(raw)
                if socket.zmq_socket.type == zmq.ROUTER and not envelope.request_frames:
                    raise MalformedEnvelope("a ROUTER needs a delimiter, id, mimetype and body", raw)
            except MalformedEnvelope as error:
                answers.malformed(socket, error, complaints)
                return
            socket.await_answer(envelope.request_frames)
            try:
                self._handle(server, socket, ReceivedData(envelope), peer_of(frames[-1]))
            except zmq.ContextTerminated:
                raise
            except Exception as error:
                answers.failed(socket, envelope, error, complaints)

        return received
