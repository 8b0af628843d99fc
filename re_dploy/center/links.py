"""The ways to zones over ZeroMQ. Must not know what is said over them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import zmq

from dploylib import problems
from dploylib.errors import DploylibError, ReceiveTimeout
from dploylib.transport import Context, Envelope, Socket
from dploylib.transport.curve import Curve
from dploylib.transport.envelope import JSON_MIMETYPE
from re_dploy.center.calls import ZoneAway
from re_dploy.wire import BadWire

#: sockets of a zone
SOCKETS = ("deploy", "stop", "control", "status")
#: bytes of the longest answer
LONGEST = 1024 * 1024
#: connections of one socket of a zone that are kept for the next call
MOST_IDLE = 8

#: seconds between two looks whether the link was closed meanwhile
SLICE = 0.2

#: milliseconds after which a send gives up, where the zone never was there
_SEND = 1_000


class ZmqLink:
    """One zone's sockets. A call has a connection of its own, which is kept where the answer came, and closed where it did not:
    a late answer can never be taken for that to the next question."""

    def __init__(self, name: str, context: Context, address: Callable[[str], str], curve: Curve | None) -> None:
        """`address` gives the URI of a socket now; `curve` the center's keys and the zone's, None: unencrypted."""
        self._name, self._context, self._address, self._curve = name, context, address, curve
        self._lock = threading.Lock()
        #: (socket, URI) -> connections that wait for the next call
        self._idle: dict[tuple[str, str], list[Socket]] = {}
        self._closed = False

    def ask(self, socket: str, body: bytes, timeout: float) -> bytes:
        """See calls.ZoneLink."""
        uri = self._address(socket)
        if not uri:
            raise ZoneAway(f"{self._name} has no address yet")
        connection = self._take(socket, uri)
        try:
            connection.send_envelope(Envelope.new(JSON_MIMETYPE, body))
            answer = self._received(connection, timeout)
        except ReceiveTimeout:
            connection.close(0)
            raise ZoneAway(f"{self._name} has not answered within {timeout:g} s at {uri}") from None
        except (DploylibError, zmq.ZMQError) as error:
            connection.close(0)
            raise ZoneAway(f"{self._name} at {uri}: {error}") from None
        self._keep(socket, uri, connection)
        data = answer.data if isinstance(answer.data, bytes) else answer.data.encode()
        if (problem := problems.read(answer.mimetype, data)) is not None:
            raise BadWire(problem)
        return data

    def _received(self, connection: Socket, timeout: float) -> Envelope:
        """The next envelope; what waits hears soon that the link is closed. Raises ReceiveTimeout, DploylibError."""
        until = time.monotonic() + timeout
        while not connection.poll(int(min(SLICE, timeout) * 1000)):
            if self._closed or time.monotonic() >= until:
                raise ReceiveTimeout("nothing came")
        return connection.receive_envelope(timeout=0)

    def close(self) -> None:
        """Close all connections; none is kept from now on."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for one in connections:
                one.close(0)

    def _take(self, socket: str, uri: str) -> Socket:
        with self._lock:
            if self._closed:
                raise ZoneAway("the center is stopping")
            waiting = self._idle.get((socket, uri))
            if waiting:
                return waiting.pop()
        options: list[tuple[str, str | bytes | int]] = [("maxmsgsize", LONGEST), ("sndtimeo", _SEND), ("linger", 0)]
        if self._curve is not None:
            options += self._curve.options(self._context, "")
        try:
            return Socket.connect_new("req", uri, options, self._context)
        except (zmq.ZMQError, ValueError) as error:
            raise ZoneAway(f"{self._name} at {uri}: {error}") from None

    def _keep(self, socket: str, uri: str, connection: Socket) -> None:
        with self._lock:
            stale = [key for key in self._idle if key[0] == socket and key[1] != uri]
            dropped = [one for key in stale for one in self._idle.pop(key)]
            waiting = self._idle.setdefault((socket, uri), [])
            if self._closed or len(waiting) >= MOST_IDLE:
                dropped.append(connection)
            else:
                waiting.append(connection)
        for one in dropped:
            one.close(0)


def fixed(addresses: Mapping[str, str]) -> Callable[[str], str]:
    """Addresses that do not change, by socket."""
    return lambda socket: addresses[socket]
