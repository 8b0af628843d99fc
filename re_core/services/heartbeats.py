"""Heartbeats of workers into the registry, and this core's own onto the bus. Must not know what follows from silence.

Whether a worker is lost is judged in re_core/workforce.
"""

from __future__ import annotations

import logging

from re_core.deployment.senders import place_refusal
from re_core.errors import BadMessage
from re_core.ports import UNOBSERVED, Bus, Clock, Observer, Registry
from re_core.rows import WorkerRecord
from re_core.sequencer.guard import take_each
from re_core.usecases.worker_proofs import WorkerProofs
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.proof import HEARTBEAT, credential_of
from re_core.workforce.presence import Presence

#: deliveries of one turn
BATCH = 64

#: heartbeats that one core holds at once: no other core reads those of a core that hangs
HEARTBEATS = 1

#: milliseconds after which a silent worker leaves the registry
FORGET = 24 * 3600 * 1000

#: workers whose faults are remembered
MOST_FAULTS = 1_000

_log = logging.getLogger(__name__)


class Heartbeats:
    """Keeps the registry of workers, and sends this core's own heartbeats. One thread."""

    def __init__(
        self,
        bus: Bus,
        registry: Registry,
        clock: Clock,
        presence: Presence,
        proofs: WorkerProofs | None = None,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """`proofs`: knows which worker has sent a heartbeat; without it all are part of this process."""
        self._bus = bus
        self._proofs, self._observer = proofs, observer
        #: worker -> what is wrong with what it has shown, so that it is said once
        self._faults: dict[str, str] = {}
        self._presence = presence
        self._registry = registry
        self._clock = clock
        self._subscription = bus.subscribe((m.HEARTBEAT,), HEARTBEATS)

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        self._send_own()
        return take_each(self._subscription, BATCH, timeout, self._register)

    def wake(self) -> None:
        """See Subscription.wake: for any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _send_own(self) -> None:
        """By this very thread, so that a core whose consumer hangs proves nothing."""
        if (message := self._presence.next()) is not None:
            self._bus.ping()
            self._bus.publish([message])

    def _register(self, message: Message) -> None:
        said = m.parse_heartbeat(message.body)
        now = self._clock.now()
        # a worker that leaves nothing behind is removed at once; any other is noticed by its silence
        leaves = message.headers.get(m.EVENT) == m.BYE and not said.running
        seen = 0 if leaves else now
        shown = self._shown(message, said)
        self._registry.register(
            WorkerRecord(
                said.worker, said.slots, said.offers, said.running, seen, said.beat, said.degraded, said.place, *shown
            )
        )
        if leaves or said.beat:  # every few seconds is enough for workers that are silent for a day
            self._registry.forget_workers(now - FORGET)

    def _shown(self, message: Message, said: m.Heartbeat) -> tuple[str, str]:
        """The credential that the worker has shown, and what is wrong with that. Raises BadMessage, StoreUnavailable."""
        if self._proofs is None or (said.beat and not credential_of(said.worker)):
            return "", ""
        sender = self._proofs.sender(message, HEARTBEAT)
        if sender.credential is None:
            if credential_of(said.worker):
                # else the row of the worker whose name this is would be overwritten
                self._observer.unproven("heartbeat")
                raise BadMessage(sender.fault or f"the worker {said.worker:.80} has not signed what it says")
            return "", self._noted(said.worker, sender.fault)
        if message.headers.get(m.WORKER) != said.worker:
            raise BadMessage(f"the heartbeat is about {said.worker:.80}, and signed by another worker")
        fault = place_refusal(sender.credential, said.place.pool, said.place.environments)
        return sender.name, self._noted(said.worker, fault)

    def _noted(self, worker: str, fault: str) -> str:
        if not fault:
            self._faults.pop(worker, None)
            return fault
        if self._faults.get(worker) != fault:
            if len(self._faults) >= MOST_FAULTS:
                self._faults.clear()
            self._faults[worker] = fault
            where = {"action": "worker_unproven", "worker": worker}
            _log.warning("the worker %s gets no steps: %s", worker, fault, extra=where)
            self._observer.unproven("heartbeat")
        return fault
