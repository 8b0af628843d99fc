"""One queue in memory and its consumers. Must not know keys, stores or threads: the bus's lock is held around all of it.

A waiting delivery goes to a consumer as soon as that has room (its *inbox*), in turn; it counts as delivered only
when it is taken. So the queue holds something ready only while no consumer has room.
"""

from __future__ import annotations

import heapq
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterable

from re_core.ports import Delivery

_by_tag = operator.attrgetter("tag")


class Inbox:
    """What one subscription was handed: in its inbox until taken, then unsettled."""

    __slots__ = ("arrived", "unsettled", "waiting", "waits", "woken")

    def __init__(self, lock: threading.Lock) -> None:
        #: notified when something arrives while `waiting`
        self.arrived = threading.Condition(lock)
        self.waiting = False
        #: `take` shall wait no longer
        self.woken = False
        self.waits: deque[Delivery] = deque()
        #: tag -> delivery
        self.unsettled: dict[int, Delivery] = {}

    def wake(self) -> None:
        if self.waiting:
            self.waiting = False
            self.arrived.notify()


class EmbeddedConsumer:
    """One subscription's place at one queue."""

    __slots__ = ("apart", "inbox", "queue", "room")

    def __init__(self, queue: EmbeddedQueue, inbox: Inbox, prefetch: int) -> None:
        self.queue = queue
        self.inbox = inbox
        #: how many more deliveries it may be handed
        self.room = prefetch
        #: tags of its unsettled deliveries when its room was last set: settling those makes no room
        self.apart: set[int] = set()

    def limit(self, room: int) -> None:
        """Room for that many beyond what is unsettled now."""
        untaken = _recall(self)
        name = self.queue.name
        self.apart = {tag for tag, delivery in self.inbox.unsettled.items() if delivery.queue == name}
        self.room = room
        self.queue.put_back(untaken)

    def settled(self, tag: int) -> None:
        """One unsettled delivery less."""
        if self.apart and tag in self.apart:
            self.apart.discard(tag)
        else:
            self.room += 1


class EmbeddedQueue:
    """Deliveries in the order of their publishing, which their tags say."""

    __slots__ = ("_consumers", "_deadlines", "_now", "durable", "known", "name", "ready")

    def __init__(self, name: str, durable: bool, deadlines: dict[int, float], now: Callable[[], float]) -> None:
        self.name = name
        self.durable = durable
        self.ready: deque[Delivery] = deque()
        #: ids of a durable queue's messages that are not settled; empty for others
        self.known: set[str] = set()
        self._consumers: deque[EmbeddedConsumer] = deque()
        #: tag -> when its message expires, of all queues
        self._deadlines = deadlines
        self._now = now

    def put(self, delivery: Delivery) -> None:
        """Give it to the consumer whose turn it is, or keep it."""
        consumer = None if self.ready else self._with_room()
        if consumer is not None:
            _hand(consumer, delivery)
            return
        self.ready.append(delivery)
        if self._deadlines:
            self._drop_expired()

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """At the places that they had: what no consumer has taken yet is recalled, so that all come in order again."""
        recalled: list[Delivery] = []
        for consumer in self._consumers:
            recalled += _recall(consumer)
        self.ready = deque(heapq.merge(sorted([*deliveries, *recalled], key=_by_tag), self.ready, key=_by_tag))
        self.fill()

    def fill(self) -> None:
        """Deliver what is ready while a consumer has room."""
        while self.ready and (consumer := self._with_room()):
            delivery = self.ready.popleft()
            if not self.expired(delivery):
                _hand(consumer, delivery)

    def expired(self, delivery: Delivery) -> bool:
        """Whether its message has expired; it is dropped then."""
        deadline = self._deadlines.get(delivery.tag)
        if deadline is None or self._now() < deadline:
            return False
        del self._deadlines[delivery.tag]
        self.known.discard(delivery.message.id)
        return True

    def join(self, consumer: EmbeddedConsumer) -> None:
        self._consumers.append(consumer)
        self.fill()

    def leave(self, consumer: EmbeddedConsumer, unsettled: Iterable[Delivery]) -> None:
        """What the consumer has goes to the others, or waits for the next one."""
        untaken = _recall(consumer)
        self._consumers.remove(consumer)
        self.put_back([*untaken, *unsettled])

    @property
    def unused(self) -> bool:
        """Nothing is in it, nor would be after a restart, and no consumer takes from it."""
        return not (self.durable or self.ready or self._consumers)

    def _with_room(self) -> EmbeddedConsumer | None:
        consumers = self._consumers
        if len(consumers) == 1:
            return consumers[0] if consumers[0].room > 0 else None
        for _ in range(len(consumers)):
            consumer = consumers[0]
            consumers.rotate(-1)
            if consumer.room > 0:
                return consumer
        return None

    def _drop_expired(self) -> None:
        while self.ready and self.expired(self.ready[0]):
            self.ready.popleft()


def _hand(consumer: EmbeddedConsumer, delivery: Delivery) -> None:
    consumer.room -= 1
    inbox = consumer.inbox
    inbox.waits.append(delivery)
    if inbox.waiting:
        inbox.wake()


def _recall(consumer: EmbeddedConsumer) -> list[Delivery]:
    inbox, name = consumer.inbox, consumer.queue.name
    recalled = [delivery for delivery in inbox.waits if delivery.queue == name]
    if recalled:
        inbox.waits = deque(delivery for delivery in inbox.waits if delivery.queue != name)
        consumer.room += len(recalled)
    return recalled
