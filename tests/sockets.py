"""Sockets that threads wait on, ended from outside."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress


def close_listener(listener: socket.socket) -> None:
    """Accept no connection any more; a thread that waits in accept is not woken by close alone."""
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def cut(ends: Iterable[socket.socket]) -> None:
    """End these connections; the threads that serve them close them."""
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
