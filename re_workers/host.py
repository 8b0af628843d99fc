"""Runs any number of workers and notifiers in one process, and tells the core that they live.

Must not know what they do, nor where the bus comes from.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Sequence

from ulid import ULID

from re_core.errors import ReleaseEngineError
from re_core.messages import Message, encode
from re_core.ports import Bus, Clock
from re_core.redaction import Redaction
from re_workers.attempt import APP
from re_workers.consumer import Consumer
from re_workers.loop import Loop
from re_workers.notify.consumer import Notifier
from re_workers.notify.handler import Handler
from re_workers.sdk import Worker

_log = logging.getLogger(__name__)

#: seconds between two heartbeats (contract, section 4)
HEARTBEAT = 5.0

#: milliseconds after which a heartbeat says nothing any more
HEARTBEAT_LIFE = 30_000

#: steps of one command that run at once, where neither the worker nor the caller says
SLOTS = 8

#: seconds that running steps get at the end
DEADLINE = 10.0


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
    ) -> None:
        """`handlers` carry the notifications of their transports. `slots`: per command, where its worker does not say.

        `redaction` keeps out of every message what the core would cut out of it: no queue shall hold it either.
        """
        self.identity = str(ULID())
        self._bus = bus
        self._workers = tuple(workers)
        self._consumers = [
            Consumer(bus, clock, one, self.identity, one.slots or slots, redaction=redaction) for one in self._workers
        ]
        notifiers = [Notifier(bus, clock, self.identity, handler) for handler in handlers]
        self._loops = [
            *(
                Loop(f"worker.{one.command}", turning)
                for one, turning in zip(self._workers, self._consumers, strict=True)
            ),
            *(Loop(f"notify.{notifier.transport}", notifier) for notifier in notifiers),
        ]
        self._handlers = tuple(handlers)
        offers = {name: offer for one in self._workers for name, offer in one.offers().items()}
        total = sum(one.slots or slots for one in self._workers)
        self._about = {"worker": self.identity, "slots": max(1, total), "offers": offers}
        self._beats = itertools.count(1)
        self._stopping = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Say that they live, then begin to work."""
        self.heartbeat()
        self._pulse.start()
        for loop in self._loops:
            loop.start()

    def stop(self, deadline: float = DEADLINE) -> None:
        """Take nothing more; what runs gets `deadline` seconds to end, is then told to stop, and at last left alone."""
        for loop in self._loops:
            loop.stop(deadline)
        for loop in self._loops:
            loop.join()
        self._stopping.set()
        self._pulse.join()
        for worker in self._workers:
            worker.close()
        for handler in self._handlers:
            handler.close()

    def running(self) -> list[str]:
        """The attempts that have begun and not ended."""
        return [attempt for consumer in self._consumers for attempt in consumer.running()]

    def heartbeat(self) -> None:
        """Tell the core who lives here, what it offers and what it runs."""
        body = encode({**self._about, "running": self.running()})
        id = f"{self.identity}/heartbeat/{next(self._beats)}"
        try:
            self._bus.publish([Message("heartbeat", body, id, app_id=APP, expires=HEARTBEAT_LIFE)])
        except ReleaseEngineError as error:
            _log.warning("no heartbeat: %s", error, extra={"action": "heartbeat_failed", "worker": self.identity})

    def _beat(self) -> None:
        while not self._stopping.wait(HEARTBEAT):
            self.heartbeat()
