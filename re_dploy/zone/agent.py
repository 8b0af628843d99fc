"""The agent of a zone: all of its apps. What sockets call; must not know sockets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from re_core.errors import OperatorError
from re_dploy.wire import Answer, Ask, Control, Order, Report, Stop, StopAnswer
from re_dploy.zone import reporting, restricted
from re_dploy.zone.answering import refusal
from re_dploy.zone.config import ZoneConfig
from re_dploy.zone.disk import WAIT, ZoneDisk, remove_tree
from re_dploy.zone.fetching import Center, Fetcher
from re_dploy.zone.gone import Gone
from re_dploy.zone.launching import Launcher, minor_version
from re_dploy.zone.leftovers import Children
from re_dploy.zone.modes import Modes
from re_dploy.zone.router import Router
from re_dploy.zone.shim import boot_id
from re_dploy.zone.state import App
from re_dploy.zone.worker import AppWorker, Left

_log = logging.getLogger(__name__)

#: apps of one zone
MAX_APPS = 256

#: seconds between two looks for orphans
SWEEP = 5.0

#: seconds after which an app of which nothing runs leaves the zone; and where another one needs its place
KEPT, MAKE_ROOM = 3600.0, 10.0

_T = TypeVar("_T")


class Agent:
    """Holds the zone's directory from its making until `stop`. All methods may be called on any thread."""

    def __init__(
        self,
        config: ZoneConfig,
        center: Callable[[], Center] | None = None,
        children: Children | None = None,
        wait: float = WAIT,
    ) -> None:
        """`center` makes a socket to it. Raises OperatorError, BadSettings; the directory is free then."""
        self._config = config
        self._children = children or Children()
        gaps = restricted.gaps(bool(config.users), config.user is not None)
        if config.is_required and gaps:
            raise OperatorError(f"isolation is required, and {gaps[0]}")
        for gap in gaps:
            _log.warning("%s; see docs/how-to/run-zones.md", gap, extra={"action": "zone_not_confined"})
        python = minor_version(config.python)
        self._disk = ZoneDisk(config.directory, config.zone, wait)
        try:
            self._launcher = Launcher(config, self._disk, self._children)
            self._router = Router(config.directory / "router", config.reload, self._loaded, self._children)
            self._fetcher = Fetcher(
                config.directory / "incoming", config.cargo_root, center, self._disk.free, config.cargo_hosts
            )
            self._python = python
            self._lock = threading.RLock()
            self._gone = Gone(config.directory / "gone.json")
            for name in self._gone.names():  # a proxy that names it refuses a table without it
                past = self._gone.of(name).app
                self._router.set(name, past.revision, past.addresses)
            self._workers = self._found()
            is_shared = not config.users and config.user is None
            self._modes = Modes((config.directory, *config.hidden) if is_shared else ())
        except BaseException:
            self._disk.close()
            raise
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="zone-orphans", daemon=True)

    @property
    def id(self) -> str:
        """Random, of the directory."""
        return self._disk.id

    def start(self) -> None:
        """Take up what runs, and go on with open orders."""
        self._router.start()
        for worker in self._all():
            worker.start()
        self._sweeper.start()

    def stop(self, end_apps: bool | None = None, grace: float = 10.0) -> None:
        """Do nothing more. Apps go on, unless `end_apps` (None: as configured) ends them, by force after `grace` seconds."""
        self._stopping.set()
        if self._sweeper.ident is not None:
            self._sweeper.join()
        workers = self._all()
        for worker in workers:
            worker.stop()
        if self._config.ends_apps if end_apps is None else end_apps:
            ends = [threading.Thread(target=worker.end_processes, args=(grace,)) for worker in workers]
            for end in ends:
                end.start()
            for end in ends:
                end.join()
        for worker in workers:
            worker.close()
        self._router.stop()
        self._disk.close()

    def order(self, order: Order) -> Answer:
        """An order to run a release."""
        if self._stopping.is_set():
            return refusal("stopping", "the agent of this zone is about to stop")
        worker = self._workers.get(order.app)
        if not (worker is not None and worker.has(order)) and self._disk.free() < self._config.min_free:
            return refusal("disk-full", f"{self._disk.free()} bytes are free, {self._config.min_free} are needed")
        try:
            answer = self._tell(order.app, lambda worker: worker.order(order), is_new=True)
            assert answer is not None  # noqa: S101 - it is made where it is missing
            return answer
        except OperatorError as error:
            return refusal("busy", str(error))
        except OSError as error:
            return refusal("disk-full", f"the order cannot be stored: {error.strerror}")

    def control(self, control: Control) -> Answer:
        """A word about an app."""
        try:
            answer = self._tell(control.app, lambda worker: worker.control(control))
            return answer or refusal("unknown-app", f"{control.app} is unknown here")
        except OperatorError as error:
            return refusal("busy", str(error))
        except OSError as error:
            return refusal("disk-full", f"the word cannot be stored: {error.strerror}")

    def stop_apps(self, stop: Stop) -> StopAnswer:
        """Stop apps, now."""
        states: dict[str, str] = {}
        refused: dict[str, str] = {}
        for name in stop.apps:
            try:
                epoch, id = stop.epochs.get(name, 0), stop.app_ids.get(name, "")
                state, why = self._tell(name, lambda worker: worker.stop_app(epoch, id)) or ("unknown", "")  # noqa: B023 - called at once
            except OperatorError as error:
                state, why = "refused", str(error)
            except OSError as error:
                state, why = "refused", f"that cannot be stored: {error.strerror}"
            if state == "refused":
                refused[name] = why
            else:
                states[name] = state
        return StopAnswer(states, refused)

    def report(self, ask: Ask) -> Report:
        """What runs, and what the center asked for."""
        workers = {worker.name: worker for worker in self._all()}
        # what is stored of the directory before says nothing of these routes, which are numbered from the start again
        routes = ask.routes if ask.id == self._disk.id else {}
        for name, worker in workers.items():
            worker.heard(routes.get(name))
        return reporting.report(self._config.zone, self._disk.id, boot_id(), workers, ask)

    def _found(self) -> dict[str, AppWorker]:
        """Those that have a directory. One that cannot be read is left as it is, and the others go on."""
        found = {}
        for name in self._disk.apps():
            try:
                found[name] = self._worker(name)
            except (OSError, OperatorError) as error:
                _log.error("%s is not supervised: %s", name, error, extra={"action": "zone_app_unreadable"})
        return found

    def _tell(self, name: str, tell: Callable[[AppWorker], _T], is_new: bool = False) -> _T | None:
        """What the app answers; None: it is unknown here. `is_new`: it may become known. Raises OperatorError, OSError."""
        while True:
            with self._lock:
                worker = self._workers.get(name)
                if worker is None and (is_new or name in self._disk.apps()):
                    worker = self._made(name)
            if worker is None:
                return None
            with suppress(Left):
                return tell(worker)

    def _made(self, name: str) -> AppWorker:
        """Under the lock. Raises OperatorError, also for one that cannot be read; OSError."""
        if len(self._workers) >= min(MAX_APPS, len(self._config.users) or MAX_APPS):
            self._remove_idle(MAKE_ROOM, 1)
        if len(self._workers) >= MAX_APPS:
            raise OperatorError(
                f"this zone runs {MAX_APPS} apps, which is the most: destroy one, or give {name} other zones"
            )
        worker = self._worker(name)
        worker.start()
        self._workers = {**self._workers, name: worker}
        return worker

    def _worker(self, name: str) -> AppWorker:
        disk, past = self._disk.app(name), self._gone.of(name)
        return AppWorker(name, disk, self._launcher, self._fetcher, self._router, self._python, past)

    def _remove_idle(self, seconds: float, most: int = MAX_APPS) -> None:
        """Remove apps that have been idle for so long, with all that they left: first those that have been longest."""
        now = time.monotonic()
        idle = sorted(((one.idle(now), one) for one in self._all()), key=lambda one: -one[0])
        for worker in [worker for since, worker in idle if since >= seconds][:most]:
            try:
                self._remove(worker, seconds)
            except OSError as error:
                _log.warning("%s cannot be removed: %s", worker.name, error, extra={"action": "zone_leftover"})

    def _remove(self, worker: AppWorker, seconds: float) -> None:
        def remove(app: App, log: int) -> Path:
            self._gone.add(app, log)
            return self._disk.drop(app.app)

        with self._lock:
            left = worker.leave(remove, seconds)
            if left is None:
                return
            self._workers = {name: one for name, one in self._workers.items() if one is not worker}
        remove_tree(left)
        text = "%s was removed: nothing of it has run for %.0f s"
        _log.info(text, worker.name, seconds, extra={"action": "zone_app_removed"})

    def _all(self) -> list[AppWorker]:
        with self._lock:
            return [self._workers[name] for name in sorted(self._workers)]

    def _loaded(self, revisions: Mapping[str, int]) -> None:
        for worker in self._all():
            if worker.name in revisions:
                worker.loaded(revisions[worker.name])

    def _sweep(self) -> None:
        while not self._stopping.wait(SWEEP):
            if ended := self._children.end_orphans():
                _log.warning("ended processes %s, whose shims were killed", ended, extra={"action": "orphans_ended"})
            self._modes.mend()
            self._remove_idle(KEPT)
