"""A consumer of the embedded bus: takes, settles, gives back. Must not know keys or stores."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from re_core.adapters.embedded.queue import EmbeddedConsumer, EmbeddedQueue, Inbox
from re_core.ports import Delivery

#: what the bus does with a delivery that cannot be used, and with durable deliveries that are done
Bury = Callable[[Delivery, str, str], None]
Settle = Callable[[Sequence[Delivery]], None]

_queue_of = attrgetter("queue")


class EmbeddedSubscription:
    """See ports.Subscription."""

    def __init__(
        self,
        lock: threading.Lock,
        queues: Iterable[EmbeddedQueue],
        prefetch: int,
        deadlines: dict[int, float],
        bury: Bury,
        settle: Settle,
        closed: Callable[[EmbeddedSubscription], None],
    ) -> None:
        """Of the bus: its lock and its deadlines, and what it does with the deliveries and with a closed subscription."""
        self._lock = lock
        self._inbox = Inbox(lock)
        self._deadlines = deadlines
        self._bury, self._settle, self._leave = bury, settle, closed
        self._closed = False
        with lock:
            self._places = {queue.name: EmbeddedConsumer(queue, self._inbox, prefetch) for queue in queues}
            for place in self._places.values():
                place.queue.join(place)
        self._durable = any(place.queue.durable for place in self._places.values())

    @property
    def epoch(self) -> int:
        """See ports.Subscription."""
        return 0

    @property
    def queues(self) -> Collection[str]:
        """What it consumes."""
        return self._places.keys()

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See ports.Subscription."""
        end = None
        with self._lock:
            while not self._closed:
                taken = self._pop(limit)
                if taken or self._inbox.woken:
                    self._inbox.woken = False
                    return taken
                now = time.monotonic()
                end = now + timeout if end is None else end
                if now >= end:
                    break
                self._inbox.waiting = True
                self._inbox.arrived.wait(end - now)
                self._inbox.waiting = False
        return []

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription. Raises BusUnavailable where the store that keeps the queue does not answer; they stay unsettled then."""
        if self._durable and (kept := [delivery for delivery in deliveries if self._is_kept(delivery)]):
            self._settle(kept)
        with self._lock:
            self._release(deliveries)

    def reject(self, delivery: Delivery, reason: str, detail: str = "") -> None:
        """See ports.Subscription. Raises as `ack` does."""
        if delivery.tag in self._inbox.unsettled:
            self._bury(delivery, reason, detail)
            self.ack([delivery])

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription."""
        with self._lock:
            known = self._inbox.unsettled
            given = [known.pop(delivery.tag) for delivery in deliveries if delivery.tag in known]
            for name, group in groupby(sorted(given, key=_queue_of), _queue_of):
                place = self._places[name]
                again = [delivery._replace(redelivered=True) for delivery in group]
                for delivery in again:
                    place.settled(delivery.tag)
                place.queue.put_back(again)

    def allow(self, queue: str, count: int) -> None:
        """See ports.Subscription."""
        with self._lock:
            self._places[queue].limit(count)

    def wake(self) -> None:
        """See ports.Subscription."""
        with self._lock:
            self._inbox.woken = True
            self._inbox.wake()

    def close(self) -> None:
        """See ports.Subscription."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for name, place in self._places.items():
                held = [delivery for delivery in self._inbox.unsettled.values() if delivery.queue == name]
                place.queue.leave(place, [delivery._replace(redelivered=True) for delivery in held])
            self._inbox.unsettled.clear()
            self._inbox.wake()
        self._leave(self)

    def _is_kept(self, delivery: Delivery) -> bool:
        return self._places[delivery.queue].queue.durable and delivery.tag in self._inbox.unsettled

    def _pop(self, limit: int) -> list[Delivery]:
        waits, unsettled = self._inbox.waits, self._inbox.unsettled
        taken: list[Delivery] = []
        while waits and len(taken) < limit:
            delivery = waits.popleft()
            if delivery.tag in self._deadlines and self._lapsed(delivery):
                continue
            unsettled[delivery.tag] = delivery
            taken.append(delivery)
        return taken

    def _lapsed(self, delivery: Delivery) -> bool:
        place = self._places[delivery.queue]
        if not place.queue.expired(delivery):
            return False
        place.room += 1
        place.queue.fill()
        return True

    def _release(self, deliveries: Sequence[Delivery]) -> None:
        unsettled, places, deadlines = self._inbox.unsettled, self._places, self._deadlines
        for delivery in deliveries:
            if unsettled.pop(delivery.tag, None) is None:
                continue
            place = places[delivery.queue]
            place.settled(delivery.tag)
            queue = place.queue
            if deadlines:
                deadlines.pop(delivery.tag, None)
            if queue.known:
                queue.known.discard(delivery.message.id)
            if queue.ready:
                queue.fill()
