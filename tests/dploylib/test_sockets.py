"""Sockets and contexts against real ones of zmq."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
import zmq

from dploylib import problems
from dploylib.errors import RequestFailed
from dploylib.transport import Context, Envelope, MalformedEnvelope, PollLoop, ReceiveTimeout, SendTimeout, Socket
from tests.dploylib.conftest import SOON
from tests.dploylib.servers import free_uri

#: types that send to each other, and whether the first binds
PAIRS = [("rep", "req"), ("pull", "push"), ("PAIR", "pair"), ("router", "req"), ("rep", "dealer"), ("router", "dealer")]


def bound(socket_type: str, context: Context) -> Socket:
    """A socket at the one address of the test."""
    return Socket.bind_new(socket_type, "inproc://a", context=context)


def connected(socket_type: str, context: Context) -> Socket:
    """Its peer."""
    return Socket.connect_new(socket_type, "inproc://a", context=context)


class Thing:
    """Serializes to what it has."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def serialize(self) -> Any:
        return self.value


class OldThing:
    """Written for the manual of the original."""

    def __serialize__(self) -> Any:
        return {"old": True}


@pytest.mark.parametrize(("bound", "connected"), PAIRS)
def test_envelopes_texts_and_objects_arrive(context: Context, bound: str, connected: str) -> None:
    with context.socket(bound) as one, context.socket(connected) as other:
        port = one.bind_to_random("tcp://127.0.0.1")
        assert one.last_endpoint == f"tcp://127.0.0.1:{port}"
        other.connect(one.last_endpoint)
        other.delimiter = connected == "dealer"
        other.send_obj(Thing({"a": [1, None]}), id="grüße")
        envelope = one.receive_envelope(SOON)
        assert (envelope.id, envelope.mimetype, envelope.data) == ("grüße", "application/json", b'{"a": [1, null]}')
        if bound in ("rep", "router"):
            one.send_envelope(envelope.response_envelope("text/plain", "answer"))
            assert other.receive_text(timeout=SOON) == "answer"


def test_an_object_is_made_of_what_was_received(context: Context) -> None:
    with (
        bound("pull", context) as one,
        connected("push", context) as other,
    ):
        other.send_obj(OldThing())
        assert one.receive_obj(lambda data: data["old"], timeout=SOON) is True
        other.send_text("{")
        with pytest.raises(ValueError, match="not JSON"):
            one.receive_obj(Thing, timeout=SOON)
        other.send_obj(Thing(1))
        with pytest.raises(ValueError, match='mimetype "text/plain" instead received "application/json"'):
            one.receive_text(timeout=SOON)
        with pytest.raises(AttributeError, match="object has no method serialize"):
            other.send_obj(object())


def test_ids_that_are_no_utf8_survive(context: Context) -> None:
    with (
        bound("rep", context) as one,
        connected("req", context) as other,
    ):
        other.zmq_socket.send_multipart([b"\xff", b"\xfe", b"\xfd"])
        one.send_envelope(one.receive_envelope(SOON))
        assert other.zmq_socket.recv_multipart() == [b"\xff", b"\xfe", b"\xfd"]


def test_receiving_ends_with_its_timeout(context: Context) -> None:
    with bound("pull", context) as one:
        for receive in (one.receive_envelope, one.receive_text):
            with pytest.raises(ReceiveTimeout):
                receive(timeout=1)
        with pytest.raises(ReceiveTimeout):
            one.receive_obj(Thing, timeout=0)
        assert not one.poll(1)
        one.set_option("rcvtimeo", 1)
        with pytest.raises(ReceiveTimeout):
            one.receive_envelope()


def test_sending_ends_with_the_sockets_timeout(context: Context) -> None:
    with (
        Socket.bind_new("push", "inproc://a", options=[("sndtimeo", 1)], context=context) as one,
        pytest.raises(SendTimeout),
    ):
        one.send_text("nobody is there")


def test_a_message_that_zmq_drops_does_not_end_a_wait_before_its_time(context: Context) -> None:
    """A REP is readable, and then has nothing, if the delimiter is missing."""
    with (
        bound("rep", context) as one,
        connected("dealer", context) as other,
    ):
        other.send_text("without delimiter", id="x")
        with pytest.raises(ReceiveTimeout):
            one.receive_envelope(50)
        other.delimiter = True
        other.send_text("with it")
        assert one.receive_text(timeout=SOON) == "with it"


def test_a_router_refuses_what_has_no_room_for_an_envelope(context: Context) -> None:
    with (
        bound("router", context) as one,
        connected("dealer", context) as other,
    ):
        for frames in ([b"x"], [b"x", b"y"], [b"", b"y"], [b"a", b"b", b"c"], [b"a", b"b", b"c", b"d"]):
            other.zmq_socket.send_multipart(frames)
            with pytest.raises(MalformedEnvelope) as raised:
                one.receive_envelope(SOON)
            assert raised.value.frames[1:] == frames
        other.zmq_socket.send_multipart([b"", b"a", b"b", b"c"])
        assert one.receive_envelope(SOON).data == b"c"


@pytest.mark.parametrize(
    ("word", "error"), [("nothing", AttributeError), ("pollin", ValueError), ("subscribe", ValueError)]
)
def test_a_word_that_is_no_type_of_socket_is_refused(context: Context, word: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        context.socket(word)


@pytest.mark.parametrize(
    ("name", "value"), [("sndhwm", 7), ("RCVHWM", 8), ("identity", "me"), ("hwm", 9), ("linger", 0)]
)
def test_options_are_set_by_their_names(context: Context, name: str, value: int | str) -> None:
    with context.socket("dealer") as socket:
        socket.set_option(name, value)
        option = zmq.SNDHWM if name == "hwm" else getattr(zmq, name.upper())
        assert socket.zmq_socket.getsockopt(option) == (value.encode() if isinstance(value, str) else value)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [("nothing", 1, AttributeError), ("linger", 1.5, ValueError), ("linger", None, ValueError)],
)
def test_options_that_there_are_not_are_refused(
    context: Context, name: str, value: Any, error: type[Exception]
) -> None:
    with context.socket("dealer") as socket, pytest.raises(error):
        socket.set_option(name, value)


def test_a_socket_that_cannot_be_set_up_is_closed(context: Context) -> None:
    with pytest.raises(zmq.ZMQError):
        Socket.bind_new("rep", "nonsense://", context=context)
    with pytest.raises(AttributeError):
        Socket.connect_new("req", "inproc://a", options=[("nothing", 1)], context=context)


def test_a_socket_with_a_context_of_its_own_ends_it() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        socket = Socket.bind_new("pull", "tcp://127.0.0.1:*")
        used: Context = socket.zmq_context
        socket.close()
        socket.close()
        assert used.zmq_context.closed
        del socket, used
        gc.collect()
    assert caught == []


def test_a_context_does_not_wait_longer_than_it_may() -> None:
    context = Context.from_raw_context(zmq.Context())
    socket = context.socket("pull")
    assert context.term(timeout=1) is False
    socket.close()
    assert context.term(SOON)
    assert context.zmq_context.closed


def test_a_context_that_is_left_closes_its_sockets() -> None:
    with Context.new() as context:
        socket = context.socket("pull")
        # pyzmq says so of a socket that it has to close itself
        warnings.simplefilter("ignore", ResourceWarning)
    assert socket.zmq_socket.closed


def test_a_poll_loop_serves_sockets_of_both_kinds_until_they_are_unregistered(context: Context) -> None:
    seen: list[Any] = []
    with (
        bound("pull", context) as one,
        connected("push", context) as other,
    ):

        def take(socket: Any) -> None:
            seen.append(socket)
            one.receive_text()
            # a handler may change what is polled
            loop.register(other.zmq_socket, take)

        loop = PollLoop.new()
        loop.register(one.zmq_socket, lambda socket: None)
        loop.register(one, take)
        other.send_text("a")
        other.send_text("b")
        loop.poll(SOON)
        loop.poll(SOON)
        assert seen == [one, one]
        loop.unregister(one)
        other.send_text("c")
        loop.poll(0)
        assert len(seen) == 2
        with pytest.raises(KeyError):
            loop.unregister(one)


def test_an_envelope_that_has_its_delimiter_gets_no_second_one(context: Context) -> None:
    with (
        bound("rep", context) as one,
        connected("dealer", context) as other,
    ):
        other.delimiter = True
        other.send_envelope(Envelope.new("text/plain", "a", delimiter=True))
        envelope = one.receive_envelope(SOON)
        assert (envelope.delimiter, envelope.data) == (False, b"a")


def test_a_program_that_asked_a_service_that_is_away_ends() -> None:
    for option in ([], [("linger", 0)]):
        with pytest.raises(ReceiveTimeout), Socket.connect_new("req", free_uri(), options=option) as socket:
            socket.send_text("there?")
            socket.receive_text(timeout=1)
    with pytest.raises(ReceiveTimeout), Context.new() as context, context.socket("req") as socket:
        socket.connect(free_uri())
        socket.send_text("there?")
        socket.receive_text(timeout=1)


def test_an_error_is_never_taken_for_a_result(context: Context) -> None:
    with bound("pull", context) as one, connected("push", context) as other:
        for receive in (one.receive_text, lambda **given: one.receive_obj(Thing, **given)):
            other.send_envelope(Envelope.new(problems.PROBLEM_MIMETYPE, problems.body("refused", "no")))
            with pytest.raises(RequestFailed, match="refused: no"):
                receive(timeout=SOON)
