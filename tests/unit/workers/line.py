"""A connection to the embedded bus that can be lost, as one to a broker can. Must not know who uses it.

Losing it gives back what is unsettled, raises the epoch, and makes what travels once UNKNOWN, as ports.Bus says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import BusUnavailable
from re_core.ports import Delivery, Published, Subscription
from re_core.ports.bus import Listener
from re_core.wire.messages import Message


class LineSubscription:
    """See ports.Subscription; counts what is said to it."""

    def __init__(self, line: Line, bus: EmbeddedBus, queues: Sequence[str], prefetch: int) -> None:
        self._line = line
        self._bus, self._queues, self._prefetch = bus, queues, prefetch
        self._inner = bus.subscribe(queues, prefetch)
        #: tag -> message's id, of what is unsettled
        self._open: dict[int, str] = {}
        #: tag -> when it came, by the clock of `since`
        self._came: dict[int, int] = {}
        self.epoch = 0
        #: (queue, count) of every `allow`
        self.allowed: list[tuple[str, int]] = []
        #: tags that were acked though they were not unsettled: a broker closes the channel for that
        self.wrongly: list[int] = []

    def held(self) -> list[str]:
        """The ids of what is unsettled."""
        return list(self._open.values())

    def since(self, now: int) -> list[int]:
        """When each of what is unsettled came; `now` for what came since the last time."""
        self._came = {tag: self._came.get(tag, now) for tag in self._open}
        return list(self._came.values())

    def lose(self) -> None:
        """The connection is lost and made anew, as it was at the beginning."""
        self._inner.close()
        self._open.clear()
        self._inner = self._bus.subscribe(self._queues, self._prefetch)
        self.epoch += 1

    def take(self, limit: int, timeout: float) -> list[Delivery]:
        if self._line.breaks == "taking":
            self._line.breaks = ""
            self._line.lose()
        taken = [one._replace(epoch=self.epoch) for one in self._inner.take(limit, timeout)]
        self._open.update((one.tag, one.message.id) for one in taken)
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        self._inner.ack(self._mine(deliveries))

    def reject(self, delivery: Delivery, reason: str, detail: str = "") -> None:
        if self._line.away:
            raise BusUnavailable("nobody answers")
        for one in self._mine([delivery]):
            self._inner.reject(one, reason, detail)

    def requeue(self, deliveries: Sequence[Delivery]) -> None:
        self._inner.requeue(self._mine(deliveries))

    def allow(self, queue: str, count: int) -> None:
        self.allowed.append((queue, count))
        self._inner.allow(queue, count)

    def wake(self) -> None:
        self._inner.wake()

    def close(self) -> None:
        self._inner.close()

    def _mine(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        mine = [one for one in deliveries if one.epoch == self.epoch]
        self.wrongly += [one.tag for one in mine if one.tag not in self._open]
        for one in mine:
            self._open.pop(one.tag, None)
            self._came.pop(one.tag, None)
        return mine


class Line:
    """See ports.Bus."""

    def __init__(self, bus: EmbeddedBus) -> None:
        self._bus = bus
        self.subscriptions: list[LineSubscription] = []
        #: nothing can be published
        self.away = False
        #: the connection is lost in the next taking, or in the next publishing: `before` anything of it arrived, or
        #: `after` all of it did; or only the half that publishes is
        self.breaks: Literal["", "taking", "before", "after", "publishing"] = ""
        self.publishes = 0

    def lose(self) -> None:
        """The connection is lost and made anew."""
        for subscription in self.subscriptions:
            subscription.lose()

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        if self.away:
            raise BusUnavailable("nobody answers")
        self.publishes += 1
        if self.breaks in ("", "taking"):
            return self._bus.publish(messages)
        when, self.breaks = self.breaks, ""
        if when == "after":
            self._bus.publish(messages)
        if when != "publishing":
            self.lose()
        again = [message for message in messages if not message.once]
        outcomes = iter(self._bus.publish(again))
        return [Published.UNKNOWN if message.once else next(outcomes) for message in messages]

    def subscribe(self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None) -> Subscription:
        self.subscriptions.append(LineSubscription(self, self._bus, queues, prefetch))
        return self.subscriptions[-1]

    def declare(self, queue: str) -> None:
        if self.away:
            raise BusUnavailable("nobody answers")
        self._bus.declare(queue)

    def forward(self, queue: str, to: str, life: int) -> None:
        self._bus.forward(queue, to, life)

    def stop_forwarding(self, queue: str) -> None:
        self._bus.stop_forwarding(queue)

    def release(self, queue: str) -> None:
        self._bus.release(queue)

    def consumers(self, queue: str) -> int:
        return self._bus.consumers(queue)

    def request(self, message: Message, timeout: float) -> Message | None:
        return self._bus.request(message, timeout)

    def listen(self, listener: Listener, keys: Sequence[str] = ()) -> Callable[[], None]:
        return self._bus.listen(listener, keys)

    def listened(self, key: str) -> bool:
        return self._bus.listened(key)

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        return self._bus.mail(messages)

    def ping(self) -> None:
        if self.away:
            raise BusUnavailable("nobody answers")

    def close(self) -> None:
        self._bus.close()
