"""Publishing with confirms, pipelined, over the life of many connections. For the I/O thread. Must not know callers or queues.

What rabbitmq.com/docs/confirms says, and what follows here: basic.return comes before the ack of its message; acks may
be multiple, and only tags that are still outstanding may be settled; an unroutable message that is not mandatory is
acked and dropped, so all are mandatory. Whatever was not confirmed when the connection ends is published again, in order, but for
messages that may travel once.
"""

from __future__ import annotations

import logging
import struct
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pika.channel import Channel

from re_core.adapters.amqp.batch import PublishBatch
from re_core.adapters.amqp.connection import Connection
from re_core.adapters.amqp.frames import PUBLISHING
from re_core.adapters.amqp.topology import DEAD_EXCHANGE
from re_core.ports import Published
from re_core.wire.messages import Message

#: one message of a batch
Item = tuple[PublishBatch, int]

#: seconds before a message that the broker has refused for now (basic.nack) is published again, and a closed channel opened
AGAIN = 0.2

_SETTLED = struct.Struct(">QB")
_METHOD = struct.Struct(">I")
_ACK, _NACK = 60 << 16 | 80, 60 << 16 | 120

_log = logging.getLogger(__name__)


class Publisher:
    """One channel in confirm mode. `restore` is asked about an unroutable message before its sender gets that result."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], None],
        prepare: Callable[[Connection], None],
        restore: Callable[[Message, Callable[[], None]], bool],
    ) -> None:
        """`prepare` makes sure of the exchange, and calls `opened` then.

        `restore(message, done)`: True where its queue is ours and is being declared again; `done` is called when it is.
        """
        self._later = later
        self._prepare = prepare
        self._restore = restore
        self._connection: Connection | None = None
        self._ready = False
        self._blocked = False
        self._tag = 0
        self._outstanding: dict[int, Item] = {}
        self._waiting: deque[Item] = deque()
        #: tags of what came back
        self._returned: set[int] = set()
        self._failure: Exception | None = None
        #: why the broker closed the channel last
        self.trouble = ""

    def opened(self, connection: Connection) -> None:
        """The exchange is there."""
        self._connection = connection
        channel = connection.channel(PUBLISHING, on_open_callback=self._opened)
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._came_back)

    def lost(self) -> None:
        """The connection is lost."""
        self._connection, self._blocked = None, False
        self._drop()

    def block(self, blocked: bool) -> None:
        """The broker takes nothing just now, or does again."""
        self._blocked = blocked
        self._send_waiting()

    def send(self, batch: PublishBatch) -> None:
        """Publish what has no outcome yet."""
        if self._failure is not None:
            batch.fail(self._failure)
            return
        items = [(batch, index) for index in batch.open()]
        if self._ready and not self._blocked and not self._waiting:
            self._emit(items)
        else:
            self._waiting.extend(items)

    def fail(self, error: Exception) -> None:
        """All that is not confirmed fails, and all that comes."""
        self._failure = error
        for batch, _ in (*self._outstanding.values(), *self._waiting):
            batch.fail(error)
        self._outstanding.clear()
        self._waiting.clear()

    def forget(self, batch: PublishBatch) -> None:
        """Its caller waits no longer: what was not sent yet is dropped."""
        self._waiting = deque(item for item in self._waiting if item[0] is not batch)

    def frame(self, kind: int, buffer: bytes, start: int, stop: int) -> bool:
        """See connection.Reader: confirms are read here, what comes back is pika's."""
        if kind != 1 or stop - start != 13:
            return False
        (method,) = _METHOD.unpack_from(buffer, start)
        if method not in (_ACK, _NACK):
            return False
        tag, bits = _SETTLED.unpack_from(buffer, start + 4)
        for confirmed in self._up_to(tag) if bits & 1 else (tag,):
            item = self._outstanding.pop(confirmed, None)
            if item is None:
                continue
            if method == _ACK:
                self._confirmed(confirmed, item)
            else:
                self._refused(confirmed, item)
        return True

    def pause(self) -> None:
        """See connection.Reader."""

    def _up_to(self, tag: int) -> list[int]:
        # tags rise in the order of the dict
        found = []
        for one in self._outstanding:
            if one > tag:
                break
            found.append(one)
        return found

    def _confirmed(self, tag: int, item: Item) -> None:
        batch, index = item
        if tag not in self._returned:
            batch.settle(index, Published.TAKEN)
            return
        self._returned.discard(tag)
        # returned means that no queue took it, but what may travel once does not travel again for any reason
        settled = batch.messages[index].once or index in batch.restored
        if not settled and self._restore(batch.messages[index], lambda: self._repeat([item])):
            batch.restored.add(index)
            return
        batch.settle(index, Published.UNROUTABLE)

    def _refused(self, tag: int, item: Item) -> None:
        self._returned.discard(tag)
        batch, index = item
        if batch.messages[index].once:
            batch.settle(index, Published.UNKNOWN)
        else:
            self._later(AGAIN, lambda: self._repeat([item]))

    def _repeat(self, items: Iterable[Item]) -> None:
        self._waiting.extend(items)
        self._send_waiting()

    def _send_waiting(self) -> None:
        if self._ready and not self._blocked and self._waiting:
            items = [item for item in self._waiting if not item[0].given_up]
            self._waiting.clear()
            self._emit(items)

    def _emit(self, items: list[Item]) -> None:
        frames = []
        tag = self._tag
        for item in items:
            frame = item[0].frames(item[1])
            if frame is not None:
                tag += 1
                self._outstanding[tag] = item
                frames.append(frame)
        self._tag = tag
        if frames and self._connection is not None:
            self._connection.emit(b"".join(frames))

    def _came_back(self, _: Channel, method: Any, properties: Any, __: bytes) -> None:
        # in the order of publishing; two that are alike in all of this are one message for their consumer
        wanted = (method.exchange in ("", DEAD_EXCHANGE), method.routing_key, properties.message_id or "")
        for tag, (batch, index) in self._outstanding.items():
            message = batch.messages[index]
            if tag not in self._returned and (message.direct, message.key, message.id) == wanted:
                self._returned.add(tag)
                return
        _log.warning("RabbitMQ returned an unknown message: %s", wanted, extra={"action": "unknown_return"})

    def _opened(self, channel: Channel) -> None:
        # pika demands a callback for confirms, though it never calls it
        channel.confirm_delivery(self.pause, callback=self._selected)

    def _selected(self, _: Any) -> None:
        if self._connection is not None:
            self._connection.readers[PUBLISHING] = self
            self._ready = True
            self._send_waiting()

    def _closed(self, _: Channel, error: Exception) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        self.trouble = str(error)
        _log.warning("RabbitMQ has closed the publishing channel: %s", error, extra={"action": "channel_closed"})
        self._drop()
        connection.readers.pop(PUBLISHING, None)
        self._later(AGAIN, lambda: self._reopen(connection))

    def _reopen(self, connection: Connection) -> None:
        if connection is self._connection and connection.is_open:
            self._prepare(connection)

    def _drop(self) -> None:
        """What is not confirmed waits for the next channel, before what was waiting already."""
        self._ready, self._tag = False, 0
        again = []
        for batch, index in self._outstanding.values():
            if batch.messages[index].once:
                batch.settle(index, Published.UNKNOWN)
            elif not batch.given_up:
                again.append((batch, index))
        self._waiting.extendleft(reversed(again))
        self._outstanding.clear()
        self._returned.clear()
