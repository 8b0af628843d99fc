"""The front end as a process of its own, under gunicorn. Must not know the command line.

Several worker processes, each with threads, a bus and a store of its own, which it opens after the fork. They answer
from the first moment, so that `/readyz` can say what they wait for; whatever needs the bus or the store is a 503 until
both can be reached.
"""

from __future__ import annotations

import gc
import itertools
import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, cast

from gunicorn.app.base import BaseApplication
from werkzeug.middleware.proxy_fix import ProxyFix

from re_core import bootstrap, connections
from re_core.errors import BusUnavailable, OperatorError, ReleaseEngineError, StoreUnavailable, TransientError
from re_core.playbook.host_rules import AsWritten
from re_core.ports import Bus, Clock, Store
from re_core.ports.peering import REFUSALS
from re_core.process import DONE, Patience, leave, pinged, reach
from re_core.runtime import interpreter
from re_core.runtime.settings import Settings
from re_core.runtime.supervision import SupervisorNotifier
from re_core.services.inventory_watch import InventoryWatch
from re_core.usecases import workers
from re_core.usecases.artifact_pruning import DAY
from re_core.usecases.artifact_pushing import Bounds
from re_core.usecases.hosts import NoHosts
from re_core.wire import messages as m
from re_core.wire.redaction import Redaction
from re_rest import measuring
from re_rest.app import bind_services, create_app
from re_rest.app_context import AppContext, access_of
from re_rest.gunicorn_master import FAILED, REFUSED, Master, options, try_address, url_of

#: seconds without a sign of life after which the master replaces a worker process
TIMEOUT = 60

#: seconds that the master waits longer for a worker to end than that waits for its requests
MORE = 5

#: rows of figures beyond one for each process: a new one may begin before an old one has ended
SPARE_ROWS = 4

#: of the core, while the way to it is closed
_UNKNOWN = "unknown while the bus cannot be reached"

_log = logging.getLogger(__name__)


class NotYet:
    """In place of a bus or a store that could not be opened so far: every method raises what `why` makes."""

    def __init__(self, why: Callable[[], TransientError]) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        def refuse(*_: object, **__: object) -> NoReturn:
            raise self._why()

        return refuse


class Opening:
    """Opens store and bus on a thread of its own, and puts the application onto them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # no figures of a process: any of them may be the one that answers
        self.observation = connections.Observation(settings, "re-rest", process=False)
        self.http = self.observation.metrics.http(measuring.ROUTES, settings.http_workers + SPARE_ROWS)
        self.peers = self.observation.metrics.peers(REFUSALS, settings.http_workers + SPARE_ROWS)
        self._peering = bootstrap.open_peering(settings)
        self._seal = bootstrap.open_seal(settings) if settings.dploy else None
        self._waiting = {"store": "it is being opened", "bus": "it waits for the store"}
        store = cast(Store, NotYet(lambda: StoreUnavailable(self._waiting["store"] or "it is being opened")))
        bus = cast(Bus, NotYet(lambda: BusUnavailable(self._waiting["bus"] or "it is being opened")))
        self.app = create_app(self._services(bus, store, lambda: {**self._waiting, "core": _UNKNOWN}))
        if settings.http_proxies:
            count = settings.http_proxies
            self.app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as werkzeug documents it
                self.app.wsgi_app, x_for=count, x_proto=count, x_host=count
            )

    def begin(self) -> None:
        """Returns at once."""
        threading.Thread(target=self._open, name="opening", daemon=True).start()

    def _open(self) -> None:
        try:
            store = self._patiently("store", lambda: bootstrap.open_store(self._settings))
            bus = self._patiently("bus", lambda: reach(self._settings, store))
        except OperatorError as error:
            _log.critical("re-rest cannot run: %s", error, extra={"action": "cannot_go_on"})
            leave(REFUSED)
        except Exception as error:
            _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
            leave(FAILED)
        inventory = bootstrap.open_inventory(self._settings, store, _fatal)
        inventory.start()
        ready = partial(reachable, bus, store, connections.system_clock())
        bind_services(self.app, self._services(bus, store, ready, inventory))
        interpreter.settle()
        _log.info("re-rest is ready", extra={"action": "ready"})

    def _patiently(self, part: str, attempt: Callable[[], Any]) -> Any:
        def wait(error: TransientError) -> None:
            self._waiting[part] = str(error)

        found = Patience("re-rest", part, wait).until(attempt)
        self._waiting[part] = ""
        return found

    def _services(
        self, bus: Bus, store: Store, ready: Callable[[], Mapping[str, str]], inventory: InventoryWatch | None = None
    ) -> AppContext:
        clock = connections.system_clock()
        return AppContext(
            bus=bus,
            store=store,
            clock=clock,
            around=bootstrap.around(self._settings, inventory or AsWritten()),
            ready=ready,
            degraded=lambda: {**degraded(store, clock), **(inventory.degraded() if inventory else {})},
            redaction=Redaction(self._settings.redact),
            request_timeout=self._settings.request_timeout,
            viewers=max(1, self._settings.http_threads * 3 // 4),
            artifacts=Bounds(self._settings.artifact_limit, self._settings.artifact_quota),
            artifact_keep=int(self._settings.artifact_keep * DAY),
            observer=self.observation.observer,
            metrics=self.observation.metrics.page,
            answered=self.http.answered,
            peering=access_of(self._peering, self._settings, self.peers.refused),
            seal=self._seal,
            secret_seal=bootstrap.open_secret_seal(self._settings),
            exchange=self._settings.exchange,
            inventory=inventory or NoHosts(),
        )


def reachable(bus: Bus, store: Store, clock: Clock) -> dict[str, str]:
    """Bus, store and core -> why it cannot be reached; empty where it can."""
    troubles = {"bus": pinged(bus.ping), "store": pinged(store.ping)}
    try:
        core = "" if bus.consumers(m.JOB_CREATE) else f"no re-core consumes {m.JOB_CREATE}; start one"
        if not core and not troubles["store"]:
            troubles["store"] = workers.unwritten(store, clock)
    except ReleaseEngineError:
        core = _UNKNOWN
    return {**troubles, "core": core}


def degraded(store: Store, clock: Clock) -> dict[str, str]:
    """Transport -> why a live worker cannot reach its server; empty while the store cannot be read, which `ready` reports."""
    try:
        return workers.degraded(store, clock)
    except ReleaseEngineError:
        return {}


def _fatal(error: Exception) -> None:
    """A thread of this process cannot go on; it was logged. Another process takes its place."""
    leave(REFUSED if isinstance(error, OperatorError) else FAILED)


class Server(BaseApplication):
    """gunicorn's master and its workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = Opening(settings)
        super().__init__()

    def run(self) -> None:
        """Serve until a stop signal; exits. Raises OperatorError where it cannot listen."""
        try_address(*self._settings.http_address)
        # what is loaded and made before the fork is in memory once, as long as it is not written to, not even by the
        # collector of garbage
        bootstrap.load_adapters(self._settings)
        gc.freeze()
        NotifyingMaster(self).run()

    def load_config(self) -> None:
        """gunicorn's settings."""
        grace = int(self._settings.stop_timeout)
        chosen = options(self._settings) | {
            "workers": self._settings.http_workers,
            "timeout": TIMEOUT,
            "graceful_timeout": grace + MORE,
            "proc_name": "re-rest",
            "when_ready": _on_listening,
            "pre_fork": _give_row,
            "post_fork": partial(self._in_worker, grace),
            "worker_exit": self._on_worker_exit,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def _in_worker(self, grace: int, server: Any, worker: Any) -> None:
        worker.cfg.set("graceful_timeout", grace)
        self._opening.http.use_row(worker.row)
        self._opening.peers.use_row(worker.row)

    def _on_worker_exit(self, server: Any, worker: Any) -> None:
        # threads that wait for the bus, or write to a viewer that reads nothing, would delay the interpreter's end
        if worker.booted:
            self._opening.observation.close()
            leave(DONE)

    def load(self) -> Any:
        """In a worker: an application that answers, and will do more once bus and store are there."""
        self._opening.begin()
        return self._opening.app


class NotifyingMaster(Master):
    """A master that notifies its supervisor of its stop; of its start, gunicorn does."""

    def stop(self, graceful: bool = True) -> None:
        """See Master."""
        _log.info("re-rest is stopping", extra={"action": "stop"})
        SupervisorNotifier(os.environ).stops()
        super().stop(graceful)


def _give_row(server: Any, worker: Any) -> None:
    """The first row of figures that no living process adds to."""
    taken = {getattr(other, "row", None) for other in server.WORKERS.values()}
    worker.row = next(row for row in itertools.count() if row not in taken)


def _on_listening(server: Any) -> None:
    _log.info("re-rest listens at %s", url_of(server.LISTENERS), extra={"action": "listening"})
