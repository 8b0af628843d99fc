"""Connections that are taken from gunicorn, and come to an end in every way, leave nothing behind there."""

from __future__ import annotations

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from re_core.adapters.peering.channel import SocketChannel
from re_core.ports.peering import ChannelClosed
from tests.e2e.engine_process import wait_until
from tests.integration.cdpm.conftest import Served
from tests.integration.cdpm.serving import LONG

#: connections
MANY = 100


def _descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name == "cdpm-session"}


def _end(channel: SocketChannel, number: int) -> None:
    """By a close frame, by none, or by a frame that is refused."""
    if number % 3 == 0:
        channel.close(1000, "")
    elif number % 3 == 1:
        channel._cut(ChannelClosed(1006))
        channel.close(1006, "")
    else:
        channel.send("nothing that is signed")
        with pytest.raises(ChannelClosed) as closed:
            channel.take(LONG)
        assert closed.value.code == 4003


def test_a_hundred_connections_leave_no_descriptor_no_thread_and_no_count(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    worker = served.front.worker
    served.front.request("GET", "/healthz")
    wait_until("gunicorn has let it go", lambda: worker.nr_conns == 0, LONG)
    before = _descriptors()
    with ThreadPoolExecutor(8) as pool:
        channels = list(pool.map(lambda _: served.rails.dial(served.front), range(MANY)))
        wait_until("all are taken over", lambda: served.front.sessions.count() == MANY, LONG)
        wait_until("gunicorn has none of them", lambda: worker.nr_conns == 0, LONG)
        # of four threads none is held
        assert served.front.request("GET", "/healthz")[0] == 200
        list(pool.map(_end, channels, range(MANY)))
    wait_until("all seats are free", lambda: served.front.sessions.count() == 0, LONG)
    wait_until("no thread is left", lambda: _threads() == set(), LONG)
    wait_until("no descriptor is left", lambda: _descriptors() <= before, LONG)
    assert (worker.nr_conns, len(worker._reading), len(worker._leaving), len(worker._waiting)) == (0, 0, 0, 0)
    assert [one for one in caplog.records if one.levelno > logging.WARNING] == []
    channel = served.rails.open(served.front, served.rails.subscribe(served.front))
    served.node.release("1.0")
    assert served.rails.take_release(channel).new_version == "1.0"
