"""gunicorn's master and worker, held to one engine at a time. Must not know what the engine is made of.

gunicorn's own answers to signals suit workers that there may be many of: HUP starts a second one beside the first, TTIN
one more, USR2 a whole second master, INT and QUIT cut what runs. Here whatever means "end" ends it in order, and the
rest does nothing. INT and HUP of a terminal reach the worker as well as the master; only the master's TERM counts there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any, NoReturn

from flask import Flask
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.workers.gthread import TConn, ThreadWorker

from re_core.errors import OperatorError
from re_rest.app import close_streams

#: exit code where the engine cannot begin or go on: somebody must act
CANNOT = 2

#: exit code of a worker that cannot go on and must not be followed by another
REFUSED: int = Arbiter.APP_LOAD_ERROR

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


class Master(Arbiter):
    """gunicorn's master, which never has two workers, and ends in order whatever it is told to end by."""

    #: the worker could not begin or go on
    refused = False

    def init_signals(self) -> None:
        """Under nohup, HUP stays ignored."""
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        super().init_signals()
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def start(self) -> None:
        """Bind. Raises OperatorError where the address cannot be had."""
        try:
            super().start()
        except SystemExit:  # somebody took it in this very moment; gunicorn has said more on stderr
            raise _refused(", ".join(self.cfg.bind), "taken") from None

    def handle_int(self) -> None:
        """Ctrl-C. A second one while it stops cuts that short."""
        self.handle_term()

    def handle_quit(self) -> None:
        """As TERM."""
        self.handle_term()

    def handle_hup(self) -> None:
        """The terminal is gone: as TERM. Settings are read at start only."""
        self.handle_term()

    def handle_ttin(self) -> None:
        """Never two engines on one directory."""

    def handle_ttou(self) -> None:
        """Nor none."""

    def handle_usr2(self) -> None:
        """Nor two masters."""

    def stop(self, graceful: bool = True) -> None:
        """Stop the worker; how it ends is no reason to stop stopping."""
        try:
            super().stop(graceful)
        except HaltServer:
            self.refused = True

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit: 0 where it was told to, else CANNOT."""
        try:
            super().halt(reason, exit_status)
        except SystemExit as end:
            raise SystemExit(CANNOT if end.code or self.refused else 0) from None


def leave(code: int) -> NoReturn:
    """End this process now: threads that write to a viewer who reads nothing would hold the interpreter's end up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _nothing(number: int, frame: FrameType | None) -> None:
    """The answer to a signal that is not for this process."""


def try_address(host: str, port: int) -> None:
    """gunicorn would try for five seconds, with two lines on stderr for each. Raises OperatorError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise _refused(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", error.strerror or str(error)) from error


def _refused(where: str, why: str) -> OperatorError:
    return OperatorError(f"RE_HTTP: cannot listen on {where}: {why}; stop what listens there, or name another address")
