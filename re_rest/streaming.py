"""gunicorn's worker, made fit for live streams and for clients that never finish. Must not know who serves in it.

INT and HUP of a terminal reach the workers as well as the master; only the master's TERM counts here.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import TConn, ThreadWorker

from re_rest.app import close_streams

#: seconds in which a request must have come whole, its body included
WHOLE = 30.0


class StreamingWorker(ThreadWorker):
    """gunicorn's threaded worker, which ends live streams when it stops instead of waiting for them.

    It also gives up on a request of which something never comes: each holds a thread, nobody has asked for its token
    yet, and gunicorn would wait for ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: connections of which a thread may be reading, and when it has waited long enough
        self._reading: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:
        """In a thread of the pool: one request of this connection."""
        self._reading[conn] = time.monotonic() + WHOLE
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """The head has come, and with it all that is read of a GET, whose answer may be a stream of hours."""
        if req.method in ("GET", "HEAD"):
            self._reading.pop(conn, None)
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """The main loop's round, once a second at least. What was cut reads as a connection that its client closed."""
        super().notify()
        now = time.monotonic()
        for conn, end in self._reading.copy().items():
            if now > end:
                self._reading.pop(conn, None)
                with contextlib.suppress(OSError):  # closed in this very moment
                    conn.sock.shutdown(socket.SHUT_RD)

    def init_signals(self) -> None:
        """Nothing but TERM ends it. No-ops and not SIG_IGN, which the programs of steps would inherit."""
        super().init_signals()
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, _nothing)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM. The streams are closed by the main loop: a signal handler must take no lock."""
        super().handle_exit(sig, frame)
        self.method_queue.defer(self._close_streams)

    def is_parent_alive(self) -> bool:
        """Whether the master lives; without it the worker stops as after TERM."""
        alive: bool = super().is_parent_alive()
        if not alive:
            self._close_streams()
        return alive

    def _close_streams(self) -> None:
        # TERM may come before there is an application
        app = getattr(self, "wsgi", None)
        if isinstance(app, Flask):
            close_streams(app)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The answer to a signal that is not for this process."""
