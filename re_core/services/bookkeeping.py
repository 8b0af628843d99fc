"""Small consumers that only write down: heartbeats into the registry, dead letters into the store. Must not know the machine."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable

from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Bus, Clock, DeadLetters, Delivery, Registry, Subscription
from re_core.rows import DeadLetter, WorkerRecord
from re_core.sequencer.guard import must_wait, reject
from re_core.wire import messages as m
from re_core.wire.dead_letters import bare_letter, parse_dead_letter
from re_core.wire.messages import Message
from re_core.workforce.presence import Presence

#: deliveries of one turn
BATCH = 64

#: heartbeats in the hands of one core: those in the hands of one that hangs are heard by nobody
HEARTBEATS = 1

#: dead letters that are kept, and burials from each look at their number to the next
MOST_LETTERS, COUNTED = 10_000, 100

#: milliseconds after which a silent worker leaves the registry
FORGET = 24 * 3600 * 1000

#: bytes of a dead letter that no store takes, in the log
_LOGGED = 64 * 1024

_log = logging.getLogger(__name__)


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
        self._say_own()
        return _each(self._subscription, timeout, self._register)

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _say_own(self) -> None:
        """By this very thread, so that a core whose consumer hangs proves nothing."""
        if (message := self._presence.next()) is not None:
            self._bus.ping()
            self._bus.publish([message])

    def _register(self, message: Message) -> None:
        said = m.parse_heartbeat(message.body)
        now = self._clock.now()
        # who leaves nothing behind is forgotten at once; of anybody else the silence tells
        leaves = message.headers.get(m.EVENT) == m.BYE and not said.running
        seen = 0 if leaves else now
        self._registry.register(WorkerRecord(said.worker, said.slots, said.offers, said.running, seen, said.beat))
        if leaves or said.beat:  # every few seconds is enough for who is gone for a day
            self._registry.forget_workers(now - FORGET)


class DeadLetterRecorder:
    """Moves dead letters from the bus into the store, where people list and replay them. One thread."""

    def __init__(self, bus: Bus, store: DeadLetters, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._subscription = bus.subscribe((m.DEAD,), BATCH)
        self._buried = 0

    def turn(self, timeout: float) -> int:
        """One batch. Raises StoreUnavailable or BusUnavailable after it gave the deliveries back."""
        return _each(self._subscription, timeout, self._bury)

    def close(self) -> None:
        """Stop consuming."""
        self._subscription.close()

    def _bury(self, message: Message) -> None:
        try:
            letter = parse_dead_letter(message)
            if (
                not letter.at
            ):  # the broker put it there itself; what has no time counts as the oldest, and would be pruned at once
                letter = letter._replace(at=self._clock.now())
            self._store.store_letter(letter)
        except Exception as error:
            if must_wait(error):
                raise
            letter = self._bury_bare(message, error)
        self._buried += 1
        if self._buried % COUNTED == 0 and (dropped := self._store.drop_oldest_dead_letters(MOST_LETTERS)):
            _log.warning(
                "there are more than %d dead letters: the oldest %d were dropped",
                MOST_LETTERS,
                dropped,
                extra={"action": "drop_dead_letters"},
            )
        _log.warning(
            "dead letter %s from %s: %s: %s",
            letter.id,
            letter.queue,
            letter.reason,
            letter.detail,
            extra={"action": "bury", "deployment_id": message.correlation_id},
        )

    def _bury_bare(self, message: Message, trouble: Exception) -> DeadLetter:
        """It comes from the dead letters' own queue, so it cannot be one of them again: its body is kept, whatever else is not."""
        letter = bare_letter(message, f"{type(trouble).__name__}: {trouble}", "re-core", self._clock.now())
        try:
            self._store.store_letter(letter)
        except Exception as error:
            if must_wait(error):
                raise
            body = base64.b64encode(message.body[:_LOGGED]).decode()
            where = {"action": "event_error"}
            _log.critical("a dead letter cannot be kept; its body in base64: %s", body, exc_info=error, extra=where)
        return letter


def _each(subscription: Subscription, timeout: float, write: Callable[[Message], None]) -> int:
    deliveries: list[Delivery] = subscription.take(BATCH, timeout)
    for place, delivery in enumerate(deliveries):
        try:
            _settle(subscription, delivery, write)
        except (StoreUnavailable, BusUnavailable):
            subscription.requeue(deliveries[place:])
            raise
    return len(deliveries)


def _settle(subscription: Subscription, delivery: Delivery, write: Callable[[Message], None]) -> None:
    try:
        write(delivery.message)
    except Exception as error:
        reject(subscription, delivery, error)
    else:
        subscription.ack([delivery])
