"""Runs any number of workers and notifiers in one process, and sends its heartbeats.

Must not know what they do, nor where the bus comes from.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ulid import ULID

from re_core.errors import ReleaseEngineError
from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Published
from re_core.wire.messages import BYE, EVENT, MAX_REASON, Message, encode
from re_core.wire.redaction import Redaction
from re_workers.consumer import StepConsumer
from re_workers.notify.consumer import Notifier
from re_workers.notify.handler import Handler
from re_workers.outgoing import APP
from re_workers.polling_thread import PollingThread
from re_workers.runs import Spawn, on_thread
from re_workers.sdk import Worker

_log = logging.getLogger(__name__)

#: seconds between two heartbeats (docs/wire-format.md, Heartbeat)
HEARTBEAT = 5.0

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
    ) -> None:
        """`handlers` carry the notifications of their transports. `slots`: per command, where its worker does not say.

        `redaction` keeps out of every message what the core would cut out of it: no queue shall hold it either. `spawn` runs the
        steps that are not quick. `identity` must be new at every start; one is made where it is empty. `degraded`: transport -> why
        its server cannot be reached, of those that cannot.
        """
        self.identity = identity or str(ULID())
        self._bus = bus
        self._workers = tuple(workers)
        self._consumers = [
            StepConsumer(bus, clock, one, self.identity, one.slots or slots, spawn, redaction, observer)
            for one in self._workers
        ]
        notifiers = [Notifier(bus, clock, self.identity, handler, observer=observer) for handler in handlers]
        self._loops = [
            *(
                PollingThread(f"worker.{one.command}", turning)
                for one, turning in zip(self._workers, self._consumers, strict=True)
            ),
            *(PollingThread(f"notify.{notifier.transport}", notifier) for notifier in notifiers),
        ]
        self._handlers = tuple(handlers)
        offers = {name: offer for one in self._workers for name, offer in one.offers().items()}
        total = sum(one.slots or slots for one in self._workers)
        self._degraded = degraded
        self._about = {"worker": self.identity, "slots": max(1, total), "offers": offers}
        self._beats = itertools.count(1)
        #: the last heartbeat could not be sent, and that was logged
        self._silent = False
        #: there was a queue for it
        self._taken = False
        self._stopping = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Say that they live, then begin to work."""
        self.heartbeat()
        self._pulse.start()
        for loop in self._loops:
            loop.start()

    def stop(self, deadline: float = DEADLINE) -> None:
        """Take nothing more; running steps may end, are cancelled polling_thread.LAST_WORDS before `deadline`, and at last left alone.

        Over after `deadline` seconds and a few, whatever the steps and the bus do.
        """
        for loop in self._loops:
            loop.stop(deadline)
        for loop in self._loops:
            loop.join()
        self._stopping.set()
        self._pulse.join(FAREWELL)
        if not any(one.running() or one.unsent() or one.handed_over for one in self._consumers):
            # else the silence says it, and the core calls lost what is left behind and is not moved
            self._send(f"{self.identity}/{BYE}", {**self._about, "offers": {}}, {EVENT: BYE})
        for worker in self._workers:
            worker.close()
        for handler in self._handlers:
            handler.close()

    def running(self) -> list[str]:
        """The attempts that were claimed or begun, and whose outcome the bus does not have yet."""
        return [attempt for consumer in self._consumers for attempt in consumer.running()]

    def heartbeat(self) -> None:
        """Send the core this process's id, what it offers and what it runs."""
        degraded = {name: why[:MAX_REASON] for name, why in self._degraded().items()}
        about = {**self._about, "degraded": degraded} if degraded else self._about
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
        while not self._stopping.wait(HEARTBEAT if self._taken else UNTAKEN):
            self.heartbeat()
