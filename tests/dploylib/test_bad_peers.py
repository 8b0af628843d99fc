"""Peers that send garbage, vanish, or speak something else: the service goes on serving the others."""

from __future__ import annotations

import random
import socket as sockets
from contextlib import closing
from typing import Any

import pytest
import zmq

from dploylib import servers
from dploylib.transport import Context, Socket
from tests.dploylib.conftest import SOON, Start
from tests.dploylib.servers import Echo, RouterEcho, free_uri, one

#: messages of a DEALER that are no envelope for a REP or a ROUTER
GARBAGE = [
    [b""],
    [b"", b""],
    [b"", b"x"],
    [b"", b"", b""],
    [b"x"],
    [b"x", b"y", b"z"],
    [b"x", b"y", b"z", b"w"],
    [b"", b"x", b"y", b"z", b"w"],
    [b"", b"id", b"text/plain", b"x", b"more"],
    [b"\xff" * 300] * 40,
]


def _good(uri: str, context: Context) -> None:
    with Socket.connect_new("req", uri, context=context) as socket:
        for number in range(3):
            socket.send_text(str(number))
            assert socket.receive_text(timeout=SOON) == str(number)


@pytest.mark.parametrize("server", [Echo, RouterEcho])
def test_messages_that_are_no_envelope_keep_no_other_peer_waiting(start: Start, context: Context, server: Any) -> None:
    uri = free_uri()
    service = start({"server": server}, one(uri))
    with Socket.connect_new("dealer", uri, context=context) as bad:
        for _ in range(20):
            for frames in GARBAGE:
                bad.zmq_socket.send_multipart(frames)
        _good(uri, context)
        bad.delimiter = True
        bad.send_text("good", id="good")
        while (envelope := bad.receive_envelope(SOON)).id != "good":
            assert envelope.mimetype == "application/problem+json"
        assert envelope.data == b"good"
    assert service.stop(30)


def test_a_rep_answers_a_message_that_is_no_envelope(start: Start, context: Context) -> None:
    uri = free_uri()
    start({"server": Echo}, one(uri))
    with Socket.connect_new("req", uri, context=context) as socket:
        socket.zmq_socket.send_multipart([b"only", b"two"])
        envelope = socket.receive_envelope(SOON)
        assert envelope.mimetype == "application/problem+json"
        assert b"malformed envelope" in envelope.data
        socket.send_text("good")
        assert socket.receive_text(timeout=SOON) == "good"


@pytest.mark.parametrize("kind", ["pull", "sub", "pair"])
def test_sockets_without_a_way_back_drop_what_is_no_envelope(start: Start, context: Context, kind: str) -> None:
    class Taking(servers.Server):
        out = servers.bind("out", "push")

        @servers.bind_in("in", kind)
        def take(self, socket: Any, received: Any) -> None:
            self.sockets.out.send_envelope(received)

    options = [["subscribe", ""]] if kind == "sub" else []
    into, out = free_uri(), free_uri()
    start({"server": Taking}, {"server": {"in": {"uri": into, "options": options}, "out": {"uri": out}}})
    peer = {"pull": "push", "sub": "xpub", "pair": "pair"}[kind]
    with (
        Socket.connect_new(peer, into, context=context) as bad,
        Socket.connect_new("pull", out, context=context) as pull,
    ):
        if kind == "sub":
            # an XPUB knows when the subscription has come
            assert bad.zmq_socket.recv() == b"\1"
        for frames in ([b"x"], [b"x", b"y"], [b"", b"x", b"y", b"z", b"w"]):
            bad.zmq_socket.send_multipart(frames)
        bad.send_text("good")
        assert pull.receive_text(timeout=SOON) == "good"


def _strange(seed: int) -> list[bytes]:
    noise = random.Random(seed).randbytes
    return [b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 64, noise(4000), b"\xff\0\0\0\0\0\0\0\1\x7f" + noise(500), b""]


def test_what_does_not_speak_zeromq_costs_the_peers_of_a_router_nothing(start: Start, context: Context) -> None:
    uri = free_uri()
    start({"server": RouterEcho}, one(uri))
    for seed in range(10):
        for data in _strange(seed):
            with closing(_raw(uri)) as peer:
                peer.sendall(data)
                _good(uri, context)


def test_what_does_not_speak_zeromq_costs_the_peers_of_a_rep_one_answer_at_most(start: Start, context: Context) -> None:
    """zmq takes noise for messages of its first version. If its sender is gone already, a REP may lose the next answer."""
    uri = free_uri()
    start({"server": Echo}, one(uri))
    for data in _strange(7):
        with closing(_raw(uri)) as peer:
            peer.sendall(data)
        for _ in range(100):
            with Socket.connect_new("req", uri, options=[("linger", 0)], context=context) as socket:
                socket.send_text("again")
                if socket.poll(200):
                    break
        else:
            raise AssertionError("no answer comes any more")


def _raw(uri: str) -> sockets.socket:
    return sockets.create_connection(("127.0.0.1", int(uri.rpartition(":")[2])), timeout=10)


def test_a_frame_that_is_too_long_costs_its_sender_the_connection(start: Start, context: Context) -> None:
    uri = free_uri()
    start({"server": Echo}, one(uri, options=[["maxmsgsize", 1000]]))
    with Socket.connect_new("dealer", uri, options=[("linger", 0)], context=context) as bad:
        with bad.zmq_socket.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
            bad.delimiter = True
            bad.send_text("x" * 2000)
            assert monitor.poll(SOON)
            bad.zmq_socket.disable_monitor()
        _good(uri, context)


def test_peers_that_vanish_before_their_answer_are_forgotten(start: Start, context: Context) -> None:
    uri = free_uri()
    start({"server": RouterEcho}, one(uri))
    for _ in range(50):
        with Socket.connect_new("req", uri, context=context) as socket:
            socket.send_text("bye")
    _good(uri, context)


def test_a_peer_that_restarts_is_served_again(start: Start, context: Context) -> None:
    """In both directions: the service is away for a while, and the same client goes on."""
    uri = free_uri()
    service = start({"server": RouterEcho}, one(uri))
    with Socket.connect_new("dealer", uri, context=context) as socket:
        socket.delimiter = True
        socket.send_text("before")
        assert socket.receive_text(timeout=SOON) == "before"
        assert service.stop(30)
        service.start(config_dict={"servers": one(uri)})
        service.wait_ready(30)
        # what was sent into the old connection may be lost: ask until there is an answer
        for _ in range(200):
            socket.send_text("after")
            if socket.poll(100):
                break
        assert socket.receive_text(timeout=SOON) == "after"
