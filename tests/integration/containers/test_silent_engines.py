"""Container engines that answer nothing any more, behind sockets that a step has opened: no step and no stop waits for one for ever."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from re_workers.containers import worker as containers
from re_workers.containers.engine import Engine, Place
from re_workers.containers.streams import heard
from re_workers.context import Call, Context
from re_workers.outcomes import Cancelled
from re_workers.outgoing import Origin, Outgoing

_VERSION = b'{"ApiVersion": "1.41", "Components": []}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_VERSION) + _VERSION


class Silent:
    """It says its version on its first connection, and nothing on later ones, each of which waits until `lets` is set."""

    def __init__(self) -> None:
        self.dialled, self.lets, self.cut = threading.Event(), threading.Event(), threading.Event()
        self._ends: list[socket.socket] = []

    def dial(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        if self._ends:
            self.dialled.set()
            self.lets.wait(30)
        else:
            threading.Thread(target=self._say_version, args=(ours,), daemon=True).start()
        self._ends.append(ours)
        return theirs

    def close(self) -> None:
        self.lets.set()
        for one in self._ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _say_version(self, ours: socket.socket) -> None:
        ours.recv(65536)
        ours.sendall(_ANSWER)
        while ours.recv(65536):
            pass
        self.cut.set()


@pytest.fixture
def silent() -> Iterator[Silent]:
    found = Silent()
    yield found
    found.close()


def test_a_cancel_ends_a_stream_whose_connection_was_just_being_made(silent: Silent) -> None:
    engine = Engine(Place("the engine", silent.dial))
    context = Context(
        Call("d/0/1", "d", 0, 1, "container", "Pull", "team", (), {}, None), Outgoing(Origin("d", 0, "d/0/1"))
    )
    ended: list[type[Exception]] = []

    def ask(client: Any) -> Iterator[Any]:
        return iter(client.pull("shop", tag="1", stream=True, decode=True))

    def step() -> None:
        try:
            heard(context, engine, ask, lambda piece: None)
        except Cancelled as error:
            ended.append(type(error))

    thread = threading.Thread(target=step, daemon=True)
    thread.start()
    assert silent.dialled.wait(30)
    context.cancel()
    assert silent.cut.wait(30)
    silent.lets.set()
    thread.join(20)
    assert ended == [Cancelled]
    engine.close()


def test_a_stop_does_not_wait_for_an_engine_that_does_not_answer(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "CLOSING", 0.1)

    def remove() -> None:
        silent.lets.wait(60)

    worker = containers.Containers()
    with worker._lock:
        worker._over["d/0/1"] = (False, partial(remove))
    worker.settled("d/0/1")
    stopping = threading.Thread(target=worker.close, daemon=True)
    stopping.start()
    stopping.join(20)
    assert not stopping.is_alive()
