"""The bus on RabbitMQ (ports.Bus; docs/decisions/0008). Must not know frames or channels.

Two connections on one thread: what publishes is blocked by the broker when it runs short of memory or disk, and acks
on that connection would be blocked with it, so that nobody could empty the queues.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from re_core.adapters.amqp import declaring, frames
from re_core.adapters.amqp.address import Address
from re_core.adapters.amqp.answers import Answers
from re_core.adapters.amqp.batch import Batch
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.consumer import Consumer
from re_core.adapters.amqp.conversation import Conversation, Script
from re_core.adapters.amqp.declarations import Declarations
from re_core.adapters.amqp.hand import Hand
from re_core.adapters.amqp.health import Health
from re_core.adapters.amqp.link import Link
from re_core.adapters.amqp.publisher import Publisher
from re_core.adapters.amqp.subscription import AmqpSubscription
from re_core.adapters.amqp.thread import IoThread
from re_core.adapters.amqp.topology import Topology, forwarding
from re_core.adapters.clock_system import SystemClock
from re_core.dead import dead_letter_message
from re_core.errors import BusRefused, BusUnavailable
from re_core.messages import DEAD, Message
from re_core.ports import Delivery, Published

#: seconds without any confirm after which a publish gives up
PATIENCE = 15.0

#: seconds that declaring, subscribing and asking may take while there is a connection
SETTING_UP = 10.0

#: seconds that a close waits for the broker's goodbye
CLOSING = 5.0

#: channel numbers of the publishing connection: frames.PUBLISHING, and this one
_DECLARING = 2

_log = logging.getLogger(__name__)


class AmqpBus:
    """See ports.Bus. Make it in the process that uses it; it starts one thread, and connects by itself."""

    def __init__(self, addresses: Sequence[Address], topology: Topology, patience: float = PATIENCE) -> None:
        """`patience` in seconds, see PATIENCE. The broker need not be there yet."""
        # every failure is told once, by Health, in words for people; pika tells each of its own layers' views of it
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._topology = topology
        self._patience = patience
        self._clock = SystemClock()
        self._identity = secrets.token_hex(6)
        self._changed = threading.Condition()
        self._closed = False
        self._consumers: list[Consumer] = []
        self._subscriptions: list[AmqpSubscription] = []
        self._thread = IoThread("amqp", lambda _: self._start_again())
        later = self._thread.later
        self._declarations = Declarations(topology, [DEAD], later, self._notify)
        self._answers = Answers(self._identity)
        self._publisher = Publisher(later, self._prepare, self._restore)
        told = Health(", ".join(address.name for address in addresses))
        self._publishing = Link(
            "publishing", self._thread, addresses, told, self._prepare, self._lost_publishing, self._news
        )
        self._consuming = Link("consuming", self._thread, addresses, told, self._opened, self._lost, self._news)
        self._thread.start()
        self._thread.post(self._publishing.start)
        self._thread.post(self._consuming.start)

    def declare(self, queue: str) -> None:
        """See ports.Bus. While the broker is away it returns: the queue is declared before anything else, then. Raises BusRefused."""
        if self._declarations.made(queue):
            return
        self._check()
        self._thread.post(lambda: self._declarations.make([queue], _nothing))
        self._wait(lambda: self._declarations.made(queue), [queue])

    def forward(self, queue: str, to: str, life: int) -> None:
        """See ports.Bus. Raises BusUnavailable where it could not be declared."""
        self._ask(declaring.queue(self._topology, forwarding(queue, to, life), set()))

    def consumers(self, queue: str) -> int:
        """See ports.Bus."""
        return int(self._ask(declaring.consumers(queue)))

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        """See ports.Bus. Raises BusRefused where somebody must act first."""
        return self._publish(messages, self._patience)

    def subscribe(
        self, queues: Sequence[str], prefetch: int, ranks: Mapping[str, int] | None = None
    ) -> AmqpSubscription:
        """See ports.Bus. While the broker is away it returns, and consumes as soon as it is there. Raises BusRefused."""
        self._check()
        names = list(dict.fromkeys(queues))
        hand, ready = Hand(), threading.Event()
        consumer = Consumer(hand, names, prefetch, ranks or {}, self._declarations.make, self._thread.later)

        def consumes() -> None:
            ready.set()
            self._notify()

        consumer.ready = consumes
        subscription = AmqpSubscription(
            hand, consumer, self._thread.post, self._bury, lambda: self._refusal(names), self._left
        )
        self._subscriptions.append(subscription)
        self._thread.post(lambda: self._add(consumer))
        self._wait(ready.is_set, names)
        return subscription

    def request(self, message: Message, timeout: float) -> Message | None:
        """See ports.Bus. An answer to a question that was asked on a connection that is lost does not come."""
        end = time.monotonic() + timeout
        name = self._answer_queue()
        answer = self._answers.expect(message.id)
        try:
            asked = message._replace(reply_to=name)
            if self._publish([asked], min(timeout, self._patience)) == [Published.UNROUTABLE]:
                raise BusUnavailable(f"nobody takes messages for {message.key!r}")
            return self._answers.wait(answer, end - time.monotonic())
        finally:
            self._answers.forget(message.id, answer)

    def mail(self, messages: Sequence[Message]) -> list[tuple[str, Message]]:
        """See ports.Bus. The broker keeps everything itself."""
        return []

    def ping(self) -> None:
        """See ports.Bus. Also raises while the broker takes no messages for an alarm, and BusRefused."""
        self._check()
        for link in (self._publishing, self._consuming):
            if link.connection is None:
                raise BusUnavailable(link.trouble or "there is no connection to RabbitMQ yet")
        if self._publishing.alarm:
            raise BusUnavailable(self._why_not())

    def close(self) -> None:
        """See ports.Bus. Twice is the same as once."""
        with self._changed:
            closed, self._closed = self._closed, True
            self._changed.notify_all()
        if closed:
            return
        for subscription in list(self._subscriptions):
            subscription.end()
        self._answers.close()
        ended = threading.Semaphore(0)
        self._thread.post(lambda: self._publisher.fail(BusUnavailable("the bus is closed")))
        links = (self._publishing, self._consuming)
        for link in links:
            self._thread.post(partial(link.close, ended.release))
        end = time.monotonic() + CLOSING
        for _ in links:
            ended.acquire(timeout=max(0.0, end - time.monotonic()))
        self._thread.stop()

    # -- any thread ----------------------------------------------------------------------------------

    def _publish(self, messages: Sequence[Message], patience: float) -> list[Published]:
        self._check()
        batch = Batch(messages, [self._frames(message) for message in messages])
        if not batch.left:
            return batch.known()
        self._thread.post(lambda: self._publisher.send(batch))
        left = batch.left
        while not batch.wait(patience):
            if batch.left == left:
                batch.given_up = True
                self._thread.post(lambda: self._publisher.forget(batch))
                raise BusUnavailable(self._why_not())
            left = batch.left
        if batch.error is not None:
            raise batch.error
        return batch.known()

    def _frames(self, message: Message) -> bytes | None:
        try:
            return frames.publish(message, self._topology.exchange)
        except frames.TooLong as error:
            _log.error(
                "the message %.200s for %.200s cannot travel: %s",
                message.id,
                message.key,
                error,
                extra={"action": "too_long"},
            )
            return None

    def _bury(self, delivery: Delivery, reason: str, detail: str) -> None:
        now = self._clock.now()
        letter = dead_letter_message(delivery.message, delivery.queue, reason, detail, self._identity, now)
        if self.publish([letter]) != [Published.TAKEN]:
            raise BusUnavailable(f"the queue {DEAD} has taken no dead letter")

    def _why_not(self) -> str:
        link = self._publishing
        if link.alarm:
            return f"RabbitMQ has an alarm ({link.alarm}) and takes no messages: give it memory or disk, or empty its queues"
        if link.connection is None:
            return link.trouble or "there is no connection to RabbitMQ yet"
        return self._publisher.trouble or "RabbitMQ has not confirmed in time"

    def _check(self) -> None:
        if self._closed:
            raise BusUnavailable("the bus is closed")
        refused = self._refusal(())
        if refused is not None:
            raise refused

    def _refusal(self, names: Sequence[str]) -> BusRefused | None:
        return self._publishing.refused or self._consuming.refused or self._declarations.refusal(names)

    def _wait(self, done: Callable[[], bool], names: Sequence[str]) -> bool:
        """Until it is done, or cannot be done now; whether it is. Raises BusRefused."""

        def over() -> bool:
            away = self._consuming.connection is None and self._consuming.trouble != ""
            return done() or away or self._closed or self._refusal(names) is not None

        with self._changed:
            self._changed.wait_for(over, SETTING_UP)
        refused = self._refusal(names)
        if refused is not None:
            raise refused
        return done()

    def _ask(self, script: Script) -> Any:
        self._check()
        answers: list[tuple[Any, Exception | None]] = []

        def heard(value: Any, error: Exception | None) -> None:
            answers.append((value, error))
            self._notify()

        def ask() -> None:
            if not self._declarations.ask(script, heard):
                heard(None, BusUnavailable(self._consuming.trouble or "there is no connection to RabbitMQ yet"))

        self._thread.post(ask)
        self._wait(lambda: bool(answers), ())
        if not answers:
            raise BusUnavailable(self._consuming.trouble or "RabbitMQ has not answered in time")
        value, error = answers[0]
        if isinstance(error, BusRefused | BusUnavailable):
            raise error
        if error is not None:
            raise BusUnavailable(f"RabbitMQ refuses it just now: {error}")
        return value

    def _answer_queue(self) -> str:
        self._check()
        if not self._answers.name:
            self._thread.post(lambda: self._answers.open(self._consuming.connection, self._notify))
            self._wait(lambda: self._answers.name != "", ())
        name = self._answers.name
        if not name:
            raise BusUnavailable(self._consuming.trouble or "there is no queue for answers yet")
        return name

    def _left(self, subscription: AmqpSubscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
        self._thread.post(lambda: self._remove(subscription.consumer))

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # -- the I/O thread ------------------------------------------------------------------------------

    def _add(self, consumer: Consumer) -> None:
        self._consumers.append(consumer)
        if self._consuming.connection is not None:
            consumer.opened(self._consuming.connection)

    def _remove(self, consumer: Consumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)

    def _opened(self, connection: Connection) -> None:
        def declared() -> None:
            self._answers.opened(connection)
            for consumer in list(self._consumers):
                consumer.opened(connection)

        self._declarations.opened(connection, declared)
        self._notify()

    def _lost(self, _: str) -> None:
        self._declarations.lost()
        self._answers.lost()
        for consumer in list(self._consumers):
            consumer.lost()
        self._notify()

    def _prepare(self, connection: Connection) -> None:
        def declared(_: Any, error: Exception | None) -> None:
            if isinstance(error, BusRefused):
                self._publishing.refused = error
                self._news()
            elif error is None:
                self._publisher.opened(connection)

        Conversation(connection, _DECLARING).run(declaring.exchanges(self._topology), declared)

    def _lost_publishing(self, _: str) -> None:
        self._publisher.lost()
        self._notify()

    def _restore(self, message: Message, done: Callable[[], None]) -> bool:
        return self._declarations.restore(self._topology.expected(message.key, message.direct), done)

    def _news(self) -> None:
        self._publisher.block(self._publishing.alarm != "")
        refused = self._refusal(())
        if refused is not None:
            self._publisher.fail(refused)
        self._notify()

    def _start_again(self) -> None:
        for link in (self._publishing, self._consuming):
            link.abort()


def _nothing() -> None:
    """Nobody wants to hear it."""
