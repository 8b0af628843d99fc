"""One app of a zone: carries out what `machine` decides, on a thread of its own. Must not know sockets.

Words come in on other threads; what they change is on disk before they are answered, and the thread goes on from there.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from re_core.errors import OperatorError, ReleaseEngineError
from re_dploy.wire import Answer, Control, Order
from re_dploy.zone import answering, log_reader, machine, prune, releases
from re_dploy.zone.agent_log import AgentLog
from re_dploy.zone.disk import AppDisk
from re_dploy.zone.fetching import Fetcher
from re_dploy.zone.gone import Past
from re_dploy.zone.launching import Launcher
from re_dploy.zone.machine import Act, End, Fetch, Save, Say, Seen, Start, Unpack
from re_dploy.zone.process import Process
from re_dploy.zone.restarts import Restarts
from re_dploy.zone.router import Router
from re_dploy.zone.state import RELEASE, RUN, App, Instance, Open
from re_dploy.zone.supervise import find, is_of_earlier_boot

_log = logging.getLogger(__name__)

#: seconds between two looks: while something is about to change by itself, while the center has to speak, and otherwise
BUSY, WAITING, IDLE = 0.1, 0.5, 2.0

#: seconds after a disk that is full, or another failure of the system
TROUBLE = 2.0

#: seconds between two looks at how much a process has in its TMPDIR, and the bytes that it may have
TMP_LOOK, MAX_TMP = 30.0, 1024 * 1024 * 1024

#: lists of acts in one turn
ACTS = 50

#: of which it is remembered when the proxy and the center had them
REVISIONS = 20


class Left(Exception):
    """The app was removed from the zone between two steps of the caller's."""


class AppWorker:
    """To be shared between threads: what it knows is changed under its lock."""

    def __init__(
        self, name: str, disk: AppDisk, launcher: Launcher, fetcher: Fetcher, router: Router, python: str, past: Past
    ) -> None:
        """`python`: minor version that this zone gives. `past`: what an app of this name begins with.

        Raises OperatorError for an app.json that cannot be read, OSError.
        """
        self.name = name
        self.disk = disk
        self._launcher = launcher
        self._fetcher = fetcher
        self._router = router
        self._python = python
        self.app = disk.load(past.app)
        self.log = AgentLog(disk.dir, past.log)
        self.lock = threading.RLock()
        self.contents = releases.found(disk.releases)
        self.processes: dict[int, Process] = {}
        self.restarts = Restarts()
        self._acks: dict[int, tuple[float, float]] = {}
        self._loaded: dict[int, float] = {}
        self._word = self._used = time.monotonic()
        self._job: threading.Thread | None = None
        self._stopping = self._left = False
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"zone-{name}", daemon=True)
        self._adopt()
        self._router.set(name, self.app.revision, self.app.addresses)

    # -- words

    def order(self, order: Order) -> Answer:
        """An order to run a release. Raises OSError where it cannot be stored, Left."""
        with self._here():
            answer, app = answering.take_order(self.app, order)
            if app.app_id != self.app.app_id:
                self.disk.drop_env()
            if not answer.refused and not order.plain:
                self.disk.save_env(order.version, order.env)
            self._changed(app)
            return answer

    def has(self, order: Order) -> bool:
        """Whether the order needs no room on the disk: its release is there, or the order is known."""
        with self.lock:
            there = any(one.contents.release.digest == order.digest for one in self.contents.values())
            return there or self.app.outcome(order.order) is not None

    def control(self, control: Control) -> Answer:
        """A word about the app. Raises OSError where it cannot be stored, Left."""
        with self._here():
            answer, app = answering.take_control(self.app, control)
            self._changed(app)
            if answer.state == "accepted" and control.do in ("signal", "stop-run"):
                self._deliver(control)
            return answer

    def stop_app(self, epoch: int, app_id: str) -> tuple[str, str]:
        """Stop it: `stopping`, `unknown` or `refused`, and why it is refused. Raises OSError where that cannot be stored, Left."""
        with self._here():
            state, why, app = answering.take_stop(self.app, epoch, app_id)
            self._changed(app)
            if state != "refused":
                self.disk.drop_env()
                self.disk.point_to("")
            return state, why

    def heard(self, revision: int | None) -> None:
        """The center has spoken; `revision` of the routes that it has stored, if it said that."""
        now = time.monotonic()
        with self.lock:
            self._word = now
            if revision is not None:
                self._acknowledge(revision, now)

    def loaded(self, revision: int) -> None:
        """The proxy has this revision of the routes."""
        with self.lock:
            self._loaded.setdefault(revision, time.monotonic())
            _keep_newest(self._loaded)
        self.wake()

    def idle(self, now: float) -> float:
        """Seconds for which nothing of it has run or waited; 0 where something does."""
        with self.lock:
            return 0.0 if self._is_in_use() else now - self._used

    def leave(self, remove: Callable[[App, int], Path], seconds: float) -> Path | None:
        """Go for good, where it has been idle for so many seconds: what `remove` gives; None: it stays.

        `remove` is called with what is known and the generation of its log. Raises what `remove` raises: it stays then.
        """
        with self.lock:
            if self._left or self.idle(time.monotonic()) < seconds:
                return None
            removed = remove(self.app, self.log.generation)
            self._left = self._stopping = True
        self.stop()
        self.close()
        return removed

    @contextmanager
    def _here(self) -> Iterator[None]:
        with self.lock:
            if self._left:
                raise Left(self.name)
            yield
            self._used = time.monotonic()

    # -- its life

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Go no further. What runs goes on."""
        self._stopping = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        if self._job is not None:
            self._job.join()

    def close(self) -> None:
        """After `stop`: forget all; what runs goes on."""
        for process in self.processes.values():
            process.close()
        self.log.close()
        with self.lock:
            waker, self._waker = self._waker, -1
        os.close(self._wake)
        os.close(waker)

    def end_processes(self, grace: float) -> None:
        """After `stop`: end all that runs; by force after `grace` seconds."""
        alive = [one for one in self.processes.values() if one.exit is None]
        for process in alive:
            process.end()
        until = time.monotonic() + grace
        while time.monotonic() < until and any(one.handle and not one.handle.wait(0) for one in alive):
            time.sleep(0.05)
        for process in alive:
            process.kill()
        for process in alive:
            if process.handle is not None:
                process.handle.wait(grace)

    def wake(self) -> None:
        """Have its thread look at once."""
        with self.lock, suppress(OSError):
            os.write(self._waker, b"\0")

    def _run(self) -> None:
        while not self._stopping:
            try:
                pause = self._turn()
            except (OSError, ReleaseEngineError) as error:
                _log.error("%s: %s; trying again", self.name, error, extra={"action": "zone_trouble"})
                pause = TROUBLE
            except Exception as error:
                _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
                pause = TROUBLE
            self._wait(pause)

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        for process in list(self.processes.values()):
            if process.exit is None and process.handle is not None and process.handle.pidfd >= 0:
                poll.register(process.handle.pidfd, select.POLLIN)
        if any(file == self._wake for file, _ in poll.poll(int(seconds * 1000))):
            with suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _turn(self) -> float:
        """Observe, and do what follows from it; seconds until the next look."""
        with self.lock:
            if self._stopping:
                return 0.0
            now = time.monotonic()
            self._observe(now)
            for _ in range(ACTS):
                seen = self._seen(now)
                acts = machine.decide(self.app, seen, now)
                for act in acts:
                    self._do(act)
                if not any(isinstance(act, Save) for act in acts):
                    break
                self._observe(now)
            prune.processes(self.processes, now)
            if self._is_in_use():
                self._used = now
            return self._pause(now)

    def _is_in_use(self) -> bool:
        app = self.app
        runs = any(one.exit is None for one in self.processes.values())
        waits = any(one.state in ("accepted", "running") for one in app.runs)
        order = app.order is not None and not app.order.is_over
        return runs or waits or order or app.current is not None or bool(app.draining)

    def _pause(self, now: float) -> float:
        moves = any(one.state in ("starting", "stopping") for one in self.processes.values())
        waits = [due - now for due in self.restarts.due.values() if due > now]
        order = self.app.order
        if moves or (order is not None and not order.is_over and order.state not in ("ready", "draining")):
            return BUSY
        return max(BUSY, min([IDLE if order is None or order.is_over else WAITING, *waits]))

    def _observe(self, now: float) -> None:
        for process in list(self.processes.values()):
            before = process.state
            if process.observe(now):
                self._tell(process, before)
                if process.state == "ended" and process.instance.is_of(self.app.current):
                    self.restarts.ended(process, now)
                if process.exit is not None and process.exit.why == "lost":
                    self._launcher.end_orphans()
            self._follow(process)
            if process.state == "up" and now - process.measured > TMP_LOOK:
                self._measure(process, now)
        if self.app.epoch == 0:
            self._acknowledge(self.app.revision, now)  # no engine will ever do so for what it did not order

    def _measure(self, process: Process, now: float) -> None:
        process.measured = now
        if (size := prune.size(process.dir / "tmp")) > MAX_TMP:
            self.log.say(process.instance.name, f"It has {size} bytes in TMPDIR, {MAX_TMP} are allowed: it is ended")
            process.end()

    def _tell(self, process: Process, before: str) -> None:
        how = f" ({process.exit})" if process.exit is not None else ""
        name = process.instance.name
        self.log.say(name, f"State changed from {before} to {process.state}{how}")
        order = self.app.order
        if order is not None and process.instance.order == order.id and process.state == "up":
            port = f" on {process.instance.port}" if process.instance.port else ""
            self.disk.say(order.id, f"{name} up{port} after {process.age:.1f} s")

    def _follow(self, process: Process) -> None:
        """The lines of a release command are those of its order too."""
        if process.instance.type != RELEASE or process.followed:
            return
        generation, offset = self.disk.place(process.instance.order)
        piece = log_reader.read(process.dir, generation, offset, 1000)
        for line in piece.lines:
            self.disk.say(process.instance.order, line.text, (piece.generation, line.offset))
        process.followed = process.state == "ended" and not piece.lines

    def _seen(self, now: float) -> Seen:
        order = self.app.order
        cargo = frozenset({order.release.digest} if order and self._fetcher.path(order.release.digest).exists() else ())
        return Seen(
            {n: process.look() for n, process in self.processes.items()},
            cargo,
            {name: one.contents for name, one in self.contents.items()},
            self._acks,
            self._loaded,
            self._word,
            self.restarts.due,
            self._launcher.address,
            self._router.trouble,
        )

    # -- acts

    def _do(self, act: Act) -> None:
        if isinstance(act, Save):
            self._store(act.app)
        elif isinstance(act, Say):
            if self.app.order is not None:
                self.disk.say(self.app.order.id, act.text)
        elif isinstance(act, Start):
            self._start(act.instance)
        elif isinstance(act, End):
            process = self.processes[act.n]
            before = process.state
            process.end()
            self.log.say(
                process.instance.name, f"State changed from {before} to stopping{f': {act.why}' if act.why else ''}"
            )
        elif isinstance(act, Fetch | Unpack):
            self._begin_job(act)

    def _start(self, instance: Instance) -> None:
        unpacked = self.contents[instance.release.name]
        order = self.app.order
        of_order = order is not None and instance.order == order.id
        limits = order.limits if of_order and order is not None else self.app.limits
        try:
            env = {**unpacked.env, **self.disk.env(instance.release.version)}
            process = self._launcher.launch(
                self.name, self.disk, instance, unpacked, env, limits, self.processes.values()
            )
        except (OSError, OperatorError) as error:
            self._not_started(instance, str(error))
            return
        self.processes[instance.n] = process
        self.log.say(instance.name, f"Starting process of v{instance.release.version}")

    def _not_started(self, instance: Instance, why: str) -> None:
        """An order that began it fails. Of what serves it is tried again later, so that it hinders no order that may mend it."""
        _log.error("%s: %s cannot be started: %s", self.name, instance.name, why, extra={"action": "zone_trouble"})
        order = self.app.order
        run = next((one for one in self.app.runs if one.instance == instance.n), None)
        if run is not None:
            self._store(self.app.with_run(run._replace(state="failed", why=f"it cannot be started: {why}")))
        elif order is not None and instance.order == order.id:
            self._store(machine.failed(self.app, order.id, why))
        elif instance.is_of(self.app.current):
            self.log.say(instance.name, f"It cannot be started: {why}")
            self.restarts.failed((instance.type, instance.number), time.monotonic())

    def _begin_job(self, act: Fetch | Unpack) -> None:
        if self._job is None or not self._job.is_alive():
            work = self._fetch if isinstance(act, Fetch) else self._unpack
            self._job = threading.Thread(
                target=self._work, args=(work, act.order), name=f"zone-{self.name}-cargo", daemon=True
            )
            self._job.start()

    def _work(self, work: Callable[[Open], None], order: Open) -> None:
        try:
            work(order)
        except (OSError, ReleaseEngineError) as error:
            with self.lock, suppress(OSError):
                self._store(machine.failed(self.app, order.id, str(error)))
        except Exception as error:
            _log.critical("this is a bug: %r", error, exc_info=error, extra={"action": "bug"})
            with self.lock, suppress(OSError):
                self._store(machine.failed(self.app, order.id, f"this is a bug of the zone: {error!r}"))
        self.wake()

    def _fetch(self, order: Open) -> None:
        self._fetcher.fetch(order.uri, lambda: self._awaits(order))

    def _unpack(self, order: Open) -> None:
        digest = order.release.digest
        unpacked = releases.unpack(self._fetcher.path(digest), self.disk.releases, digest, self._python)
        with self.lock:
            self.contents[unpacked.contents.release.name] = unpacked
        self._fetcher.drop(digest)

    def _awaits(self, order: Open) -> bool:
        with self.lock:
            open = self.app.order
            return not self._stopping and open is not None and open.id == order.id and open.is_pending

    # -- what is known

    def _changed(self, app: App) -> None:
        if app != self.app:
            self._store(app)
            self.wake()

    def _store(self, app: App) -> None:
        """On disk first: what is not there was never known."""
        if app == self.app:
            return
        before, order = self.app, app.order
        self.disk.save(app)
        self.app = app
        if app.revision != before.revision:
            self._router.set(self.name, app.revision, app.addresses)
        if app.current != before.current and app.current is not None:
            self.disk.point_to(app.current.release.name)
            self.restarts.reset()
        if order is not None and order.is_over and (before.order is None or not before.order.is_over):
            self.log.say(
                self.name, f"Order for v{order.release.version} is {order.state}{f': {order.why}' if order.why else ''}"
            )
            self._fetcher.drop(order.release.digest)
            self.contents = prune.releases(self.disk, app, self.contents, self.processes.values())

    def _acknowledge(self, revision: int, now: float) -> None:
        first, _ = self._acks.get(revision, (now, now))
        self._acks[revision] = (first, now)
        _keep_newest(self._acks)

    def _deliver(self, control: Control) -> None:
        for process in self.processes.values():
            is_meant = process.instance.type == RUN and process.instance.number == control.n
            if is_meant and process.exit is None:
                if control.do == "stop-run":
                    process.end()
                else:
                    process.forward(control.signal)

    # -- after a start of the agent

    def _adopt(self) -> None:
        if self.app.current is not None and self.app.current.release.name not in self.contents:
            # its files are gone: so it does not run here, as a report has to say
            self._store(self.app._replace(current=None))
        for path, instance in self.disk.instances().items():
            found = find(path)
            if found.handle is None and found.exit is None:
                (path / "lock").unlink(missing_ok=True)  # first: a shim that is late sees that, or `stop`
                prune.directory(path)  # its shim was never started, or starts nothing any more
                continue
            process = self._launcher.adopted(self.name, instance, path)
            process.adopt(found)
            self.processes[instance.n] = process
            order = self.app.order
            if order is not None and found.exit is not None and is_of_earlier_boot(path) and not order.is_over:
                # it ended with the host, which says nothing against the release
                self._store(self.app._replace(order=order._replace(forgiven=(*order.forgiven, instance.n))))


def _keep_newest(times: dict[int, Any]) -> None:
    """Of revisions, so that their number has a bound."""
    for old in sorted(times)[:-REVISIONS]:
        del times[old]
