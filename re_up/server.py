"""The engine under gunicorn. Must not know where settings come from, nor the command line.

One worker process with many threads: the engine is that process, so there must never be two. No timeout and no
restart by request count (either would kill running steps), no control socket. The engine starts after the fork.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from re_core.settings import Settings
from re_rest.app import close_streams, create_app
from re_up.engine import Engine

#: seconds that requests under way get after TERM
REQUESTS = 3

#: seconds that steps under way get after the requests
STEPS = 7.0

_log = logging.getLogger(__name__)


class StreamingWorker(ThreadWorker):
    """gunicorn's threaded worker, which ends live streams when it is told to stop instead of waiting for them."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM. The streams are closed by the main loop: a signal handler must take no lock."""
        super().handle_exit(sig, frame)
        if isinstance(self.wsgi, Flask):
            self.method_queue.defer(lambda: close_streams(self.wsgi))


class Server(BaseApplication):
    """gunicorn's master and its one worker."""

    #: the kind of worker
    worker: type[ThreadWorker] = StreamingWorker

    def __init__(self, settings: Settings, on_ready: Callable[[str], None]) -> None:
        """`on_ready` hears, in the worker, the URL under which the engine answers from now on."""
        self._settings = settings
        self._on_ready = on_ready
        self._engine: Engine | None = None
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings: ours, and nothing from its own files or variables."""
        host, port = self._settings.http_address
        chosen: dict[str, Any] = {
            "bind": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "workers": 1,
            "worker_class": self.worker,
            "threads": self._settings.http_threads,
            "timeout": 0,
            "graceful_timeout": REQUESTS,
            "max_requests": 0,
            "keepalive": 30,
            "control_socket_disable": True,
            "proc_name": "release-engine",
            "loglevel": "warning",
            "worker_exit": self._on_worker_exit,
            "post_worker_init": self._on_worker_ready,
            "limit_request_line": 8190,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker: start the engine, and give back the application that speaks for it."""
        self._engine = Engine(self._settings)
        self._engine.start()
        return create_app(self._engine.services())

    def _on_worker_ready(self, worker: Any) -> None:
        host, port = worker.sockets[0].getsockname()[:2]
        if host in ("0.0.0.0", "::"):  # noqa: S104  # not bound here, only recognised
            host = "127.0.0.1"
        self._on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    def _on_worker_exit(self, server: Any, worker: Any) -> None:
        if self._engine is not None:
            self._engine.stop(STEPS)
            self._engine = None
        left = [thread.name for thread in threading.enumerate() if not thread.daemon]
        _log.debug("threads at the end: %s", ", ".join(left))
