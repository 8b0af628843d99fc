"""A client that does not read its answer does not keep its thread; a slow one that reads gets all of it."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from re_rest import pacing, streaming
from re_rest.streaming import StreamingWorker
from tests.e2e.engine_process import wait_until

#: seconds after which what was to happen has not
LONG = 30.0

#: bytes of an answer that fit into no buffer
MUCH = 8 * 1024 * 1024

GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"

Answering = Callable[[MutableMapping[str, Any], Any], Any]


def _whole(environ: MutableMapping[str, Any], start: Any) -> Any:
    start("200 OK", [("Content-Length", str(MUCH))])
    return [b"x" * MUCH]


def _in_pieces(environ: MutableMapping[str, Any], start: Any) -> Any:
    start("200 OK", [("Content-Type", "text/event-stream")])
    return (b"data: x\n\n" * 100 for _ in range(MUCH // 900))


def _file(path: Path) -> Answering:
    def answer(environ: MutableMapping[str, Any], start: Any) -> Any:
        start("200 OK", [("Content-Length", str(MUCH))])
        return environ["wsgi.file_wrapper"](path.open("rb"))

    return answer


@pytest.fixture(params=["whole", "in pieces", "file"])
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Answering:
    """Each way in which an answer is written."""
    if request.param == "file":
        (tmp_path / "file").write_bytes(b"x" * MUCH)
        return _file(tmp_path / "file")
    return {"whole": _whole, "in pieces": _in_pieces}[request.param]


class Served:
    """gunicorn's worker with two threads, in its main loop."""

    def __init__(self, answering: Answering, **options: Any) -> None:
        config = Config()
        config.set("loglevel", "critical")
        for name, value in {"threads": 2, "keepalive": 30, **options}.items():
            config.set(name, value)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.worker = StreamingWorker(1, os.getppid(), [self.listener], None, 0, config, Logger(config))
        self.worker.wsgi = answering
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.worker.tpool = self.worker.get_thread_pool()
        self.worker.poller = selectors.DefaultSelector()
        self.worker.method_queue.init()
        self.worker.run()

    def connect(self) -> socket.socket:
        """A client whose machine has little room for what it does not read."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(LONG)
        client.connect(self.listener.getsockname())
        return client

    def close(self) -> None:
        self.worker.alive = False
        self.worker.method_queue.defer(lambda: None)
        self._thread.join(LONG)
        self.worker.tpool.shutdown()
        self.worker.tmp.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def make(answering: Answering, **options: Any) -> Served:
            served = Served(answering, **options)
            stack.callback(served.close)
            return served

        yield make


def _small(environ: MutableMapping[str, Any], start: Any) -> Any:
    start("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def _or_small(answering: Answering) -> Answering:
    return lambda environ, start: (_small if environ["PATH_INFO"] == "/small" else answering)(environ, start)


def _answers(served: Served) -> bool:
    with served.connect() as client:
        client.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).endswith(b"ok")


def test_clients_that_do_not_read_do_not_keep_the_threads(
    serve: Callable[..., Served], answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PRESSED", 0.5)
    served = serve(_or_small(answering))
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(served.connect()).sendall(GET)
        assert _answers(served)


def test_who_does_not_read_is_cut_when_nobody_waits_too(
    serve: Callable[..., Served], answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STILL", 0.5)
    served = serve(answering)
    with served.connect() as client:
        client.sendall(GET)
        wait_until("it is cut", lambda: served.worker.nr == 1 and served.worker.nr_conns == 0, LONG)
        read = 0
        with pytest.raises(ConnectionResetError):
            while piece := client.recv(65536):
                read += len(piece)
        assert read < MUCH


def test_a_slow_client_that_reads_gets_all_of_it(
    serve: Callable[..., Served], answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never takes more than its patience allows at a time, and takes many times as long in all."""
    monkeypatch.setattr(streaming, "STILL", 0.3)
    monkeypatch.setattr(pacing, "_LOOK", 20)
    served = serve(answering)
    with served.connect() as client:
        client.sendall(GET)
        read, looks = 0, 0
        while read < MUCH and (piece := client.recv(256 * 1024)):
            read += len(piece)
            looks += 1
            if looks % 16 == 0:
                threading.Event().wait(0.01)
        assert read >= MUCH


def test_a_client_that_drips_is_cut(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads, but less than it must."""
    monkeypatch.setattr(streaming, "STILL", 0.5)
    monkeypatch.setattr(pacing, "RATE", 1024 * 1024 * 1024)
    served = serve(_whole)
    with served.connect() as client:
        client.sendall(GET)
        with pytest.raises(ConnectionResetError):
            while client.recv(1024):
                threading.Event().wait(0.005)


def test_an_answer_can_ask_for_more_and_the_next_one_does_not(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "STILL", 0.5)
    asked: list[int] = []

    def answer(environ: MutableMapping[str, Any], start: Any) -> Any:
        asked.append(environ["gunicorn.socket"].least)
        environ["gunicorn.socket"].least = 1024 * 1024 * 1024
        return (_small if len(asked) == 1 else _whole)(environ, start)

    served = serve(answer)
    with served.connect() as client:
        for _ in range(2):
            client.sendall(GET)
            assert client.recv(1024)
        with pytest.raises(ConnectionResetError):
            while client.recv(1024):
                threading.Event().wait(0.005)
    assert asked == [0, 0]


def test_clients_that_send_nothing_hold_no_thread(serve: Callable[..., Served]) -> None:
    served = serve(_small)
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(served.connect())
        assert _answers(served)
        assert not served.worker._waiting


def test_idle_connections_make_room_for_new_ones(serve: Callable[..., Served]) -> None:
    served = serve(_small, worker_connections=20)
    with ExitStack() as stack:
        for number in range(60):
            client = stack.enter_context(served.connect())
            if number % 2:
                client.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n")
        assert _answers(served)
        assert served.worker.nr_conns <= 20


def test_a_client_that_never_closes_its_side_does_not_stop_the_loop(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "FAREWELL", 3600.0)
    served = serve(_small)
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(served.connect())
            client.sendall(b"GET /small HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda client=client: client.recv(4096), b"")).endswith(b"ok")  # type: ignore[misc]
        assert len(served.worker._leaving) == 10
        assert _answers(served)
        monkeypatch.setattr(streaming, "FAREWELL", 0.0)
