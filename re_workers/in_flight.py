"""The unsettled steps of one consumer, and how much more it may get. Must not know what steps do.

Most of the time prefetch does it: a consumer with as many deliveries as it has slots gets no more. Two events part a
running step from its delivery: the connection that brought it is lost, or it runs so long that the broker would lose
patience (RabbitMQ closes the channel of a consumer that holds a delivery for 30 minutes), so that it is acked before its end.
From then on the room for more is set explicitly (`Subscription.allow`) until nothing is held any more.
"""

from __future__ import annotations

from re_core.ports import Clock, Delivery, Subscription
from re_workers.attempt import Attempt

#: milliseconds after which a delivery is acked though its step still runs (docs/wire-format.md, Reply)
LONG = 600_000

#: milliseconds between two extensions of the room while something is held: each of them costs the broker a new consumer
EXTEND = 1_000


class InFlightWindow:
    """The attempts from their delivery until the bus has their outcome. One thread calls; only `keys` is for others."""

    def __init__(self, subscription: Subscription, queue: str, slots: int, clock: Clock) -> None:
        self._subscription, self._queue, self._slots, self._clock = subscription, queue, slots, clock
        self._held: dict[str, Attempt] = {}
        self._epoch = subscription.epoch
        #: deliveries that the bus sends before one is settled that makes room; None where that is not known
        self._room: int | None = slots
        self._extended = 0
        self._long_at: float = float("inf")
        self._stopped = False
        #: milliseconds since the epoch until when nothing more is taken; 0: it is
        self._rest_until = 0

    def __len__(self) -> int:
        return len(self._held)

    def keys(self) -> list[str]:
        """What is held, in the order in which it came."""
        return list(self._held)

    def get(self, key: str) -> Attempt | None:
        """The attempt, if it is held."""
        return self._held.get(key)

    @property
    def moved(self) -> bool:
        """The connection is another one since the last `tend`."""
        return self._subscription.epoch != self._epoch

    @property
    def full(self) -> bool:
        """There is no free slot."""
        return self._closed or len(self._held) >= self._slots

    def hold(self, attempt: Attempt) -> None:
        """It has come."""
        self._held[attempt.key] = attempt
        self._count(attempt)

    def renew(self, attempt: Attempt, delivery: Delivery) -> None:
        """The same again, after the connection that had brought it was lost: this is the delivery to be settled."""
        attempt.delivery, attempt.parted = delivery, False
        self._count(attempt)

    def drop(self, key: str) -> None:
        """It is over, or was never begun."""
        self._held.pop(key, None)

    def stop(self) -> None:
        """Nothing more."""
        self._stopped = True

    def rest(self, milliseconds: int) -> None:
        """Nothing more for that long, from now on: what comes for it goes to another consumer."""
        self._rest_until = self._clock.now() + milliseconds
        self.tend()

    @property
    def _closed(self) -> bool:
        return self._stopped or self._rest_until > 0

    def resize(self, slots: int) -> None:
        """From now on there are so many slots; the room follows with the next `tend`."""
        self._slots = slots

    def misjudged(self) -> None:
        """More came than there are free slots."""
        self._room = None

    def tend(self) -> None:
        """Make the room fit the free slots, and ack what is held for too long. Call it when all that came is held or settled."""
        now = self._clock.now()
        if now >= self._rest_until:
            self._rest_until = 0
        if self._room == self._slots and not (self.moved or self._closed) and now < self._long_at:
            return
        if self.moved:
            self._epoch = self._subscription.epoch
            if self._held or self._room != self._slots:
                self._room = None  # the new connection has no limit from the old one
            for attempt in self._held.values():
                attempt.parted, attempt.makes_room = True, False
        long = [one for one in self._held.values() if not one.parted and now - one.since >= LONG]
        for attempt in long:
            attempt.makes_room = False
        self._allow(now)
        if long:
            self._subscription.ack([attempt.delivery for attempt in long])
        for attempt in long:
            attempt.parted = True
        self._long_at = min((one.since for one in self._held.values() if not one.parted), default=float("inf")) + LONG

    def _allow(self, now: int) -> None:
        wanted = self._slots - sum(not one.makes_room for one in self._held.values())
        wanted = 0 if self._closed else max(0, wanted)
        if self._room == wanted:
            return
        sinks = self._room is None or wanted < self._room
        if not (sinks or not self._held or not 0 <= now - self._extended < EXTEND):
            return
        free = 0 if self._closed else max(0, self._slots - len(self._held))
        self._subscription.allow(self._queue, free)
        for attempt in self._held.values():
            attempt.makes_room = False
        self._room, self._extended = free, now

    def _count(self, attempt: Attempt) -> None:
        attempt.since, attempt.makes_room = self._clock.now(), True
        self._long_at = min(self._long_at, attempt.since + LONG)
