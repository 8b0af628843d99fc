"""The bus on RabbitMQ (ports.Bus; docs/decisions/0008). Must not know frames, channels or connections."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from re_core.adapters.amqp import declaring, frames
from re_core.adapters.amqp.address import Address
from re_core.adapters.amqp.batch import PublishBatch
from re_core.adapters.amqp.connections import Connections
from re_core.adapters.amqp.consumer import AmqpConsumer
from re_core.adapters.amqp.delivery_buffer import DeliveryBuffer
from re_core.adapters.amqp.subscription import AmqpSubscription
from re_core.adapters.amqp.topology import Topology, forwarding, is_fleeting
from re_core.adapters.clock_system import SystemClock
from re_core.errors import BusUnavailable
from re_core.ports import Delivery, Published
from re_core.ports.bus import Listener
from re_core.wire.dead_letters import dead_letter_message
from re_core.wire.messages import DEAD, Message, request_life

#: seconds without any confirm after which a publish gives up
PATIENCE = 15.0

_log = logging.getLogger(__name__)


class AmqpBus:
    """See ports.Bus. Make it in the process that uses it; it starts one thread, and connects by itself.

    The broker need not be there. Every call may raise BusRefused, where waiting is useless until an operator acts.
    """

    def __init__(self, addresses: Sequence[Address], topology: Topology, patience: float = PATIENCE) -> None:
        """`patience` in seconds, see PATIENCE."""
        self._topology = topology
        self._patience = patience
        self._clock = SystemClock()
        self._subscriptions: list[AmqpSubscription] = []
        self._wiring = Connections(addresses, topology)

    def declare(self, queue: str) -> None:
        """See ports.Bus. While the broker is away it returns: the queue is declared as soon as there is a connection."""
        wiring = self._wiring
        if not wiring.declarations.made(queue):
            wiring.check()
            wiring.thread.post(lambda: wiring.declarations.make([queue], _nothing))
            wiring.wait(lambda: wiring.declarations.made(queue), [queue])

    def forward(self, queue: str, to: str, life: int) -> None:
        """See ports.Bus. Raises BusUnavailable where it could not be declared."""
        self._wiring.ask(self._wiring.declarations.script(forwarding(queue, to, life)))

    def stop_forwarding(self, queue: str) -> None:
        """See ports.Bus."""
        declarations = self._wiring.declarations

        def remove() -> None:
            declarations.ask(declaring.removal(queue), _unused)

        self._wiring.thread.post(remove)

    def release(self, queue: str) -> None:
        """See ports.Bus. The broker deletes it by its `x-expires`."""
        self._wiring.thread.post(lambda: self._wiring.declarations.forget(queue))

    def consumers(self, queue: str) -> int:
        """See ports.Bus."""
        return int(self._wiring.ask(declaring.consumers(queue)))

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """See ports.Bus."""
        self._wiring.check()
        batch = PublishBatch(messages, [self._frames(message) for message in messages])
        outcomes = self._send(batch, self._patience)
        self._wiring.listening.note(messages, outcomes)
        return outcomes

    def subscribe(
        self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None
    ) -> AmqpSubscription:
        """See ports.Bus. While the broker is away it returns, and consumes as soon as there is a connection."""
        wiring = self._wiring
        wiring.check()
        names = list(dict.fromkeys(queues))
        hand, ready = DeliveryBuffer(), threading.Event()

        def consumes() -> None:
            ready.set()
            wiring.notify()

        consumer = AmqpConsumer(
            hand, names, prefetch, ranks or {}, wiring.declarations.make, wiring.thread.later, consumes
        )
        subscription = AmqpSubscription(
            hand, consumer, wiring.thread.post, self._bury, lambda: wiring.refusal(names), self._left
        )
        self._subscriptions.append(subscription)
        wiring.thread.post(lambda: wiring.add(consumer))
        try:
            wiring.wait(ready.is_set, names)
        except BaseException:
            subscription.close()
            raise
        return subscription

    def request(self, message: Message, timeout: float) -> Message | None:
        """See ports.Bus."""
        end = time.monotonic() + timeout
        answers, name = self._wiring.answers, self._answer_queue()
        answer = answers.expect(message.id)
        try:
            asked = message._replace(reply_to=name, expires=request_life(timeout))
            batch = PublishBatch([asked], [self._frames(asked)], lambda: self._frames_of_request(asked, end))
            try:
                outcomes = self._send(batch, timeout)
            except BusUnavailable:
                if batch.sent:
                    return None
                raise
            if outcomes == [Published.UNROUTABLE]:
                raise BusUnavailable(f"no consumer receives messages with the routing key {message.key!r}")
            return answers.wait(answer, end - time.monotonic())
        finally:
            answers.forget(message.id, answer)

    def listen(self, listener: Listener, keys: Sequence[str] = ()) -> Callable[[], None]:
        """See ports.Bus. Does not wait: there is a queue as soon as there is a connection."""
        wiring = self._wiring
        wiring.check()
        wiring.thread.post(lambda: wiring.listening.add(listener, keys, wiring.consuming.connection))
        return lambda: wiring.thread.post(lambda: wiring.listening.remove(listener, keys))

    def listened(self, key: str) -> bool:
        """See ports.Bus."""
        return self._wiring.listening.listened(key)

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        """See ports.Bus. The broker keeps everything itself."""
        return []

    def ping(self) -> None:
        """See ports.Bus. Also raises while the broker takes no messages for an alarm."""
        wiring = self._wiring
        wiring.check()
        if wiring.consuming.connection is None:
            raise BusUnavailable(wiring.away())
        if wiring.publishing.connection is None or wiring.publishing.alarm:
            raise BusUnavailable(wiring.why_not())

    def close(self) -> None:
        """See ports.Bus. Twice is the same as once."""
        if self._wiring.close():
            for subscription in self._subscriptions:
                subscription.end()

    def _send(self, batch: PublishBatch, patience: float) -> list[Published]:
        wiring = self._wiring
        wiring.check()
        left = batch.left
        if left:
            wiring.thread.post(lambda: wiring.publisher.send(batch))
            while not batch.wait(patience):
                if batch.left == left:
                    batch.given_up = True
                    wiring.thread.post(lambda: wiring.publisher.forget(batch))
                    raise BusUnavailable(wiring.why_not())
                left = batch.left
        return batch.result()

    def _frames(self, message: Message) -> bytes | None:
        try:
            return frames.publish(message, self._topology.exchange_of(message), not is_fleeting(message))
        except frames.TooLong as error:
            words = "the message %.200s for %.200s cannot be sent: %s"
            _log.error(words, message.id, message.key, error, extra={"action": "too_long"})
            return None

    def _frames_of_request(self, message: Message, end: float) -> bytes | None:
        """As it is sent now, for a caller that waits until `end` (monotonic seconds); None where that is too late."""
        life = request_life(end - time.monotonic())
        return self._frames(message._replace(expires=life)) if life else None

    def _bury(self, delivery: Delivery, reason: str, detail: str) -> None:
        by, now = self._wiring.identity, self._clock.now()
        letter = dead_letter_message(delivery.message, delivery.queue, reason, detail, by, now)
        if self.publish([letter]) != [Published.TAKEN]:
            raise BusUnavailable(f"the queue {DEAD} did not confirm the dead letter")

    def _answer_queue(self) -> str:
        wiring = self._wiring
        wiring.check()
        answers = wiring.answers
        if not answers.name:
            wiring.thread.post(lambda: answers.open(wiring.consuming.connection))
            wiring.wait(lambda: answers.name != "")
        name = answers.name
        if not name:
            raise BusUnavailable(wiring.away())
        return name

    def _left(self, subscription: AmqpSubscription) -> None:
        self._subscriptions.remove(subscription)
        self._wiring.thread.post(lambda: self._wiring.remove(subscription.consumer))


def _unused(*_: object) -> None:
    """It has an end of its own anyway."""


def _nothing() -> None:
    """The result is not used."""
