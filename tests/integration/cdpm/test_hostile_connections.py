"""Connections that send too much, too little or nothing, and that do not read."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest

from re_core.adapters.peering import channel
from re_core.cdpm import messages as cdpm
from re_core.ports.peering import KeyPair
from re_rest import cdpm as front
from re_rest import cdpm_sessions
from tests.e2e.engine_process import wait_until
from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.raw_clients import REQUEST, asked, close_frame, closing, frame, raw, shake
from tests.integration.cdpm.serving import LONG, world


def test_a_frame_that_declares_ten_megabytes_ends_the_connection_unread(served: Served) -> None:
    assert closing(served, frame(1, length=10 * 1024 * 1024), b"x" * 4096)[0] == 1009
    wait_until("it is counted", lambda: served.world.refused == ["too-large"], LONG)


def test_a_first_frame_in_pieces_is_one_message(served: Served) -> None:
    rails = served.rails
    whole = rails.sign(cdpm.Open(rails.subscribe(served.front))).encode()
    parts = [whole[at : at + 50] for at in range(0, len(whole), 50)]
    client = raw(served.front)
    for number, part in enumerate(parts):
        client.sendall(frame(1 if not number else 0, part, fin=number == len(parts) - 1) + frame(9))
    served.node.release("1.0")
    with client, client.makefile("rb") as read:
        while (first := read.read(2))[0] != 0x81:
            read.read(first[1])
        assert first[1] == 126
    assert served.world.refused == []


def test_a_connection_that_says_nothing_is_closed(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdpm_sessions, "OPEN_WITHIN", 0.3)
    assert closing(served) == (4008, "no open within 0.3 s")
    assert closing(served, frame(1, b"half", fin=False))[0] == 4008
    wait_until("the seats are free", lambda: served.front.sessions.count() == 0, LONG)


def test_of_many_that_say_nothing_the_oldest_makes_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdpm_sessions, "UNOPENED", 10_000)
    with raw(served.front) as oldest, raw(served.front):
        assert close_frame(oldest) == (4008, "others wait to connect")
        rails = served.rails
        channel = rails.open(served.front, rails.subscribe(served.front))
        served.node.release("1.0")
        assert rails.take_release(channel).new_version == "1.0"


def test_one_connection_too_many_is_refused_before_it_is_one(tmp_path: Path, some_pairs: list[KeyPair]) -> None:
    with world(tmp_path, RE_CDPM_CONNECTIONS="1") as (made, stack):
        served = Served(made, stack, some_pairs)
        rails = served.rails
        channel = rails.open(served.front, rails.subscribe(served.front))
        served.node.release("1.0")
        rails.take_release(channel)
        assert asked(served) == (503, "try-again")
        channel.close(1000, "")
        wait_until("the seat is free", lambda: served.front.sessions.count() == 0, LONG)
        channel = rails.open(served.front, rails.subscribe(served.front))
        assert rails.take_release(channel).new_version == "1.0"


def test_without_a_descriptor_for_a_connection_its_seat_is_free_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched, served.front.socket() as client:
        patched.setattr(channel, "_Bell", full)
        client.sendall(REQUEST)
        assert client.recv(4096) == b""
    wait_until("the seat is free", lambda: served.front.sessions.count() == 0, LONG)
    served.rails.dial(served.front).close(1000, "")


def test_a_subscriber_that_does_not_read_is_cut_and_holds_up_no_other(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "STILL", 0.5)
    served.front.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    rails, toy = served.rails, served.toy
    channel = rails.open(served.front, rails.subscribe(served.front))
    subscription = toy.subscribe(served.front)
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.settimeout(LONG)
    lazy.connect(served.front.listener.getsockname())
    with shake(lazy):
        lazy.sendall(frame(1, toy.sign(cdpm.Open(subscription)).encode()))
        for number in range(20):
            served.node.release(f"1.{number}")
            assert rails.take_release(channel).new_version == f"1.{number}"
        wait_until("it is cut", lambda: served.front.sessions.count() == 1, LONG)
    served.node.release("2.0")
    assert rails.take_release(channel).new_version == "2.0"
