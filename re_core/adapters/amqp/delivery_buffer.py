"""The deliveries of one subscription: waiting to be taken, or taken and not settled. Must not know pika.

Both threads meet here, under one lock: the I/O thread adds deliveries and reports a lost connection, the
consumer takes and settles. Tags count up per channel; a multiple ack settles every tag up to it, so it is used only
as far as everything below is settled too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from re_core.ports import Delivery


class DeliveryBuffer:
    """Of the deliveries of one channel at a time; its number is the epoch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._waiting = False
        #: `take` shall wait no longer
        self._woken = False
        self._closed = False
        self._inbox: deque[Delivery] = deque()
        #: tag -> queue of all that is not settled, taken or not, in the order of the tags
        self._held: dict[int, str] = {}
        #: tag -> when its message expires (monotonic seconds), of what waits in the inbox
        self._deadlines: dict[int, float] = {}
        #: rises with each lost channel
        self.epoch = 0

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """They came, in this order."""
        with self._lock:
            held = self._held
            for delivery in deliveries:
                held[delivery.tag] = delivery.queue
                if delivery.message.expires is not None:
                    # the broker stops counting the time of what it has delivered
                    self._deadlines[delivery.tag] = time.monotonic() + delivery.message.expires / 1000
            self._inbox.extend(deliveries)
            if self._waiting:
                self._waiting = False
                self._arrived.notify()

    def lose(self) -> None:
        """The channel is lost: the broker delivers all of it again."""
        with self._lock:
            self.epoch += 1
            self._inbox.clear()
            self._held.clear()
            self._deadlines.clear()

    def take(self, limit: int, timeout: float) -> tuple[list[Delivery], list[Delivery]]:
        """See ports.Subscription; and those that expired meanwhile, which shall be settled too."""
        end = None
        with self._lock:
            while not self._closed:
                taken, late = self._pop(limit)
                if late and not taken:
                    return [], late  # a wake-up is for the next one, which returns at once
                if taken or self._woken:
                    self._woken = False
                    return taken, late
                now = time.monotonic()
                end = now + timeout if end is None else end
                if now >= end:
                    break
                self._waiting = True
                self._arrived.wait(end - now)
                self._waiting = False
        return [], []

    def settle(self, deliveries: Iterable[Delivery]) -> tuple[int, list[tuple[int, bool]]]:
        """The epoch, and what to send to the broker: (tag, whether it includes all before it)."""
        with self._lock:
            tags = self._release(deliveries)
            if not tags:
                return self.epoch, []
            low = next(iter(self._held), None)
            settled = sorted(tags)
            if low is None or low > settled[-1]:
                return self.epoch, [(settled[-1], len(settled) > 1)]
            below = [tag for tag in settled if tag < low]
            first = [(below[-1], len(below) > 1)] if below else []
            return self.epoch, first + [(tag, False) for tag in settled[len(below) :]]

    def release(self, deliveries: Iterable[Delivery]) -> tuple[int, list[int]]:
        """The epoch, and the tags of those that are held; they no longer are."""
        with self._lock:
            return self.epoch, sorted(self._release(deliveries))

    def recall(self, queue: str) -> tuple[int, list[int]]:
        """The epoch, and the tags of what lies in the inbox from that queue; it no longer does."""
        with self._lock:
            recalled = [delivery for delivery in self._inbox if delivery.queue == queue]
            self._inbox = deque(delivery for delivery in self._inbox if delivery.queue != queue)
            return self.epoch, sorted(self._release(recalled))

    def empty(self) -> tuple[int, list[int]]:
        """The epoch, and the tags of all that is held; nothing is any more."""
        with self._lock:
            tags = list(self._held)
            self._held.clear()
            self._inbox.clear()
            return self.epoch, tags

    def holds(self, delivery: Delivery) -> bool:
        """Whether it is not settled, and still can be."""
        with self._lock:
            return delivery.epoch == self.epoch and delivery.tag in self._held

    def wake(self) -> None:
        """The `take` that waits, or else the next one, waits no longer."""
        with self._lock:
            self._woken = True
            self._arrived.notify()

    def close(self) -> bool:
        """Wake the caller of `take`; False where it was closed before."""
        with self._lock:
            closed, self._closed = self._closed, True
            self._inbox.clear()
            self._arrived.notify_all()
            return not closed

    def _release(self, deliveries: Iterable[Delivery]) -> list[int]:
        held, epoch = self._held, self.epoch
        return [one.tag for one in deliveries if one.epoch == epoch and held.pop(one.tag, None) is not None]

    def _pop(self, limit: int) -> tuple[list[Delivery], list[Delivery]]:
        taken: list[Delivery] = []
        late: list[Delivery] = []
        inbox, deadlines = self._inbox, self._deadlines
        while inbox and len(taken) < limit:
            delivery = inbox.popleft()
            deadline = deadlines.pop(delivery.tag, None) if deadlines else None
            if deadline is not None and time.monotonic() >= deadline:
                late.append(delivery)
            else:
                taken.append(delivery)
        return taken, late
