"""Core, workers and notifiers in one process. Must not know HTTP servers or the command line."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from re_core import bootstrap, connections
from re_core.errors import OperatorError, ReleaseEngineError, StoreUnavailable
from re_core.ports import Observer
from re_core.ports.peering import REFUSALS
from re_core.runtime import interpreter
from re_core.runtime.lock import DirectoryLock
from re_core.runtime.settings import Settings
from re_core.usecases.artifact_pruning import DAY
from re_core.usecases.artifact_pushing import Bounds
from re_core.wire.redaction import Redaction
from re_dploy.opening import open_embedded
from re_dploy.surroundings import Surroundings
from re_gateways.forest.opening import listen, open_gateway
from re_rest import measuring
from re_rest.app_context import AppContext, access_of
from re_up.orphan_policy import OrphanPolicy
from re_up.tokens import ensure_token, write_private
from re_workers.host import WorkerHost
from re_workers.hosts.ssh import sockets
from re_workers.notify.reach import Reach
from re_workers.notify.transports import policy, probes
from re_workers.steps.orphans import ENGINE, end_orphans
from re_workers.worker_selection import handlers, secrets, surroundings, sweep, workers

if TYPE_CHECKING:
    from re_dploy.embedded import Embedded

#: seconds that a stopping engine is awaited by the one that follows it in the same process tree
PREDECESSOR = 40.0

#: seconds in which the engine's own workers must have registered
REGISTRATION = 10.0

#: seconds that the core gets at least to write down how the last steps ended
FINISH = 3.0

_log = logging.getLogger(__name__)


class Engine:
    """Everything but HTTP. Made in the process that uses it: threads and connections do not survive a fork."""

    def __init__(self, settings: Settings) -> None:
        """Open the store and take over what an earlier process left. Raises OperatorError, StoreUnavailable."""
        #: it ends because an operator must act
        self.refused = False
        self._settings = settings
        self._lock = DirectoryLock(settings.data_dir, "engine.lock")
        self._lock.acquire(f"the engine with process id {os.getpid()}", PREDECESSOR)
        identity = hashlib.sha256(str(settings.data_dir.resolve()).encode()).hexdigest()[:16]
        self.clock = connections.system_clock()
        self.store = bootstrap.open_store(settings)
        # before their steps are called lost: what a killed engine started must not go on behind the new one's back
        ended = end_orphans(identity, OrphanPolicy(self.store))
        if ended:
            _log.warning(
                "ended processes that a killed engine had left running: %s", ended, extra={"action": "end_orphans"}
            )
        sockets.end_left(identity)
        sweep(settings)
        self.bus = connections.open_bus(settings, self.store)
        #: None: there are no pipelines for others
        self.peering = bootstrap.open_peering(settings, make_key=True)
        #: None: apps are neither built nor run, and no config of one is kept
        self.seal = bootstrap.open_seal(settings, make_key=True) if settings.dploy else None
        #: None: no secret can be kept in the store
        self.secret_seal = bootstrap.open_secret_seal(settings, make_key=True)
        self._observation = connections.Observation(settings, "rectl up")
        observer = self._observation.observer
        self._peers = self._observation.metrics.peers(REFUSALS)
        self.core = bootstrap.Core(
            settings,
            self.bus,
            self.store,
            self.clock,
            self._fatal,
            observer=observer,
            peering=self.peering,
            refused=self._peers.refused,
            secret_seal=self.secret_seal,
        )
        self._reach = Reach(probes(settings))
        self._hosts = surroundings(settings, identity)
        self._host = self._opened_host(identity, observer)
        self._observation.watch(self.core, self.store, self.clock)
        self._dploy = self._opened_dploy(identity, observer) if self.seal is not None else None
        self._gateway = None
        if settings.forest_listen:
            self._gateway = open_gateway(settings, self.bus, self.store, self.clock, observer, alone=True)
        self._observation.metrics.watch_running(self._running)
        self._http = self._observation.metrics.http(measuring.ROUTES)
        self._observation.listen(settings)

    def _opened_host(self, identity: str, observer: Observer) -> WorkerHost:
        """The workers and notifiers of this process."""
        settings, transports = self._settings, handlers(self._settings)
        mine = workers(settings, identity, transports, hosts=self._hosts)
        for worker in mine:
            worker.alone = True
        return WorkerHost(
            self.bus,
            self.clock,
            mine,
            transports,
            redaction=Redaction(settings.redact),
            observer=observer,
            secrets=secrets(settings),
            notices=policy(settings),
        )

    def start(self) -> None:
        """Begin; returns when deployments can be accepted. Raises StoreUnavailable."""
        ensure_token(self._settings.data_dir / "token", self.store, self.clock)
        self.core.recover(self._bind())
        self.core.start()
        self._host.start()
        if self._gateway is not None:
            self._gateway.start()
        if self._dploy is not None:
            self._dploy.start()
        self._reach.start()
        self._await_registration()
        interpreter.settle()

    def stop(self, deadline: float) -> None:
        """Finish what can be finished in `deadline` seconds. The next start continues with the rest."""
        end = time.monotonic() + deadline
        self._reach.stop()
        if self._dploy is not None:
            self._dploy.stop(deadline * 0.6)
        if self._gateway is not None:
            self._gateway.stop(deadline * 0.3)
        self._host.stop(max(FINISH, end - time.monotonic() - deadline * 0.2))
        self._hosts.close()
        self.core.stop(max(FINISH, end - time.monotonic()))
        self.bus.close()
        self._observation.close()
        self.store.close()
        self._lock.release()

    def services(self) -> AppContext:
        """What the front end needs."""
        return AppContext(
            bus=self.bus,
            store=self.store,
            clock=self.clock,
            around=bootstrap.around(self._settings, self.core.inventory),
            ready=self.ready,
            degraded=self._degraded,
            trouble=self.core.trouble,
            request_timeout=self._settings.request_timeout,
            alone=True,
            redaction=Redaction(self._settings.redact),
            viewers=max(1, self._settings.http_threads * 3 // 4),
            artifacts=Bounds(self._settings.artifact_limit, self._settings.artifact_quota),
            artifact_keep=int(self._settings.artifact_keep * DAY),
            observer=self._observation.observer,
            metrics=self._observation.metrics.page,
            answered=self._http.answered,
            peering=access_of(self.peering, self._settings, self._peers.refused),
            seal=self.seal,
            secret_seal=self.secret_seal,
            inventory=self.core.inventory,
        )

    def _degraded(self) -> Mapping[str, str]:
        dploy = {} if self._dploy is None else self._dploy.degraded()
        return {**self._reach.trouble(), **dploy, **self.core.inventory.degraded()}

    def ready(self) -> Mapping[str, str]:
        """Part -> why it cannot be used; empty where it can."""
        store = ""
        try:
            self.store.ping()
        except ReleaseEngineError as error:
            store = str(error)
        forest = {} if self._gateway is None else self._gateway.ready()
        dploy = {} if self._dploy is None else self._dploy.ready()
        return {"bus": "", "store": store or self.core.unwritten(), "core": self.core.trouble(), **forest, **dploy}

    def _opened_dploy(self, identity: str, observer: Observer) -> Embedded:
        """Raises BadSettings."""
        assert self.seal is not None  # noqa: S101  # the caller has looked
        marks = {ENGINE: identity}
        here = Surroundings(self.bus, self.store, self.clock, self.seal, self._fatal, observer, marks)
        opened = open_embedded(self._settings, here)
        self._observation.metrics.watch_zones(opened.figures)
        return opened

    def _bind(self) -> list[str]:
        """Let runners connect, before the core judges what the last process left; the attempts that go on with them."""
        if self._dploy is not None:
            self._dploy.bind()
        if self._gateway is None:
            return []
        where = listen(self._settings, self._gateway)
        write_private(self._settings.data_dir / "forest", where + "\n")
        return self._gateway.spared()

    def _running(self) -> list[str]:
        parts = [one for one in (self._host, self._gateway, self._dploy) if one is not None]
        return [attempt for part in parts for attempt in part.running()]

    def _await_registration(self) -> None:
        """Playbooks are checked against what registered workers offer, so the first request must find them."""
        end = time.monotonic() + REGISTRATION
        wanted = {self._host.identity, *(part.id for part in (self._gateway, self._dploy) if part is not None)}
        while not wanted <= {worker.id for worker in self.store.workers()}:
            if time.monotonic() > end:
                raise StoreUnavailable("the engine's own workers could not be registered")
            time.sleep(0.01)

    def _fatal(self, error: Exception) -> None:
        """A consumer cannot go on. Where an operator must act the whole server ends; else a fresh process takes over."""
        if isinstance(error, OperatorError):
            self.refused = True
            os.kill(os.getppid(), signal.SIGTERM)
        else:
            os._exit(1)
