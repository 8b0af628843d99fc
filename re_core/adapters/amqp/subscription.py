"""A consumer of queues of RabbitMQ, for one thread at a time. Must not know connections or channels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from re_core.adapters.amqp.consumer import AmqpConsumer
from re_core.adapters.amqp.delivery_buffer import DeliveryBuffer
from re_core.errors import BusRefused
from re_core.ports import Delivery

#: seconds that a close waits for the broker to take back what is not settled
CLOSING = 5.0

#: does something on the I/O thread
Post = Callable[[Callable[[], None]], None]


class AmqpSubscription:
    """See ports.Subscription."""

    def __init__(
        self,
        hand: DeliveryBuffer,
        consumer: AmqpConsumer,
        post: Post,
        bury: Callable[[Delivery, str, str], None],
        refused: Callable[[], BusRefused | None],
        closed: Callable[[AmqpSubscription], None],
    ) -> None:
        """`bury` returns when the dead letter is on its queue; `refused` says why there will never be a connection."""
        self._hand = hand
        self.consumer = consumer
        self._post = post
        self._bury, self._refused, self._leave = bury, refused, closed

    @property
    def epoch(self) -> int:
        """See ports.Subscription. Rises also when the broker closes only the channel."""
        return self._hand.epoch

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        """See ports.Subscription. Nothing comes while the broker is away; raises BusRefused where nothing ever will."""
        refused = self._refused()
        if refused is not None:
            raise refused
        end = time.monotonic() + timeout
        while True:
            taken, late = self._hand.take(limit, max(0.0, end - time.monotonic()))
            if late:
                self.ack(late)
            if taken or not late:
                return taken
            # nothing but expired ones: that is no reason to wait less

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription."""
        epoch, settled = self._hand.settle(deliveries)
        if settled:
            self._post(lambda: self.consumer.settle(epoch, settled))

    def reject(self, delivery: Delivery, reason: str, detail: str = "") -> None:
        """See ports.Subscription. Raises BusUnavailable where the dead letter was not taken; it stays unsettled then."""
        if self._hand.holds(delivery):
            self._bury(delivery, reason, detail)
            self.ack([delivery])

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        """See ports.Subscription."""
        epoch, tags = self._hand.release(deliveries)
        self._post(lambda: self.consumer.give_back(epoch, tags))

    def allow(self, queue: str, count: int) -> None:
        """See ports.Subscription."""
        limited = threading.Event()

        def limit() -> None:
            self.consumer.limit(queue, count)
            limited.set()

        self._post(limit)
        # no delivery of before this limit is added to the buffer from here on
        limited.wait(CLOSING)

    def wake(self) -> None:
        """See ports.Subscription."""
        self._hand.wake()

    def end(self) -> None:
        """The bus closes, and all channels with it."""
        self._hand.close()

    def close(self) -> None:
        """See ports.Subscription."""
        if self._hand.close():
            closed = threading.Event()
            self._post(lambda: self.consumer.close(closed.set))
            closed.wait(CLOSING)
            self._leave(self)
