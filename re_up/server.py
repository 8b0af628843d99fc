"""The engine under gunicorn. Must not know where settings come from, nor the command line.

One worker process with many threads: the engine is that process, so there must never be two. No timeout and no
restart by request count (either would kill running steps), no control socket. The engine starts after the fork.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError
from gunicorn.workers.gthread import ThreadWorker

from re_core.errors import ReleaseEngineError
from re_core.process import leave
from re_core.runtime.settings import Settings
from re_rest.app import create_app
from re_rest.gunicorn_master import REFUSED, Master, options, try_address, url_of
from re_rest.streaming import StreamingWorker
from re_up.engine import Engine

#: seconds that requests under way get after TERM
REQUESTS = 3

#: seconds that the engine gets after the requests to end its steps: they are cancelled so early that their outcome is sent within it
STEPS = 7.0

#: seconds after which the master kills a worker that has not ended: requests, steps, and the time between a program's
#: TERM and its KILL
STOP = 30


class OnlyMaster(Master):
    """A master that never has two workers, nor none: the engine is its worker."""

    def handle_ttin(self) -> None:
        """Never two engines on one directory."""

    def handle_ttou(self) -> None:
        """Nor none."""


class Server(BaseApplication):
    """gunicorn's master and its one worker."""

    #: the kind of worker
    worker: type[ThreadWorker] = StreamingWorker

    def __init__(self, settings: Settings, on_ready: Callable[[str], None]) -> None:
        """`on_ready` is called, in the worker, with the URL under which the engine answers from now on."""
        self._settings = settings
        self._on_ready = on_ready
        self._engine: Engine | None = None
        super().__init__()

    def run(self) -> None:
        """Serve until a stop signal; exits. Raises OperatorError where it cannot listen."""
        try_address(*self._settings.http_address)
        OnlyMaster(self).run()

    def load_config(self) -> None:
        """gunicorn's settings: ours, and nothing from its own files or variables."""
        chosen = options(self._settings) | {
            "workers": 1,
            "worker_class": self.worker,
            "timeout": 0,
            "graceful_timeout": STOP,
            "proc_name": "release-engine",
            "post_fork": _in_worker,
            "worker_exit": self._on_worker_exit,
            "post_worker_init": self._on_worker_ready,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """In the worker: start the engine, and return its application."""
        try:
            engine = Engine(self._settings)
            engine.start()
        except ReleaseEngineError as error:
            # gunicorn prints this one without a traceback, and its master ends
            raise AppImportError(f"rectl: {error}") from error
        self._engine = engine
        return create_app(engine.services())

    def _on_worker_ready(self, worker: Any) -> None:
        self._on_ready(url_of(worker.sockets))

    def _on_worker_exit(self, server: Any, worker: Any) -> None:
        if self._engine is not None:
            self._engine.stop(STEPS)
            leave(REFUSED if self._engine.refused else 0)


def _in_worker(server: Any, worker: Any) -> None:
    """gunicorn gives both one number of seconds; the master's has to cover what the worker does after its requests."""
    worker.cfg.set("graceful_timeout", REQUESTS)
