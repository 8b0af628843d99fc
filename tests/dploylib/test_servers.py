"""Servers: what classes declare, and what handlers may do."""

from __future__ import annotations

import copy
import logging
from typing import Any
from unittest.mock import Mock

import pytest
import zmq

from dploylib import servers
from dploylib.constants import COORDINATOR_SHUTDOWN
from dploylib.services.config import Settings
from dploylib.transport import Context, Socket
from tests.dploylib.conftest import SOON, Start
from tests.dploylib.servers import Echo, Failing, RouterEcho, RouterFailing, free_uri, one


class Base(servers.Server):
    """Declares two sockets."""

    publish = servers.bind("out", "pub")

    @servers.bind_in("in", "pull")
    def receive(self, socket: Any, received: Any) -> None:
        self.sockets.out.send_envelope(received)


class Derived(Base):
    """Leaves one out, replaces another, and adds one."""

    publish = None  # type: ignore[assignment]

    @servers.connect_in("events", "sub")
    def listen(self, socket: Any, received: Any) -> None:
        raise AssertionError

    receive = servers.bind("in", "pair")


def test_a_class_inherits_the_sockets_of_its_bases() -> None:
    class Same(Base):
        pass

    assert [name for name, _ in Same.socket_descriptions] == ["publish", "receive"]
    described = {name: (one.name, one.socket_type, one.setup_type) for name, one in Derived.socket_descriptions}
    assert described == {"receive": ("in", "pair", "bind"), "listen": ("events", "sub", "connect")}


@pytest.mark.parametrize("declare", [servers.bind, servers.bind_in, servers.connect, servers.connect_in])
def test_the_name_of_a_socket_comes_first(declare: Any) -> None:
    with pytest.raises(TypeError, match="name of a socket comes before its type"):
        declare("rep", "request")
    with pytest.raises(TypeError, match="name"):
        declare("rep", name="request")


def test_sockets_are_found_by_name_and_by_the_attribute_that_declares_them(start: Start, context: Context) -> None:
    found: list[Any] = []

    class Asked(Base):
        def setup(self) -> None:
            found.extend([self.sockets.out, self.sockets["out"], self.sockets.publish, "in" in self.sockets])
            found.append(getattr(self.sockets, "missing", "default"))

    start({"server": Asked}, {"server": {"out": {"uri": "inproc://out"}, "in": {"uri": "inproc://in"}}})
    assert len({id(socket) for socket in found[:3]}) == 1
    assert found[3:] == [True, "default"]


def test_a_socket_that_there_is_not_is_named() -> None:
    storage = servers.SocketStorage()
    storage.register("in", Mock())
    with pytest.raises(servers.NoSuchSocket, match="no socket 'out'; there are in") as raised:
        _ = storage.out
    assert isinstance(raised.value, KeyError)
    assert isinstance(raised.value, AttributeError)
    assert copy.copy(storage)["in"] is storage["in"]
    with pytest.raises(ValueError, match="already"):
        storage.register("in", Mock())


@pytest.mark.parametrize("server", [Failing, RouterFailing])
def test_a_handler_that_raises_is_answered_and_goes_on(
    start: Start, context: Context, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    uri = free_uri()
    start({"server": server}, one(uri))
    with Socket.connect_new("req", uri, context=context) as socket:
        answers = []
        for text in ("crash", "refuse", "answer and crash", "json", "fine"):
            socket.send_text(text, id="job")
            envelope = socket.receive_envelope(SOON)
            answers.append((envelope.id, envelope.mimetype, envelope.data))
    assert [id for id, _, _ in answers] == ["job"] * 5
    problem = "application/problem+json"
    assert answers[0][1:] == (
        problem,
        b'{"title": "internal error", "detail": "the handler failed; the service\'s log says why"}',
    )
    assert answers[1][1:] == (problem, b'{"title": "request refused", "detail": "not today"}')
    assert [(mimetype, data) for _, mimetype, data in answers[2::2]] == [
        ("text/plain", b"done"),
        ("text/plain", b"fine"),
    ]
    assert answers[3][1] == problem
    assert "hunter2" in caplog.text
    assert b"hunter2" not in b"".join(data for _, _, data in answers if isinstance(data, bytes))


def test_a_handler_without_a_peer_that_waits_goes_on_too(start: Start, context: Context) -> None:
    class Summing(servers.Server):
        output = servers.bind("out", "push")

        @servers.bind_in("in", "pull")
        def take(self, socket: Any, received: Any) -> None:
            self.sockets.out.send_text(str(int(received.text)))

    start({"server": Summing}, {"server": {"in": {"uri": (into := free_uri())}, "out": {"uri": (out := free_uri())}}})
    with (
        Socket.connect_new("push", into, context=context) as push,
        Socket.connect_new("pull", out, context=context) as pull,
    ):
        push.send_text("no number")
        push.send_text("7")
        assert pull.receive_text(timeout=SOON) == "7"


def test_log_lines_about_peers_are_few_and_count_the_others(
    start: Start, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    uri = free_uri()
    start({"server": Failing}, one(uri))
    with Socket.connect_new("req", uri, context=context) as socket:
        for _ in range(300):
            socket.send_text("refuse")
            socket.receive_envelope(SOON)
    lines = [record for record in caplog.records if "refused a message" in record.getMessage()]
    assert 1 <= len(lines) < 300
    assert {record.levelno for record in lines} == {logging.WARNING}


def test_a_dealer_is_served_by_a_rep_and_a_router_if_it_sends_the_delimiter(start: Start, context: Context) -> None:
    rep, router = free_uri(), free_uri()
    start({"server": Echo, "router": RouterEcho}, {**one(rep), "router": {"request": {"uri": router}}})
    for uri in (rep, router):
        with Socket.connect_new("dealer", uri, context=context) as socket:
            # dropped, since nothing says where its answer would go
            socket.send_text("without", id="x")
            # the empty id is taken for the delimiter, and what is left is no envelope
            socket.send_text("without", id="")
            socket.delimiter = True
            for number in range(3):
                socket.send_text(f"with {number}", id=str(number))
            answers = [socket.receive_envelope(SOON) for _ in range(4)]
            assert answers[0].mimetype == "application/problem+json"
            assert [one.data for one in answers[-3:]] == [b"with 0", b"with 1", b"with 2"]


def test_a_server_may_be_a_dealer_by_its_configuration(start: Start, context: Context) -> None:
    class Asking(servers.Server):
        answered = servers.connect("answered", "push")

        @servers.connect_in("question", "dealer")
        def answer(self, socket: Any, received: Any) -> None:
            self.sockets.answered.send_envelope(received)

        def setup(self) -> None:
            self.sockets.question.send_text("question", id="q")

    uri, answered = free_uri(), free_uri()
    with Socket.bind_new("pull", answered, context=context) as pull:
        asking = {"question": {"uri": uri, "delimiter": True}, "answered": {"uri": answered}}
        start({"server": RouterEcho, "asking": Asking}, {**one(uri), "asking": asking})
        envelope = pull.receive_envelope(SOON)
    assert (envelope.id, envelope.data) == ("q", b"question")


def test_answers_may_come_later_and_in_another_order(start: Start, context: Context) -> None:
    class Keeping(servers.Server):
        def setup(self) -> None:
            self.kept: list[Any] = []

        @servers.bind_in("request", "router")
        def keep(self, socket: Any, received: Any) -> None:
            self.kept.append(received.envelope)
            if len(self.kept) == 3:
                for envelope in reversed(self.kept):
                    socket.send_envelope(envelope.response_envelope("text/plain", f"answer to {envelope.id}"))

    uri = free_uri()
    start({"server": Keeping}, one(uri))
    asking = [Socket.connect_new("req", uri, context=context) for _ in range(3)]
    for number, socket in enumerate(asking):
        socket.send_text("?", id=str(number))
    assert [socket.receive_text(timeout=SOON) for socket in asking] == [f"answer to {number}" for number in range(3)]
    for socket in asking:
        socket.close()


class Upper(servers.Handler):
    """Is a handler, and counts for all servers of its class."""

    socket_type = "rep"

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, server: Any, socket: Any, received: Any) -> None:
        self.count += 1
        socket.send_text(f"{server.name} {received.text.upper()} {self.count}")


def test_a_handler_may_be_a_class(start: Start, context: Context) -> None:
    class Uppers(servers.Server):
        request = Upper.bind("request")

    uris = [free_uri(), free_uri()]
    config = {name: {"request": {"uri": uri}} for name, uri in zip("ab", uris, strict=True)}
    start({"a": Uppers, "b": Uppers}, config)
    for count, (name, uri) in enumerate(zip("ab", uris, strict=True), 1):
        with Socket.connect_new("req", uri, context=context) as socket:
            socket.send_text("x")
            assert socket.receive_text(timeout=SOON) == f"{name} X {count}"
    with pytest.raises(NotImplementedError, match="Handler does not say"):
        servers.Handler()(None, None, None)


def test_a_server_runs_without_a_service(context: Context) -> None:
    with Socket.bind_new("pub", "inproc://control", context=context) as control:
        added: list[Any] = []
        description = servers.ServerDescription(Echo)
        description.socket_descriptions.append(("more", servers.bind("more", "push")))
        settings = Settings({"servers": {"echo": {"request": {"uri": "inproc://a"}, "more": {"uri": "inproc://b"}}}})
        server = description.new("echo", settings.server_settings("echo"), "inproc://control", context=context)
        server.add_setup(added.append)
        assert added == [server]
        assert sorted(server.sockets) == ["_server_control", "more", "request"]
        control.send_text("other words are ignored")
        control.send_envelope(servers_word("application/json"))
        control.send_text(COORDINATOR_SHUTDOWN)
        server.start()
        assert list(server.sockets) == []


def servers_word(mimetype: str) -> Any:
    from dploylib.transport import Envelope

    return Envelope.new(mimetype, "{}")


def test_a_server_without_a_context_has_its_own() -> None:
    settings = Settings({"servers": {"echo": {"request": {"uri": "inproc://a"}}}}).server_settings("echo")
    server = Echo.new("echo", settings, "inproc://control")
    used = server.sockets.request.zmq_context
    server.close()
    assert used.zmq_context.closed


def test_a_server_that_cannot_be_made_leaves_no_socket_open(context: Context) -> None:
    settings = Settings(
        {"servers": {"a": {"out": {"uri": "inproc://a"}, "in": {"uri": "nonsense://"}}}}
    ).server_settings("a")
    with pytest.raises(zmq.ZMQError) as raised:
        Base.new("a", settings, "inproc://control", context=context)
    assert raised.value.__notes__ == ["while the socket 'in' was set up to bind nonsense://"]
    description = servers.ServerDescription(Echo)
    description.socket_descriptions.append(("out", servers.bind("out", "nonsense")))
    settings = Settings(
        {"servers": {"a": {"out": {"uri": "inproc://a"}, "request": {"uri": "inproc://b"}}}}
    ).server_settings("a")
    with pytest.raises(AttributeError):
        description.new("a", settings, "inproc://control", context=context)


def test_options_of_the_configuration_come_after_those_of_the_library(start: Start) -> None:
    found: list[Any] = []

    class Asked(servers.Server):
        out = servers.bind("out", "push")
        other = servers.bind("other", "push")

        def setup(self) -> None:
            found.extend(self.sockets[name].zmq_socket.getsockopt(zmq.MAXMSGSIZE) for name in ("out", "other"))

    other = {"uri": "inproc://b", "options": [["maxmsgsize", 100]]}
    start({"server": Asked}, {"server": {"out": {"uri": "inproc://a"}, "other": other}})
    assert found == [64 * 1024 * 1024, 100]
