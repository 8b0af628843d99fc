"""What a loop wants to say and to settle, sent in one go: first the words, then the acks. Must not know what they mean.

One thread at a time. When the bus is away, everything stays here for the next try; ids make a repetition harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from re_core.messages import Message
from re_core.ports import Bus, Delivery, Published, Subscription

_log = logging.getLogger(__name__)


class Outbox:
    """Publishes before it acks."""

    def __init__(self, bus: Bus, subscription: Subscription) -> None:
        self._bus = bus
        self._subscription = subscription
        self._messages: list[Message] = []
        self._settled: list[Delivery] = []

    @property
    def empty(self) -> bool:
        """Everything was taken and settled."""
        return not (self._messages or self._settled)

    def say(self, messages: Sequence[Message]) -> None:
        """Publish them, in order, with the next `send`."""
        self._messages.extend(messages)

    def done(self, delivery: Delivery) -> None:
        """Ack it once all that was said before is taken."""
        self._settled.append(delivery)

    def send(self) -> None:
        """Raises BusUnavailable and keeps what is not sent."""
        if self._messages:
            for message, published in zip(self._messages, self._bus.publish(self._messages), strict=True):
                if published is Published.UNROUTABLE:
                    self._lost(message)
            self._messages = []
        if self._settled:
            self._subscription.ack(self._settled)
            self._settled = []

    def _lost(self, message: Message) -> None:
        where = {"action": "unroutable", "deployment_id": message.correlation_id}
        _log.warning("nobody has a queue %r; lost %s", message.key, message.id, extra=where)
