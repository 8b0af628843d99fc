"""Clients: lockstep, listening, and observing a job from its first message on."""

from __future__ import annotations

import threading
from socket import create_server
from typing import Any

import pytest
import zmq

from dploylib import servers
from dploylib.clients import base, special
from dploylib.clients.special import BroadcastMessage, ObservableServiceClient
from dploylib.errors import ReceiveTimeout, RequestFailed, SendTimeout
from dploylib.servers.greeting import GREETING_MIMETYPE
from dploylib.transport import Context, DataNotDeserializable, Socket
from tests.dploylib.conftest import SOON, Start
from tests.dploylib.servers import ENCRYPTED, RouterEcho, free_uri, one
from tests.dploylib.waiting import until


class Word:
    """A JSON string, both ways."""

    def __init__(self, word: str) -> None:
        self.word = word

    def serialize(self) -> str:
        return self.word

    @classmethod
    def deserialize(cls, data: str) -> Word:
        return cls(data)


class Asking(base.BaseRequestClient):
    """Gets words."""

    obj = Word
    timeout = SOON


class Dealing(Asking):
    """Over a DEALER."""

    socket_type = "dealer"


@pytest.mark.parametrize("client", [Asking, Dealing])
def test_a_client_gets_the_answer_to_its_request(start: Start, context: Context, client: type[Asking]) -> None:
    uri = free_uri()
    start({"server": RouterEcho}, one(uri))
    with client(uri, context) as asking:
        asking.connect()
        for word in ("a", "b"):
            answer = asking.request(Word(word), id=f"id {word}")
            assert (answer.obj.word, answer.envelope.id) == (word, f"id {word}")


def test_a_request_that_is_refused_raises_the_words_of_the_service(start: Start, context: Context) -> None:
    class Refusing(servers.Server):
        @servers.bind_in("request", "rep", obj=Word)
        def refuse(self, socket: Any, received: Any) -> None:
            raise servers.RequestRefused(f"no {received.obj.word}")

    uri = free_uri()
    start({"server": Refusing}, one(uri))
    with Asking(uri, context) as asking:
        asking.connect()
        for word in ("tea", "milk"):
            with pytest.raises(RequestFailed, match=f"request refused: no {word}"):
                asking.request(Word(word))


def test_a_lost_answer_does_not_keep_a_client_from_asking_again(start: Start, context: Context) -> None:
    """A REQ would refuse to send, and would take the late answer for that to the next request."""
    released = threading.Event()

    class Slow(servers.Server):
        @servers.bind_in("request", "router")
        def answer(self, socket: Any, received: Any) -> None:
            if received.json == "slow":
                assert released.wait(60)
            socket.send_envelope(received)

    uri = free_uri()
    start({"server": Slow}, one(uri))
    with Asking(uri, context) as asking:
        asking.connect()
        asking.timeout = 20
        with pytest.raises(ReceiveTimeout):
            asking.request(Word("slow"))
        asking.timeout = SOON
        released.set()
        for word in ("first", "second"):
            assert asking.request(Word(word)).obj.word == word


@pytest.mark.timeout(60)
@pytest.mark.parametrize("client", [Asking, Dealing])
def test_a_client_that_gave_its_connection_up_is_not_kept_waiting(context: Context, client: type[Asking]) -> None:
    """zmq does not try a connection again whose handshake cannot succeed: its socket would wait for another peer for ever."""
    with create_server(("127.0.0.1", 0)) as service:
        connections = []

        def refuse() -> None:
            connections.append(service.accept()[0])
            connections[-1].sendall(ENCRYPTED)

        with client(f"tcp://127.0.0.1:{service.getsockname()[1]}", context) as asking:
            asking.timeout = 50
            asking.connect()
            for _ in range(2):
                refuse()
                until(lambda: not asking._request_socket.zmq_socket.poll(0, zmq.POLLOUT), "the connection is given up")
                with pytest.raises(SendTimeout):
                    asking.request(Word("hello"))
        for connection in connections:
            connection.close()


def test_a_client_asks_before_its_service_is_there(start: Start, context: Context) -> None:
    uri = free_uri()
    with Asking(uri, context) as asking:
        asking.connect()
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(asking.request(Word("early"))))
        thread.start()
        start({"server": RouterEcho}, one(uri))
        thread.join()
        assert answers[0].obj.word == "early"


def _publishes(kind: str) -> type[servers.Server]:
    """A service that publishes at once what it is asked to, under the id of the request."""

    class Publishing(servers.Server):
        out = servers.publish("out") if kind == "greeting" else servers.bind("out", "pub")

        @servers.bind_in("request", "rep")
        def run(self, socket: Any, received: Any) -> None:
            socket.send_envelope(received)
            id = received.envelope.id
            for other in ("", f"{id}0", "another"):
                self.sockets.out.send_obj(BroadcastMessage("output", "line", "of another"), id=other)
            self.sockets.out.send_obj(BroadcastMessage("output", "line", received.json), id=id)
            self.sockets.out.send_obj(BroadcastMessage("output", "raw"), id=id)
            self.sockets.out.send_obj(BroadcastMessage("status", "info", "nearly"), id=id)
            self.sockets.out.send_obj(BroadcastMessage("status", "completed", "done"), id=id)

    return Publishing


class Observing(ObservableServiceClient):
    """Of the service above."""

    timeout = SOON


def _observed(client: ObservableServiceClient) -> list[tuple[str, str, str | None]]:
    return [(one.type, one.body_type, one.data) for one in client.messages()]


WHOLE = [("line", "hello"), ("raw", None), ("info", "nearly"), ("completed", "done")]


def test_an_observer_misses_nothing_however_often_it_comes_and_goes(start: Start, context: Context) -> None:
    request, out = free_uri(), free_uri()
    start({"server": _publishes("greeting")}, {"server": {"request": {"uri": request}, "out": {"uri": out}}})
    for number in range(100):
        with Observing(request, out, f"job-{number}", context) as client:
            client.connect()
            assert client.certain
            assert client.request(Word("hello")).json == "hello"
            assert [message[1:] for message in _observed(client)] == WHOLE


def test_an_observer_of_a_plain_publisher_waits_for_its_connection(start: Start, context: Context) -> None:
    request, out = free_uri(), free_uri()
    start({"server": _publishes("plain")}, {"server": {"request": {"uri": request}, "out": {"uri": out}}})
    with Observing(request, out, "job", context) as client:
        client.connect()
        assert not client.certain
        # a plain publisher cannot say when it knows of a subscription: ask until it does
        client.timeout = 1000
        for _ in range(20):
            client.request(Word("hello"))
            try:
                seen = [message[1:] for message in _observed(client)]
                break
            except ReceiveTimeout:
                continue
        assert seen == WHOLE


def test_an_observer_keeps_what_came_in_place_of_a_greeting(context: Context) -> None:
    with Socket.bind_new("xpub", "inproc://out", context=context) as out:
        client = Observing("inproc://request", "inproc://out", "job", context)
        connecting = threading.Thread(target=client.connect)
        connecting.start()
        assert out.zmq_socket.recv() == b"\1job"
        out.send_obj(BroadcastMessage("status", "completed"), id="job")
        connecting.join()
        assert not client.certain
        assert _observed(client) == [("status", "completed", None)]
        client.close()


def test_an_observer_may_handle_messages_itself(start: Start, context: Context) -> None:
    request, out = free_uri(), free_uri()
    start({"server": _publishes("greeting")}, {"server": {"request": {"uri": request}, "out": {"uri": out}}})
    seen: list[Any] = []

    def handle(socket: Any, received: Any, stop: Any) -> None:
        seen.append(received.obj.data)
        if received.obj.terminal:
            stop()

    with Observing(request, out, "job", context) as client:
        client.connect()
        client.request(Word("hello"))
        client.observe(handle)
        assert seen == ["hello", None, "nearly", "done"]
        client.timeout = 10
        with pytest.raises(ReceiveTimeout):
            client.observe(handle)


def test_an_observer_says_if_there_is_no_connection(context: Context) -> None:
    with Observing(free_uri(), (uri := free_uri()), "job", context) as client:
        client.timeout = 20
        with pytest.raises(ReceiveTimeout, match=f"no connection to {uri}"):
            client.connect()


def test_an_observer_goes_on_observing_after_a_request_that_timed_out(start: Start, context: Context) -> None:
    request, out = free_uri(), free_uri()
    start({"server": _publishes("greeting")}, {"server": {"request": {"uri": request}, "out": {"uri": out}}})
    with Observing(free_uri(), out, "job", context) as client:
        client.connect()
        client.timeout = 20
        with pytest.raises(ReceiveTimeout):
            client.request(Word("to the wrong address"))
        client.timeout = SOON
        with Asking(request, context) as asking:
            asking.connect()
            asking.request(Word("hello"), id="job")
        assert [message[1:] for message in _observed(client)] == WHOLE


def test_a_listener_hears_all_that_begins_with_its_id(context: Context) -> None:
    heard: list[tuple[str, Any]] = []

    def handle(socket: Any, received: Any, stop: Any) -> None:
        heard.append((received.envelope.id, received.obj.word))
        if received.obj.word == "stop":
            stop()

    class Listening(base.BaseListeningClient):
        obj = Word
        timeout = SOON

    with (
        Socket.bind_new("xpub", "inproc://out", context=context) as out,
        Listening("inproc://out", "job", context) as client,
    ):
        client.connect()
        assert out.zmq_socket.recv() == b"\1job"
        for id, word in (("job", "a"), ("other", "b"), ("job-1", "c"), ("job", "stop")):
            out.send_obj(Word(word), id=id)
        client.listen(handle)
        assert heard == [("job", "a"), ("job-1", "c"), ("job", "stop")]
        out.send_text("no JSON", id="job")
        with pytest.raises(DataNotDeserializable):
            client.listen(handle)
        client.timeout = 10
        with pytest.raises(ReceiveTimeout):
            client.listen(handle)


def test_a_publisher_greets_subscriptions_and_nothing_else(start: Start, context: Context) -> None:
    out, request = free_uri(), free_uri()
    start({"server": _publishes("greeting")}, {"server": {"request": {"uri": request}, "out": {"uri": out}}})
    with Socket.connect_new("xsub", out, context=context) as peer:
        for frames in ([b"noise"], [b""], [b"\1" + b"x" * 256], [b"\1a", b"more"], [b"\0a"], [b"\1job"]):
            peer.zmq_socket.send_multipart(frames)
        envelope = peer.receive_envelope(SOON)
        assert (envelope.id, envelope.mimetype) == ("job", GREETING_MIMETYPE)


@pytest.mark.parametrize("type", special.BROADCAST_TYPES)
def test_a_broadcast_travels_and_comes_back(type: str) -> None:
    for body_type in special.BROADCAST_TYPES[type]:
        for data in (None, "", "text"):
            message = BroadcastMessage(type, body_type, data)
            back = BroadcastMessage.deserialize({**message.serialize(), "seq": 7})
            assert (back.type, back.body_type, back.data) == (type, body_type, data)
            assert back.terminal is (body_type in ("error", "completed"))


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"type": "output"}, {"type": "output", "body": "line"}, {"type": "output", "body": {"type": "info"}},
     {"type": "status", "body": {"type": "info", "data": 7}}, {"type": [], "body": {"type": "line"}}],
)  # fmt: skip
def test_what_is_no_broadcast_is_refused(data: Any) -> None:
    with pytest.raises(DataNotDeserializable):
        BroadcastMessage.deserialize(data)
