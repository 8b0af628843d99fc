"""The front door over ZeroMQ: requests, broadcasts in and out, their history, cargo for zones. Must not know what is behind it.

One thread owns all sockets. What asks the bus or the store runs in a few others, and what they answer goes back through a queue, so
that one slow request does not stop the loop.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq

from dploylib import problems
from dploylib.servers import Server
from dploylib.servers.server import SocketDescription, default_options
from dploylib.transport import Envelope, ReceivedData
from dploylib.transport.envelope import JSON_MIMETYPE
from re_core.errors import CallerError, ReleaseEngineError
from re_core.wire import strict_json
from re_dploy import wire
from re_dploy.center.door import Door
from re_dploy.center.gates import Gate
from re_dploy.center.peers import Client, Peers, PeerSocket, peer_of
from re_dploy.center.topics import LONGEST_ID, SHORTEST_ID, Topics

#: threads that answer requests and history, give cargo, and take lines: a flood of one kind leaves the others theirs
THREADS = {"request": 4, "fetch": 3, "in": 1}
#: messages that wait to be sent; more are dropped, and clients find them in the history
MOST_UNSENT = 20_000
#: bytes of a message that comes
LONGEST = 1024 * 1024
#: bytes of a frame that comes to the publisher: a subscription, or a command of the handshake, which counts too
LONGEST_FRAME = 4 * 1024

_SUBSCRIBE, _UNSUBSCRIBE = b"\1", b"\0"

_log = logging.getLogger(__name__)


class Office:
    """What the servers work with, and the way from other threads to their sockets. Thread-safe."""

    def __init__(self, door: Door, peers: Peers, groups_of: Callable[[str], set[str]]) -> None:
        """`groups_of`: of the broadcasts whose ids begin so; none where no version has them yet. It raises StoreUnavailable."""
        self.door, self.peers, self.groups_of = door, peers, groups_of
        self.topics = Topics(time.monotonic, door.may_hear)
        self._gates = {kind: Gate(kind, threads) for kind, threads in THREADS.items()}
        #: (name of the socket, envelope)
        self._outbox: queue.Queue[tuple[str, Envelope]] = queue.Queue(MOST_UNSENT)
        self._wake: Callable[[], None] = lambda: None
        #: socket -> where it listens, and the context of its sockets, once they stand
        self.addresses: dict[str, str] = {}
        self.context: Any = None
        #: what was dropped, by reason
        self.dropped: Counter[str] = Counter()

    def on_send(self, wake: Callable[[], None]) -> None:
        """`wake` is called by any thread after something was put into the outbox."""
        self._wake = wake

    def send(self, socket: str, envelope: Envelope) -> None:
        """Send it by that socket, soon."""
        try:
            self._outbox.put_nowait((socket, envelope))
        except queue.Full:
            self.dropped["unsent"] += 1
            return
        self._wake()

    def unsent(self) -> tuple[str, Envelope] | None:
        """The next; None where there is none."""
        try:
            return self._outbox.get_nowait()
        except queue.Empty:
            return None

    def publish(self, broadcast_id: str, body: bytes, keys: set[str] | None = None) -> None:
        """To all that listen to it; to none where one of them may not hear it. `keys`: those that may, where it has no version."""
        if not self.topics.may_publish(broadcast_id, self.groups_of(broadcast_id) if keys is None else set(), keys):
            self.dropped["a stranger listens"] += 1
            return
        self.send("out", Envelope.new(JSON_MIMETYPE, body, id=broadcast_id))

    def answer(self, socket: str, peer: str, envelope: Envelope, make: Callable[[], tuple[str, bytes]]) -> None:
        """Answer what `make` gives, mimetype and body, or why it gives nothing. `peer`: the key that asks."""

        def work() -> None:
            mimetype, body = made(make)
            self.send(socket, envelope.response_envelope(mimetype, body))

        if not self._gates["fetch" if socket == "fetch" else "request"].take(peer, work):
            self.send(socket, envelope.response_envelope(*_problem("try-again", "too many requests wait")))

    def run(self, peer: str, work: Callable[[], object]) -> None:
        """In one of the threads; dropped where too many wait."""

        def guarded() -> None:
            try:
                work()
            except ReleaseEngineError as error:
                self.dropped[error.reason] += 1
                _log.debug("dropped a broadcast: %s", error, extra={"action": "broadcast_dropped"})

        if not self._gates["in"].take(peer, guarded):
            self.dropped["too many wait"] += 1

    def close(self) -> None:
        """Take no more work."""
        for one in self._gates.values():
            one.close()


def made(make: Callable[[], tuple[str, bytes]]) -> tuple[str, bytes]:
    """Mimetype and body of an answer, or of the problem that it is."""
    try:
        return make()
    except ReleaseEngineError as error:
        return _problem(error.reason, str(error))
    except Exception:
        _log.exception("a request to the center failed", extra={"action": "door_error"})
        return _problem("internal-error", "the center failed; its log says why")


def _problem(code: str, detail: str) -> tuple[str, bytes]:
    return problems.PROBLEM_MIMETYPE, problems.body(code, detail).encode()


def _body(received: ReceivedData) -> bytes:
    data = received.envelope.data
    return data if isinstance(data, bytes) else data.encode()


def _office(server: Any) -> Office:
    office: Office = server.office
    return office


# -- the sockets -----------------------------------------------------------------------------------


def _on_request(server: Any, socket: Any, received: ReceivedData, peer: str) -> None:
    office = _office(server)
    peer = office.peers.key(peer)
    client, body = office.peers.of(peer), _body(received)
    office.answer("request", peer, received.envelope, lambda: asked(office, peer, client, body))


def asked(office: Office, peer: str, client: Client, body: bytes) -> tuple[str, bytes]:
    """The answer to a BuildRequest. Raises ReleaseEngineError; one that nothing can come of is said to who listens too."""
    try:
        found = office.door.build(client, body)
    except ReleaseEngineError as error:
        _say_refused(office, peer, client, body, error)
        raise
    return JSON_MIMETYPE, strict_json.dumps(found.document()).encode()


def _say_refused(office: Office, peer: str, client: Client, body: bytes, error: ReleaseEngineError) -> None:
    """Who listens already hears the end too, where it is one: what was not answered may be carried out yet.

    No request can have the id then; the journal alone ends the broadcast of one that had it.
    """
    if client.principal is None or not isinstance(error, CallerError):
        return
    try:
        document = strict_json.loads(body)
    except ReleaseEngineError:
        return
    id = document.get("broadcast_id") if isinstance(document, dict) else None
    if not isinstance(id, str) or not SHORTEST_ID <= len(id) <= LONGEST_ID:
        return
    try:
        is_free = office.door.refuse(id)
    except ReleaseEngineError:
        return  # whose it is cannot be known now
    if is_free:
        text = f"{error.reason}: {error}"[: problems.LONGEST]
        office.publish(
            id, strict_json.dumps({"type": "status", "body": {"type": "error", "data": text}}).encode(), {peer}
        )


def _on_history(server: Any, socket: Any, received: ReceivedData, peer: str) -> None:
    office = _office(server)
    peer = office.peers.key(peer)
    client, body = office.peers.of(peer), _body(received)
    office.answer(
        "history",
        peer,
        received.envelope,
        lambda: (JSON_MIMETYPE, strict_json.dumps(office.door.history(client, body)).encode()),
    )


def _on_fetch(server: Any, socket: Any, received: ReceivedData, peer: str) -> None:
    office = _office(server)
    peer = office.peers.key(peer)
    client, body = office.peers.of(peer), _body(received)

    def make() -> tuple[str, bytes]:
        piece = office.door.cargo(client, body)
        return wire.cargo_mimetype(piece.size), piece.data

    office.answer("fetch", peer, received.envelope, make)


def _on_broadcast(server: Any, socket: Any, received: ReceivedData, peer: str) -> None:
    office = _office(server)
    peer = office.peers.key(peer)
    client, id, body = office.peers.of(peer), received.envelope.id, _body(received)
    # before anything of it is kept: what one key sends too much of costs the others nothing
    if not office.door.admits(peer, len(body)):
        office.dropped["too fast"] += 1
        return
    office.run(peer, lambda: office.door.take(client, id, body))


class _Out(SocketDescription):
    """The XPUB: it grants a subscription to a whole id, and to a known one only to those that may read its output."""

    def __init__(self) -> None:
        options = [*default_options(), ("maxmsgsize", LONGEST_FRAME), ("xpub_manual", 1)]
        super().__init__("out", "xpub", "bind", default_options=options)

    def handler(self, server: Any) -> Callable[[Any], object]:
        """See SocketDescription."""

        def received(socket: Any) -> None:
            try:
                frames = socket.zmq_socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if len(frames) == 1:
                _on_subscription(_office(server), socket, frames[0].bytes, peer_of(frames[0]))

        return received


def _on_subscription(office: Office, socket: Any, frame: bytes, peer: str) -> None:
    kind, topic = frame[:1], frame[1:]
    if kind == _UNSUBSCRIBE:
        socket.zmq_socket.setsockopt(zmq.UNSUBSCRIBE, topic)
        return
    if kind != _SUBSCRIBE or not SHORTEST_ID <= len(topic) <= LONGEST_ID:
        office.dropped["subscription"] += 1
        return
    id = topic.decode("utf-8", "surrogateescape")
    peer = office.peers.key(peer)
    client = office.peers.of(peer)
    if not _may_subscribe(office, client, peer, id):
        office.dropped["subscription"] += 1
        return
    socket.zmq_socket.setsockopt(zmq.SUBSCRIBE, topic)
    # it counts from now on: a client that hears this may ask for what it wants to hear of
    hello = {"type": "status", "body": {"type": "info", "data": "ready"}}
    socket.send_envelope(Envelope.new(JSON_MIMETYPE, strict_json.dumps(hello).encode(), id=id))


def _may_subscribe(office: Office, client: Client, peer: str, id: str) -> bool:
    """Asked once for each subscription, in the loop: it cannot be granted later, nor taken back."""
    if client.principal is None or not office.door.admits(peer, 0):
        return False
    try:
        groups = office.groups_of(id)
    except ReleaseEngineError:
        return False  # whose it is cannot be known now
    if not groups:
        return office.topics.grant(id, peer, client)
    return all(office.door.may_hear(client, group) for group in groups)


#: those that clients and zones connect to
SOCKETS = ("request", "in", "out", "history", "fetch")

#: address over which other threads wake the loop
WAKE = "inproc://dploy.center.wake"


def front_of(office: Office) -> type[Server]:
    """The class of the server `center`, for this office."""

    class Front(Server):
        """See the module."""

        request = PeerSocket("request", "router", _on_request, LONGEST)
        broadcast = PeerSocket("in", "pull", _on_broadcast, LONGEST)
        out = _Out()
        history = PeerSocket("history", "router", _on_history, LONGEST)
        fetch = PeerSocket("fetch", "router", _on_fetch, LONGEST)

        def setup(self) -> None:
            """See Server."""
            self.office = office
            office.context = self._context
            office.addresses = {name: self.sockets[name].last_endpoint for name in SOCKETS}
            wake = self._context.socket("pull")
            wake.bind(WAKE)
            self.add_socket("wake", wake, self._flush)
            self._flush_all()

        def _flush(self, socket: Any) -> None:
            while socket.poll(0):
                socket.zmq_socket.recv(zmq.NOBLOCK)
            self._flush_all()

        def _flush_all(self) -> None:
            while (unsent := office.unsent()) is not None:
                name, envelope = unsent
                try:
                    getattr(self.sockets, name).send_envelope(envelope)
                except (zmq.ZMQError, TimeoutError) as error:
                    office.dropped["unsendable"] += 1
                    self.logger.debug("could not send by %s: %s", name, error)

    return Front


class Waker:
    """Wakes the loop from any thread."""

    def __init__(self, context: Any) -> None:
        self._lock = threading.Lock()
        self._socket = context.socket("push")
        self._socket.set_option("sndhwm", 1)
        self._socket.connect(WAKE)

    def __call__(self) -> None:
        """One that is on its way already is enough."""
        with self._lock:
            try:
                self._socket.zmq_socket.send(b"", zmq.NOBLOCK)
            except zmq.ZMQError:
                return

    def close(self) -> None:
        """Calls after it do nothing."""
        with self._lock:
            self._socket.close(0)
