"""Runs any number of workers and notifiers in one process, and sends its heartbeats.

Must not know what they do, nor where the bus comes from.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ulid import ULID

from re_core.errors import BadMessage, BadSettings, ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Published
from re_core.rows import WorkerPlace
from re_core.wire.messages import BYE, EVENT, MAX_REASON, MAX_SLOTS, Message, check_offers, encode, parse_step
from re_core.wire.proof import MARK, SigningKey
from re_core.wire.redaction import Redaction
from re_workers.consumer import StepConsumer
from re_workers.credential import SignedBus
from re_workers.engine_artifacts import EngineArtifacts
from re_workers.engine_secrets import EngineSecrets
from re_workers.forwarder import Forwarder
from re_workers.lane_consumer import LaneConsumer
from re_workers.lanes import Lanes
from re_workers.notify.consumer import Notifier
from re_workers.notify.digest import NoticePolicy
from re_workers.notify.handler import Handler
from re_workers.outgoing import APP
from re_workers.polling_thread import BREATH, PollingThread
from re_workers.runs import Spawn, on_thread
from re_workers.saved import Saved, read
from re_workers.sdk import Worker
from re_workers.secrets.opening import Places
from re_workers.secrets.resolver import Secrets

_log = logging.getLogger(__name__)

#: seconds between two heartbeats (docs/wire-format.md, Heartbeat)
HEARTBEAT = 5.0

#: seconds at least between a heartbeat and the next one because of news
NEWS = 1.0

#: seconds until the next one where no queue took the last: cores may be about to start, and an unknown worker cannot be missed
UNTAKEN = 1.0

#: milliseconds after which a heartbeat says nothing any more
HEARTBEAT_LIFE = 30_000

#: steps of one command that run at once, where neither the worker nor the caller says
SLOTS = 8

#: seconds that a stop takes at most
DEADLINE = 20.0

#: seconds that the heartbeat's thread is awaited at the end
FAREWELL = 2.0


class WorkerHost:
    """One worker process, or the workers' part of the engine's one process."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        workers: Sequence[Worker],
        handlers: Sequence[Handler] = (),
        slots: int = SLOTS,
        redaction: Redaction | None = None,
        spawn: Spawn = on_thread,
        identity: str = "",
        observer: Observer = UNOBSERVED,
        degraded: Callable[[], Mapping[str, str]] = dict,
        secrets: Places | None = None,
        place: WorkerPlace = WorkerPlace(),  # noqa: B008  # it is immutable
        notices: NoticePolicy = NoticePolicy(),  # noqa: B008  # it is immutable
        credential: SigningKey | None = None,
    ) -> None:
        """`handlers` carry the notifications of their transports. `slots`: per command, where its worker does not say.

        `redaction` keeps out of every message what the core would cut out of it: no queue shall hold it either. `spawn` runs the
        steps that are not quick. `identity` must be new at every start; one is made where it is empty. `degraded`: transport -> why
        its server cannot be reached, of those that cannot. `secrets`: where those of steps are looked for. `place`: for which
        steps this process is there. `notices`: the words of notifications, and how many come alone. `credential`: by what this
        process shows who it is.
        """
        self.identity = identity or str(ULID())
        if credential is not None:
            self.identity = f"{credential.name}{MARK}{self.identity}"
            bus = SignedBus(bus, credential, self.identity)
        self._bus = bus
        self._workers = tuple(workers)
        self._clock, self._slots, self._spawn, self._redaction, self._observer = (
            clock,
            slots,
            spawn,
            redaction,
            observer,
        )
        self._place = place
        self._secrets = self._opened(secrets)
        self._artifacts = EngineArtifacts(bus, self.identity)
        #: of the workers that have any; and what the others run at once
        self._lanes: list[Lanes] = []
        self._plain_slots = 0
        #: those of the workers' own queues
        self._consumers = [self._consumer_of(one) for one in self._workers]
        notifiers = [
            Notifier(bus, clock, self.identity, handler, observer=observer, policy=notices) for handler in handlers
        ]
        self._loops = [
            *(
                PollingThread(f"worker.{one.command}", turning)
                for one, turning in zip(self._workers, self._consumers, strict=True)
            ),
            *(PollingThread(f"notify.{notifier.transport}", notifier) for notifier in notifiers),
        ]
        self._handlers = tuple(handlers)
        self._offers = [self._offers_of(one) for one in self._workers]
        self._degraded = degraded
        self._beats = itertools.count(1)
        #: the last heartbeat could not be sent, and that was logged
        self._silent = False
        #: there was a queue for it
        self._taken = False
        self._stopping = threading.Event()
        #: a worker's lanes or offers have changed, or the process stops
        self._news = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Say that they live, then begin to work."""
        self.heartbeat()
        self._pulse.start()
        for loop in self._loops:
            loop.start()

    def stop(self, deadline: float = DEADLINE) -> None:
        """Take nothing more; running steps may end, are cancelled polling_thread.LAST_WORDS before `deadline`, and at last left alone.

        Over after `deadline` seconds and a few, whatever the steps and the bus do; also where `start` failed, or was never called.
        """
        loops = [*self._loops, *(loop for lanes in self._lanes for loop in lanes.stop(deadline))]
        for loop in self._loops:
            loop.stop(deadline)
        for loop in loops:
            loop.join()
        self._stopping.set()
        self._news.set()
        if self._pulse.ident is not None:
            self._pulse.join(FAREWELL)
        if not any(one.running() or one.unsent() or one.handed_over for one in self._all_consumers()):
            # else the silence says it, and the core calls lost what is left behind and is not moved
            self._send(f"{self.identity}/{BYE}", {**self._about, "offers": {}}, {EVENT: BYE})
        for worker in self._workers:
            worker.close()
        for handler in self._handlers:
            handler.close()
        self._artifacts.close()

    def resume(self, saved: bytes, moves: int) -> None:
        """Go on with a run that another process, or an earlier start of this one, had begun; any thread.

        `saved` is what Context.saved gave. Its claim moves to this process where `moves` is higher than in every such move before;
        then the step's method is called again, with Context.resumed, the same attempt, and no timeout of its own. Where the
        core does not grant that, Worker.refused is called. Raises BadMessage where `saved` cannot be read, or is of a worker that
        this process does not have.
        """
        if moves < 1:
            raise BadMessage(f"a run is resumed with the number of the move, from 1 on; found {moves}")
        run = read(saved)
        self._consumer_for(run).resume(run, moves)

    def give_up(self, saved: bytes, reason: str) -> None:
        """Report a run of another process as lost: none can go on with it. Any thread; raises as `resume`."""
        run = read(saved)
        self._consumer_for(run).give_up(run, reason)

    def running(self) -> list[str]:
        """The attempts that were claimed or begun, and whose outcome the bus does not have yet."""
        return [attempt for consumer in self._all_consumers() for attempt in consumer.running()]

    def changed(self) -> None:
        """Lanes or offers of a worker have changed: they are served at once, and a heartbeat follows within a second."""
        self._news.set()

    def heartbeat(self) -> None:
        """Serve the lanes that there are now, then send the core this process's id, what it offers and what it runs."""
        self._look_at_lanes()
        degraded = {name: why[:MAX_REASON] for name, why in self._degraded().items()}
        about = self._about
        if degraded:
            about["degraded"] = degraded
        self._send(f"{self.identity}/heartbeat/{next(self._beats)}", about, {})

    def _send(self, id: str, about: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Send it now or not at all: a late heartbeat is useless."""
        body = encode({**about, "running": self.running()})
        message = Message("heartbeat", body, id, "", "", headers, APP, expires=HEARTBEAT_LIFE, once=True)
        self._taken = False
        try:
            self._bus.ping()
            self._taken = self._bus.publish([message]) == [Published.TAKEN]
        except ReleaseEngineError as error:
            log = _log.debug if self._silent else _log.warning
            log("cannot send the heartbeat: %s", error, extra={"action": "heartbeat_failed", "worker": self.identity})
            self._silent = True
        else:
            self._silent = False

    def _beat(self) -> None:
        last = time.monotonic()
        next = last + (HEARTBEAT if self._taken else UNTAKEN)
        while not self._stopping.is_set():
            if self._news.wait(max(0.0, next - time.monotonic())):
                self._news.clear()
                self._look_at_lanes()
                self._stopping.wait(BREATH)
                next = min(next, max(time.monotonic(), last + NEWS))
            else:
                self.heartbeat()
                last = time.monotonic()
                next = last + (HEARTBEAT if self._taken else UNTAKEN)

    # -- workers with lanes, and with offers that change -------------------------------------------

    def _consumer_of(self, worker: Worker) -> StepConsumer:
        """Of the worker's own queue."""
        setattr(worker, "changed", self.changed)  # noqa: B010  # for mypy it is a method
        worker.shelf = self._artifacts
        common = self._spawn, self._redaction, self._observer
        bus, clock, me = self._bus, self._clock, self.identity
        if self._place.pool and worker.lanes() is not None:
            raise BadSettings(f"{worker.command} divides its steps into lanes, so that it cannot be of a pool")
        if worker.lanes() is None:
            slots = worker.slots or max(self._slots, worker.crowd)
            self._plain_slots += slots
            return StepConsumer(bus, clock, worker, me, slots, *common, secrets=self._secrets, place=self._place)

        def make(lane: str, capacity: int) -> LaneConsumer:
            return LaneConsumer(bus, clock, worker, me, lane, capacity, *common, self._secrets)

        lanes = Lanes(bus, worker, make)
        lanes.forwarder = Forwarder(bus, clock, worker, me, lanes.serves, *common, self._secrets)
        if any(one.options.recorded for one in worker.steps.values()):
            raise TypeError(f"{worker.command} has lanes, so that none of its steps can be recorded")
        self._lanes.append(lanes)
        return lanes.forwarder

    def _opened(self, places: Places | None) -> Secrets:
        if places is None:
            return Secrets()
        engine = EngineSecrets(self._bus, self.identity) if places.engine else None
        return Secrets(places.providers, engine, self._place.environments)

    def _consumer_for(self, run: Saved) -> StepConsumer:
        command = parse_step(run.message.body).parameters["command"]
        for worker, consumer in zip(self._workers, self._consumers, strict=True):
            if worker.command == command:
                return consumer
        raise BadMessage(f"the saved run is of {command!r:.80}, which this process does not carry out")

    def _all_consumers(self) -> list[StepConsumer]:
        return [*self._consumers, *(consumer for lanes in self._lanes for consumer in lanes.consumers())]

    def _look_at_lanes(self) -> None:
        for lanes in self._lanes:
            try:
                lanes.look()
            except Exception:  # a worker's mistake must not make this process silent
                _log.exception("the lanes of a worker cannot be served", extra={"action": "worker_error"})

    @property
    def _about(self) -> dict[str, Any]:
        """What a heartbeat says beside what runs."""
        total = self._plain_slots + sum(lanes.capacity for lanes in self._lanes)
        offers = {name: offer for of_worker in self._offers for name, offer in of_worker().items()}
        about = {"worker": self.identity, "slots": min(max(1, total), MAX_SLOTS), "offers": offers}
        return {**about, **{name: value for name, value in self._place._asdict().items() if value}}

    def _offers_of(self, worker: Worker) -> Callable[[], Mapping[str, Any]]:
        """What the worker offers now; where it never changes, as it was at the start."""
        offers: Mapping[str, Any] = worker.offers()
        if type(worker).offers is Worker.offers:
            return lambda: offers
        kept = [offers]

        def now() -> Mapping[str, Any]:
            try:
                found = worker.offers()
                check_offers(found)  # the core would refuse the heartbeat, and call this process silent
                kept[0] = found
            except Exception:  # as above
                _log.exception("%s cannot say what it offers", worker.command, extra={"action": "worker_error"})
            return kept[0]

        return now
