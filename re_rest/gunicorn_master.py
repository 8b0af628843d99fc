"""gunicorn's master, its log and its settings, for every process of ours that serves HTTP. Must not know what is served.

Whatever means "end" ends it in order. gunicorn's own answers suit programs that are reloaded: HUP starts new workers
beside the old, USR2 a whole second master, INT and QUIT cut what runs.
"""

from __future__ import annotations

import resource
import signal
import socket
from types import FrameType
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger

from re_core.errors import OperatorError
from re_core.process import BROKEN, CANNOT, DONE, ENDS
from re_core.runtime.settings import Settings
from re_rest.streaming import StreamingWorker

#: exit code of a worker that cannot go on and must not be followed by another: an operator must act
REFUSED: int = Arbiter.APP_LOAD_ERROR

#: the same after a bug of the engine: the whole program ends, and its supervisor starts it again
FAILED: int = Arbiter.WORKER_BOOT_ERROR

#: connections of one process at most, most of them idle
CONNECTIONS = 1000


class OwnLog(Logger):
    """gunicorn's messages as records of ours: they go where all others go."""

    def setup(self, cfg: Any) -> None:
        """No handler of its own."""
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """The worker that refused has logged why."""
        if not (args and args[-1] == REFUSED):
            super().error(msg, *args, **kwargs)


class Master(Arbiter):
    """gunicorn's master, which ends in order after any stop signal."""

    #: a worker could not begin or go on: an operator must act
    refused = False

    #: it has got a stop signal
    _stopping = False

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
        except SystemExit:  # another process took it in this very moment; gunicorn has said more on stderr
            raise _refused(", ".join(self.cfg.bind), "taken") from None

    def handle_int(self) -> None:
        """Ctrl-C. A second one while it stops cuts that short."""
        self.handle_term()

    def handle_quit(self) -> None:
        """As TERM."""
        self.handle_term()

    def handle_hup(self) -> None:
        """The terminal was closed: as TERM. Settings are read at start only."""
        self.handle_term()

    def handle_usr2(self) -> None:
        """Never two masters."""

    def signal(self, sig: int, frame: FrameType | None) -> None:
        """While it stops, gunicorn listens to INT only: whatever means "end" cuts that short."""
        super().signal(signal.SIGINT if self._stopping and sig in ENDS else sig, frame)

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers; how one ends is no reason to stop stopping."""
        self._stopping = True
        try:
            super().stop(graceful)
        except HaltServer as end:
            self.refused = end.exit_status == REFUSED

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit: 0 after a stop signal, CANNOT where an operator must act, else BROKEN."""
        try:
            super().halt()  # without the reason, which the worker has logged
        except SystemExit:
            if exit_status == REFUSED or self.refused:
                raise SystemExit(CANNOT) from None
            raise SystemExit(BROKEN if exit_status else DONE) from None


def options(settings: Settings) -> dict[str, Any]:
    """gunicorn's settings: ours, and nothing from its own files or variables."""
    host, port = settings.http_address
    return {
        "bind": place_of(host, port),
        "worker_class": StreamingWorker,
        "threads": settings.http_threads,
        "worker_connections": _connections(settings.http_threads),
        "max_requests": 0,
        "keepalive": 30,
        "control_socket_disable": True,
        "logger_class": OwnLog,
        "loglevel": "warning",
        "limit_request_line": 8190,
    }


def _connections(threads: int) -> int:
    """How many one process holds at a time: half of the descriptors that it may have, and some for idle ones in any case."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(threads + 16, min(CONNECTIONS, files // 2 if files > 0 else CONNECTIONS))


def url_of(sockets: Any) -> str:
    """Where this machine reaches what listens there."""
    host, port = sockets[0].getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  # not bound here, only recognised
        host = "127.0.0.1"
    return f"http://{place_of(host, port)}"


def place_of(host: str, port: int) -> str:
    """Host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def try_address(host: str, port: int) -> None:
    """gunicorn would try for five seconds, with two lines on stderr for each. Raises OperatorError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise _refused(place_of(host, port), error.strerror or str(error)) from error


def _refused(where: str, why: str) -> OperatorError:
    return OperatorError(
        f"RE_HTTP: cannot listen on {where}: {why}; stop the program that listens there, or set another address"
    )
