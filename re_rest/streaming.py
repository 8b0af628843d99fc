"""gunicorn's worker, made fit for live streams and for clients that never finish. Must not know the application.

INT and HUP of a terminal reach the workers as well as the master; only the master's TERM counts here.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import signal
import socket
import time
from functools import partial
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.workers.gthread import TConn, ThreadWorker

from re_rest.app import close_streams
from re_rest.pacing import PacedSocket

#: seconds in which a request must have come whole, its body included; a large one has more (request_parsing.upload)
WHOLE = 30.0

#: seconds that a client may stand still while it is sent an answer
STILL = 30.0

#: seconds for both while requests wait for a thread: a client that keeps one must not keep the others waiting
PRESSED = 5.0

#: seconds that a client gets to close its side after the last answer
FAREWELL = 2.0

#: bytes that it may still send meanwhile are read in pieces of this size, and dropped
_DROPPED = 64 * 1024

#: what the kernel says where it has no descriptor or no memory left
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class StreamingWorker(ThreadWorker):
    """gunicorn's threaded worker, which ends live streams when it stops instead of waiting for them.

    It also gives up on a request of which something never comes, and on an answer that its client does not read: each holds
    a thread, often before its token is checked, and gunicorn would wait for ever. A client that has not sent
    anything, or has its answer, holds none: gunicorn would wait for such a one in a thread for 5 s, and in its main loop for 2 s.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        #: connections of which a thread may be reading, and since when
        self._reading: dict[TConn, float] = {}
        #: connections with a request that waits for a thread
        self._waiting: set[TConn] = set()
        #: connections whose client has its last answer, and until when it may close its side
        self._leaving: dict[TConn, float] = {}

    def accept(self, listener: Any) -> None:
        """One more connection. Where there is no room for it, idle ones make some."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self.log.warning("cannot accept a connection: %s", error)
            if not self._make_room():
                time.sleep(0.1)  # or the loop would turn about it

    def enqueue_req(self, conn: TConn) -> None:
        """Give the connection to a thread, once something has come."""
        if not conn.initialized and not conn.data_ready and self.alive:
            conn.timeout = time.monotonic() + self.cfg.keepalive
            self.pending_conns.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
            return
        self._waiting.add(conn)
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """In a thread of the pool: one request of this connection."""
        self._waiting.discard(conn)
        if not isinstance(conn.sock, PacedSocket):
            conn.sock = PacedSocket.of(conn.sock, lambda: self._at_most(STILL))
        conn.sock.allowed, conn.sock.least = 0.0, 0
        self._reading[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            self._reading.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """The head has been read, and so the whole of a GET, whose answer may be a stream of hours."""
        if req.method in ("GET", "HEAD"):
            self._reading.pop(conn, None)
        return super().handle_request(req, conn)

    def notify(self) -> None:
        """The main loop's round, once a second at least. What was cut reads as a connection that its client closed."""
        super().notify()
        now, longest = time.monotonic(), self._at_most(WHOLE)
        for conn, began in self._reading.copy().items():
            if now > began + longest + getattr(conn.sock, "allowed", 0.0):
                self._reading.pop(conn, None)
                with contextlib.suppress(OSError):  # closed in this very moment
                    conn.sock.shutdown(socket.SHUT_RD)
        for conn, end in list(self._leaving.items()):
            if now > end:
                self._let_go(conn)
        if self.nr_conns >= self.worker_connections:
            self._make_room()

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """In the main loop: a thread is done with it."""
        if fs.cancelled() or fs.exception() is not None or fs.result() is not False:
            super().finish_request(conn, fs)
            return
        # what the client has sent and was not read would make the kernel take back what it was sent: so it closes first
        self._leaving[conn] = time.monotonic() + FAREWELL
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._on_last_bytes, conn))
        except (OSError, ValueError, KeyError):
            self._let_go(conn)

    def _on_last_bytes(self, conn: TConn, sock: socket.socket) -> None:
        try:
            received = sock.recv(_DROPPED)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._let_go(conn)

    def _let_go(self, conn: TConn) -> None:
        self._leaving.pop(conn, None)
        with contextlib.suppress(OSError, ValueError, KeyError):  # was not registered
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self) -> bool:
        """Close some connections, as any server may: those that have their answer, or have been idle longest. False for none."""
        idle = [conn for conn in (*self.pending_conns, *self.keepalived_conns) if _is_silent(conn.sock)]
        closable = [*self._leaving, *sorted(idle, key=lambda conn: conn.timeout or 0.0)]
        for conn in closable[: max(1, len(closable) // 8)]:
            for known in (self.pending_conns, self.keepalived_conns):
                if conn in known:
                    known.remove(conn)
            self._let_go(conn)
        return bool(closable)

    def _at_most(self, seconds: float) -> float:
        return min(seconds, PRESSED) if self._waiting else seconds

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


def _is_silent(sock: socket.socket) -> bool:
    """Whether nothing has come that was not read."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:  # nothing has come, or it is broken
        return True


def _nothing(number: int, frame: FrameType | None) -> None:
    """The answer to a signal that is not for this process."""
