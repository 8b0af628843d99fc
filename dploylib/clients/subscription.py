"""Waits until a subscription counts, as far as the publisher lets one know. Must not know what is published."""

from __future__ import annotations

import time
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from dploylib.errors import ReceiveTimeout

#: milliseconds that a publisher has to greet, once it is connected
GREETING_WAIT = 250

_FINAL = (zmq.Event.HANDSHAKE_FAILED_AUTH, zmq.Event.HANDSHAKE_FAILED_PROTOCOL)


def connect(socket: Any, uri: str, timeout: int | None) -> None:
    """Connect a socket and wait for the connection. Raises ReceiveTimeout after so many milliseconds (None: waits for ever)."""
    if uri.startswith("inproc:"):
        # connected at once, and without events
        socket.connect(uri)
        return
    raw = socket.zmq_socket
    monitor = raw.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | sum(_FINAL))
    try:
        socket.connect(uri)
        _await_handshake(monitor, uri, timeout)
    finally:
        raw.disable_monitor()
        monitor.close(0)


def _await_handshake(monitor: Any, uri: str, timeout: int | None) -> None:
    end = None if timeout is None else time.monotonic() + timeout / 1000
    while True:
        left = None if end is None else max(0, int((end - time.monotonic()) * 1000))
        if not monitor.poll(left):
            raise ReceiveTimeout(f"no connection to {uri} within {timeout} ms")
        event = recv_monitor_message(monitor)["event"]
        if event == zmq.Event.HANDSHAKE_SUCCEEDED:
            return
        if event in _FINAL:
            raise ReceiveTimeout(f"{uri} refuses the connection: are the keys right?")


def first(socket: Any) -> Any:
    """The greeting of the publisher, or what came in its place; None if nothing came in a quarter of a second."""
    try:
        return socket.receive_envelope(timeout=GREETING_WAIT)
    except ReceiveTimeout:
        return None
