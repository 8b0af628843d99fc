"""A request of which something never comes does not keep its thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from re_rest import streaming
from re_rest.pacing import PacedSocket
from re_rest.streaming import StreamingWorker

#: seconds after which a thread that was to come back has not
LONG = 20.0

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n"


def _reads_the_body(environ: MutableMapping[str, Any], start: Any) -> list[bytes]:
    environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", "0")])
    return []


@pytest.fixture
def worker() -> Iterator[StreamingWorker]:
    """gunicorn's worker as it is before its main loop, for an application that reads the body."""
    config = Config()
    config.set("loglevel", "critical")
    made = StreamingWorker(1, os.getpid(), [], None, 0, config, Logger(config))
    made.wsgi = _reads_the_body
    yield made
    made.tmp.close()


@pytest.mark.parametrize("allowed", [0.0, 1000.0])
def test_a_request_that_is_allowed_more_time_keeps_it(worker: StreamingWorker, allowed: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        ours, address = server.accept()
        with PacedSocket.of(ours, lambda: streaming.STILL) as sock:
            conn = TConn(worker.cfg, sock, address, address)
            worker._reading[conn] = time.monotonic() - streaming.WHOLE - 1
            sock.allowed = allowed
            worker.notify()
            assert (conn in worker._reading) is bool(allowed)


@pytest.mark.parametrize("part", [b"GET /healthz HTTP/1.1\r\nHost:", HEAD, HEAD + b"half"])
def test_a_request_that_never_comes_whole_is_given_up(
    worker: StreamingWorker, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "WHOLE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        ours, address = server.accept()
        with ours:
            client.sendall(part)
            conn = TConn(worker.cfg, ours, address, address)
            thread = threading.Thread(target=worker.handle, args=(conn,))
            thread.start()
            for _ in range(int(LONG / 0.1)):
                worker.notify()
                thread.join(0.1)
                if not thread.is_alive():
                    break
            stayed = thread.is_alive()
            client.shutdown(socket.SHUT_WR)
            thread.join(LONG)
            conn.close()
    assert not stayed
