"""One queue for the answers to everything that this process asks. Must not know who answers.

An answer is known by its id, `<id of the request>/answer`, or by the request's id as its correlation id. The queue
belongs to the connection and has another name on the next one: an answer that comes too late for it is unroutable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.delivery_reader import DeliveryReader
from re_core.errors import BusUnavailable
from re_core.ports import Delivery
from re_core.wire.messages import Message

#: what the queue's name begins with
PREFIX = "re.answer."

#: what the id of an answer ends with
SUFFIX = "/answer"

#: seconds before a queue that was taken from us is replaced
AGAIN = 1.0

_CONSUMER = "answers"

_Answer = SimpleQueue[Message | None]


class Answers:
    """Who waits for which answer. `expect`, `wait`, `forget` and `close` are for any thread, the rest for the I/O thread."""

    def __init__(
        self, identity: str, later: Callable[[float, Callable[[], None]], None], changed: Callable[[], None]
    ) -> None:
        """`identity` of this process on the bus; `changed` is called when there is a queue."""
        self._identity = identity
        self._later, self._changed = later, changed
        self._number = 0
        self._wanted = False
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Answer]] = {}
        self._over = False
        #: of the queue; empty while there is none
        self.name = ""

    def open(self, connection: Connection | None) -> None:
        """Somebody asks: from now on there shall be a queue."""
        if not self._wanted:
            self._wanted = True
            if connection is not None:
                self.opened(connection)

    def opened(self, connection: Connection) -> None:
        """There is a connection."""
        if self._wanted and connection.is_open:
            self._connection = connection
            self._number += 1
            name = f"{PREFIX}{self._identity}.{self._number}"
            channel = connection.channel(on_open_callback=lambda channel: self._declare(connection, channel, name))
            channel.add_on_close_callback(lambda channel, _: self._closed(connection, channel))
            channel.add_on_cancel_callback(lambda _: channel.close())

    def _declare(self, connection: Connection, channel: Any, name: str) -> None:
        inflow = DeliveryReader(0, self._put, lambda _: None)
        inflow.queues[_CONSUMER.encode()] = name
        connection.readers[channel.channel_number] = inflow

        def consumes(_: Any) -> None:
            self.name = name
            self._changed()

        channel.queue_declare(name, exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"})
        channel.basic_consume(name, _never, auto_ack=True, consumer_tag=_CONSUMER, callback=consumes)

    def _closed(self, connection: Connection, channel: Any) -> None:
        self.name = ""
        if connection is self._connection and connection.is_open:
            connection.readers.pop(channel.channel_number, None)
            self._later(AGAIN, lambda: self._again(connection))

    def _again(self, connection: Connection) -> None:
        if connection is self._connection:
            self.opened(connection)

    def lost(self) -> None:
        """The connection has gone, and the queue with it."""
        self.name = ""
        self._connection = None

    def expect(self, id: str) -> _Answer:
        """Before the request is published."""
        answer: _Answer = SimpleQueue()
        with self._lock:
            self._waiting.setdefault(id, []).append(answer)
            if self._over:
                answer.put(None)
        return answer

    def wait(self, answer: _Answer, timeout: float) -> Message | None:
        """The first answer; None where none comes within `timeout` seconds. Raises BusUnavailable when the bus closes."""
        try:
            message = answer.get(timeout=max(timeout, 0))
        except Empty:
            return None
        if message is None:
            raise BusUnavailable("the bus was closed before an answer came")
        return message

    def forget(self, id: str, answer: _Answer) -> None:
        with self._lock:
            waiting = self._waiting[id]
            waiting.remove(answer)
            if not waiting:
                del self._waiting[id]

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._lock:
            self._over = True
            for waiting in self._waiting.values():
                for answer in waiting:
                    answer.put(None)

    def _put(self, deliveries: list[Delivery]) -> None:
        for message in (delivery.message for delivery in deliveries):
            names = (message.id.removesuffix(SUFFIX), message.correlation_id)
            with self._lock:
                for answer in next((self._waiting[name] for name in names if name in self._waiting), []):
                    answer.put(message)


def _never(*_: object) -> None:
    """Deliveries are read by Inflow, before pika sees them."""
