"""The broker's side of one subscription: a channel with a consumer per queue. For the I/O thread. Must not know its caller.

A consumer's prefetch is its own (basic.qos without `global`, which RabbitMQ counts per consumer), so another limit
needs another consumer: the old one is cancelled, and what still comes for it goes back at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pika.channel import Channel
from pika.exceptions import ChannelClosedByBroker

from re_core.adapters.amqp import frames
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.delivery_buffer import DeliveryBuffer
from re_core.adapters.amqp.delivery_reader import DeliveryReader

#: deliveries that a quorum queue sends without an ack, at most
MOST_PREFETCH = 2000

#: seconds before a channel that the broker closed is opened again
AGAIN = 0.5

#: declares queues, then calls back
Declare = Callable[[Sequence[str], Callable[[], None]], None]
Later = Callable[[float, Callable[[], None]], None]

_log = logging.getLogger(__name__)


class _Place:
    """One queue of the subscription."""

    def __init__(self, number: int, queue: str, count: int, rank: int | None) -> None:
        self._number = number
        self.queue = queue
        self.count = count
        #: counts the consumers that there were; deliveries for earlier ones go back
        self.generation = 0
        self.arguments: dict[str, Any] = {} if rank is None else {"x-priority": rank}

    @property
    def tag(self) -> str:
        return f"{self._number}.{self.generation}"


class AmqpConsumer:
    """Consumes whenever there is a connection, until it is closed."""

    def __init__(
        self,
        hand: DeliveryBuffer,
        queues: Sequence[str],
        prefetch: int,
        ranks: Mapping[str, int],
        declare: Declare,
        later: Later,
        ready: Callable[[], None],
    ) -> None:
        """`declare` makes sure of queues before they are consumed; `ready` is called whenever all of it consumes."""
        self._hand = hand
        self._places = {name: _Place(at, name, prefetch, ranks.get(name)) for at, name in enumerate(queues)}
        self._declare, self._later, self._ready = declare, later, ready
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._inflow: DeliveryReader | None = None
        self._prefetch = 0
        #: consumers that the broker has not confirmed yet
        self._missing: set[str] = set()
        self._closing: Callable[[], None] | None = None

    @property
    def queues(self) -> Sequence[str]:
        """What it consumes."""
        return list(self._places)

    def opened(self, connection: Connection) -> None:
        """There is a connection."""
        self._connection = connection
        self._declare(self.queues, lambda: self._start(connection))

    def lost(self) -> None:
        """The connection is lost."""
        self._connection = None
        self._drop()

    def limit(self, queue: str, count: int) -> None:
        """At most `count` more of that queue; what the caller has not taken yet is requeued."""
        epoch, recalled = self._hand.recall(queue)
        place = self._places[queue]
        old, place.count = place.tag, count
        place.generation += 1
        channel, inflow = self._channel, self._inflow
        if channel is None or inflow is None or not channel.is_open:
            return
        # first no more, then back: otherwise they would come again at once
        inflow.queues.pop(old.encode(), None)
        if old in channel.consumer_tags:
            channel.basic_cancel(old, callback=_cancel_confirmed)
        self.give_back(epoch, recalled)
        self._consume(channel, inflow, place)

    def settle(self, epoch: int, settled: Sequence[tuple[int, bool]]) -> None:
        """Acknowledge (tag, whether it stands for all before it), if the channel that brought them is still there."""
        channel = self._usable(epoch)
        if channel is not None and self._connection is not None:
            number = channel.channel_number
            self._connection.emit(b"".join([frames.ack(number, tag, multiple) for tag, multiple in settled]))

    def give_back(self, epoch: int, tags: Sequence[int]) -> None:
        """Back to the heads of their queues."""
        channel = self._usable(epoch)
        if channel is not None and self._connection is not None and tags:
            number = channel.channel_number
            self._connection.emit(b"".join([frames.nack(number, tag) for tag in tags]))

    def close(self, closed: Callable[[], None]) -> None:
        """Requeue what is not settled; `closed` is called when the broker has confirmed it."""
        self._closing = closed
        channel, inflow = self._channel, self._inflow
        if channel is None or inflow is None or not channel.is_open:
            closed()
            return
        inflow.queues.clear()
        for tag in channel.consumer_tags:
            channel.basic_cancel(tag)
        # a quorum queue takes back what a closed channel had only after it has handed out what comes next
        self.give_back(*self._hand.empty())
        channel.close()

    def _usable(self, epoch: int) -> Channel | None:
        channel = self._channel
        return channel if channel is not None and channel.is_open and epoch == self._hand.epoch else None

    def _start(self, connection: Connection) -> None:
        if connection is not self._connection or not connection.is_open or self._closing or self._channel is not None:
            return
        channel = connection.channel(on_open_callback=self._opened)
        channel.add_on_close_callback(self._closed)
        channel.add_on_cancel_callback(self._cancelled)
        self._channel, self._prefetch = channel, 0

    def _opened(self, channel: Channel) -> None:
        if self._connection is None or self._closing:
            channel.close()
            return
        inflow = DeliveryReader(self._hand.epoch, self._hand.put, lambda tag: self._give_back_at_once(channel, tag))
        self._inflow = inflow
        self._connection.readers[channel.channel_number] = inflow
        self._missing = {place.tag for place in self._places.values() if place.count > 0}
        for place in self._places.values():
            self._consume(channel, inflow, place)
        if not self._missing:
            self._ready()

    def _consume(self, channel: Channel, inflow: DeliveryReader, place: _Place) -> None:
        if place.count <= 0:
            return
        if place.count != self._prefetch:
            self._prefetch = place.count
            channel.basic_qos(prefetch_count=min(place.count, MOST_PREFETCH))
        tag = place.tag
        inflow.queues[tag.encode()] = place.queue
        channel.basic_consume(
            place.queue, _never, consumer_tag=tag, arguments=place.arguments, callback=lambda _: self._consumes(tag)
        )

    def _consumes(self, tag: str) -> None:
        if tag in self._missing:
            self._missing.discard(tag)
            if not self._missing:
                self._ready()

    def _give_back_at_once(self, channel: Channel, tag: int) -> None:
        if channel.is_open and self._connection is not None:
            self._connection.emit(frames.nack(channel.channel_number, tag))

    def _cancelled(self, frame: Any) -> None:
        """The queue was deleted, or lost its leader: declare it again, and consume it."""
        connection, channel, inflow = self._connection, self._channel, self._inflow
        for place in self._places.values():
            if place.tag == frame.method.consumer_tag and connection and channel and inflow:
                _log.warning(
                    "RabbitMQ has cancelled the consumer of %s", place.queue, extra={"action": "consumer_ended"}
                )
                inflow.queues.pop(place.tag.encode(), None)
                place.generation += 1
                self._declare([place.queue], lambda place=place: self._resume(channel, inflow, place))  # type: ignore[misc]

    def _resume(self, channel: Channel, inflow: DeliveryReader, place: _Place) -> None:
        if channel == self._channel and channel.is_open and place.tag not in channel.consumer_tags:
            self._consume(channel, inflow, place)

    def _closed(self, channel: Channel, error: Exception) -> None:
        if channel != self._channel:
            return
        connection = self._connection
        self._drop()
        if connection is None or not connection.is_open:
            return
        connection.readers.pop(channel.channel_number, None)
        if isinstance(error, ChannelClosedByBroker) and not self._closing:
            _log.warning("RabbitMQ has closed the channel of a consumer: %s", error, extra={"action": "channel_closed"})
            self._later(AGAIN, lambda: self._again(connection))

    def _again(self, connection: Connection) -> None:
        if connection is self._connection:
            self.opened(connection)

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel = self._inflow = None
            self._hand.lose()
        if self._closing:
            self._closing()


def _cancel_confirmed(_: object) -> None:
    """pika wants a callback for basic.cancel-ok, or it would wait for it itself."""


def _never(*_: object) -> None:
    """Deliveries are read by DeliveryReader, before pika sees them."""
