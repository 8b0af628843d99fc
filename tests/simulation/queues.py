"""The broker's queues: what lies in them, who is handed what. Must not know processes, faults or what a message means."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from re_core.wire.messages import Message
from tests.simulation.clock import Time


class Kept(NamedTuple):
    """A message in a queue. `number` is its place among all that the broker ever took."""

    number: int
    message: Message
    redelivered: bool
    #: when nobody wants it any more
    deadline: float


class Consumer(Protocol):
    """One subscription, as a queue sees it."""

    ranks: Mapping[str, int]

    def room(self, queue: str) -> int:
        """How many more it may be handed."""
        ...

    def hand(self, queue: str, kept: Kept) -> None:
        """It is this consumer's now, until settled."""
        ...

    def holds(self, queue: str) -> bool:
        """Whether it has anything of that queue."""
        ...


class Queue:
    """One queue. With `single`, one consumer at a time: the one with the highest rank."""

    def __init__(self, name: str, time: Time, single: bool, owner: object | None) -> None:
        self.name = name
        #: the connection that it goes with
        self.owner = owner
        #: when it goes, unless somebody consumes it again
        self.gone_at = math.inf
        #: milliseconds until which the broker is slow with it
        self.slow_until = 0
        self.ready: deque[Kept] = deque()
        #: ids of messages that nobody wanted any more when their turn came
        self.expired: set[str] = set()
        self._time = time
        self._single = single
        self._consumers: list[Consumer] = []
        self._active: Consumer | None = None

    def put(self, kept: Kept) -> None:
        self.ready.append(kept)
        self.fill()

    def put_back(self, many: Iterable[Kept]) -> None:
        """At the places that they had, and marked."""
        again = [one._replace(redelivered=True) for one in many]
        self.ready = deque(sorted([*again, *self.ready]))
        self.fill()

    def fill(self) -> None:
        """Hand out what is ready while somebody has room."""
        if self._time.now < self.slow_until:
            return
        while self.ready and (consumer := self._next()) is not None:
            kept = self.ready.popleft()
            if kept.deadline > self._time.now:
                consumer.hand(self.name, kept)
            else:
                self.expired.add(kept.message.id)

    def join(self, consumer: Consumer) -> None:
        self.gone_at = math.inf
        if consumer not in self._consumers:
            self._consumers.append(consumer)
        self.fill()

    def leave(self, consumer: Consumer, unsettled: Iterable[Kept]) -> None:
        """What it has goes to the others."""
        if consumer in self._consumers:
            self._consumers.remove(consumer)
        if self._active is consumer:
            self._active = None
        self.put_back(unsettled)

    @property
    def consumers(self) -> int:
        return len(self._consumers)

    def _next(self) -> Consumer | None:
        if self._single:
            active = self._elect()
            return active if active is not None and active.room(self.name) > 0 else None
        for _ in range(len(self._consumers)):
            consumer = self._consumers.pop(0)
            self._consumers.append(consumer)
            if consumer.room(self.name) > 0:
                return consumer
        return None

    def _elect(self) -> Consumer | None:
        """The one active consumer; a better one takes over once the old one holds nothing."""
        if not self._consumers:
            return None
        best = max(self._consumers, key=lambda one: one.ranks.get(self.name, 0))
        current = self._active
        if current is None or (self._rank(best) > self._rank(current) and not current.holds(self.name)):
            self._active = best
        return self._active

    def _rank(self, consumer: Consumer) -> int:
        return consumer.ranks.get(self.name, 0)
