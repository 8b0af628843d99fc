"""A queue that one process has to itself for as long as a connection lasts. For the I/O thread. Must not know what comes in it.

It belongs to the connection and has another name on the next one: nothing in it outlives either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.delivery_reader import DeliveryReader
from re_core.ports import Delivery

#: seconds before a queue that was taken from us is replaced
AGAIN = 1.0

_CONSUMER = "private"


class PrivateQueue:
    """There is none until `open`; then there is one whenever there is a connection."""

    def __init__(
        self,
        prefix: str,
        put: Callable[[list[Delivery]], None],
        later: Callable[[float, Callable[[], None]], None],
        changed: Callable[[], None],
        arguments: Mapping[str, Any] | None = None,
        bindings: Sequence[tuple[str, str]] = (),
    ) -> None:
        """The name is `prefix` and a number; `changed` is called when there is a queue.

        `bindings`: pairs of an exchange and a pattern of keys.
        """
        self._prefix, self._put, self._later, self._changed = prefix, put, later, changed
        self._arguments = {"x-queue-type": "classic", **(arguments or {})}
        self._bindings = tuple(bindings)
        self._number = 0
        self._wanted = False
        self._connection: Connection | None = None
        self._channel: Any = None
        #: of the queue; empty while there is none
        self.name = ""

    def open(self, connection: Connection | None) -> None:
        """From now on there shall be a queue."""
        if not self._wanted:
            self._wanted = True
            if connection is not None:
                self.opened(connection)

    def close(self) -> None:
        """There shall be none any more, until `open` is called again."""
        self._wanted = False
        self.name = ""
        channel, self._channel = self._channel, None
        if channel is not None and channel.is_open:
            channel.close()

    def opened(self, connection: Connection) -> None:
        """There is a connection."""
        if self._wanted and connection.is_open:
            self._connection = connection
            self._number += 1
            name = f"{self._prefix}{self._number}"
            channel = connection.channel(on_open_callback=lambda channel: self._declare(connection, channel, name))
            channel.add_on_close_callback(lambda channel, _: self._closed(connection, channel))
            channel.add_on_cancel_callback(lambda _: channel.close())

    def lost(self) -> None:
        """The connection is lost, and with it the queue."""
        self.name = ""
        self._connection = self._channel = None

    def _declare(self, connection: Connection, channel: Any, name: str) -> None:
        if not self._wanted:
            channel.close()
            return
        self._channel = channel
        reader = DeliveryReader(0, self._put, lambda _: None)
        reader.queues[_CONSUMER.encode()] = name
        connection.readers[channel.channel_number] = reader

        def consumes(_: Any) -> None:
            if channel is self._channel:
                self.name = name
                self._changed()

        channel.queue_declare(name, exclusive=True, auto_delete=True, arguments=self._arguments)
        for exchange, key in self._bindings:
            channel.queue_bind(name, exchange, key)
        channel.basic_consume(name, _never, auto_ack=True, consumer_tag=_CONSUMER, callback=consumes)

    def _closed(self, connection: Connection, channel: Any) -> None:
        if channel is self._channel:
            self.name, self._channel = "", None
        if connection is self._connection and connection.is_open:
            connection.readers.pop(channel.channel_number, None)
            self._later(AGAIN, lambda: self._again(connection))

    def _again(self, connection: Connection) -> None:
        if connection is self._connection and self._channel is None:
            self.opened(connection)


def _never(*_: object) -> None:
    """Deliveries are read by DeliveryReader, before pika sees them."""
