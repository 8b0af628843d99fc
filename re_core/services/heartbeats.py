"""Heartbeats of workers into the registry, and this core's own onto the bus. Must not know what follows from silence.

Whether a worker is lost is judged in re_core/workforce.
"""

from __future__ import annotations

from re_core.ports import Bus, Clock, Registry
from re_core.rows import WorkerRecord
from re_core.sequencer.guard import take_each
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.workforce.presence import Presence

#: deliveries of one turn
BATCH = 64

#: heartbeats that one core holds at once: no other core reads those of a core that hangs
HEARTBEATS = 1

#: milliseconds after which a silent worker leaves the registry
FORGET = 24 * 3600 * 1000


class Heartbeats:
    """Keeps the registry of workers, and sends this core's own heartbeats. One thread."""

    def __init__(self, bus: Bus, registry: Registry, clock: Clock, presence: Presence) -> None:
        self._bus = bus
        self._presence = presence
        self._registry = registry
        self._clock = clock
        self._subscription = bus.subscribe((m.HEARTBEAT,), HEARTBEATS)

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        self._send_own()
        return take_each(self._subscription, BATCH, timeout, self._register)

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
        self._registry.register(
            WorkerRecord(said.worker, said.slots, said.offers, said.running, seen, said.beat, said.degraded, said.place)
        )
        if leaves or said.beat:  # every few seconds is enough for workers that are silent for a day
            self._registry.forget_workers(now - FORGET)
