"""One connection, one thread, one loop: what comes in together is handled together, by pika and nothing of ours.

What is published is confirmed by the broker before what caused it is acknowledged; turns do not wait for each other.
Must not know what the messages mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pika
from pika.adapters.select_connection import SelectConnection

#: octets read from the socket at a time; pika's own 4096 would make tiny batches
_READ = 1 << 16


class Got(NamedTuple):
    """A delivery."""

    queue: str
    tag: int
    body: bytes
    deployment: str
    id: str


class Send(NamedTuple):
    """A message to be; `exchange` is '' for a queue's name as the key."""

    exchange: str
    key: str
    body: bytes
    deployment: str
    id: str
    reply_to: str = ""
    headers: Mapping[str, str] = {}
    persistent: bool = True


class Queue(NamedTuple):
    """What is declared, and consumed if there is a prefetch."""

    name: str
    arguments: Mapping[str, Any]
    key: str = ""
    prefetch: int = 0


class Loop:
    """Runs for ever."""

    def __init__(
        self, url: str, queues: Sequence[Queue], handle: Callable[[list[Got]], list[Send]], ready: Callable[[], None]
    ) -> None:
        """`handle` makes of deliveries what is to be published before they are acknowledged."""
        self._queues, self._handle, self._ready = list(queues), handle, ready
        self._got: list[Got] = []
        self._published = 0
        #: (sequence number of the last message, delivery tag) of turns that wait for their confirms
        self._turns: deque[tuple[int, int]] = deque()
        self._confirmed = 0
        self._early: set[int] = set()
        self._connection = SelectConnection(
            pika.URLParameters(url),
            on_open_callback=self._opened,
            on_close_callback=_fail,
            on_open_error_callback=_fail,
        )

    def run(self) -> None:
        self._connection.ioloop.start()

    def _opened(self, connection: Any) -> None:
        connection._transport._MAX_RECV_BYTES = _READ
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(_fail)
        channel.add_on_return_callback(_fail)
        channel.confirm_delivery(
            self._on_confirm,
            callback=lambda _: channel.exchange_declare(
                "re", "topic", durable=True, callback=lambda _: self._declare()
            ),
        )

    def _declare(self, _: Any = None) -> None:
        if not self._queues:
            self._ready()
            return
        queue = self._queues.pop(0)

        def consume(_: Any) -> None:
            if not queue.prefetch:
                self._declare()
                return
            self._channel.basic_qos(prefetch_count=queue.prefetch)
            self._channel.basic_consume(
                queue.name, lambda *got: self._on_message(queue.name, *got), callback=self._declare
            )

        def bind(_: Any) -> None:
            if queue.key:
                self._channel.queue_bind(queue.name, "re", queue.key, callback=consume)
            else:
                consume(None)

        self._channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments), callback=bind)

    def _on_message(self, queue: str, _: Any, method: Any, properties: Any, body: bytes) -> None:
        if not self._got:
            self._connection.ioloop.call_later(0, self._turn)
        self._got.append(Got(queue, method.delivery_tag, body, properties.correlation_id or "", properties.message_id))

    def _turn(self) -> None:
        got, self._got = self._got, []
        for send in self._handle(got):
            properties = pika.BasicProperties(
                content_type="application/json",
                delivery_mode=2 if send.persistent else 1,
                correlation_id=send.deployment,
                message_id=send.id,
                reply_to=send.reply_to or None,
                headers=dict(send.headers),
                app_id="bare",
            )
            self._channel.basic_publish(send.exchange, send.key, send.body, properties, mandatory=True)
            self._published += 1
        self._turns.append((self._published, got[-1].tag))
        self._ack()

    def _on_confirm(self, frame: Any) -> None:
        method = frame.method
        if not isinstance(method, pika.spec.Basic.Ack):
            _fail(method)
        if method.multiple:
            self._confirmed = max(self._confirmed, method.delivery_tag)
        else:
            self._early.add(method.delivery_tag)
        while self._confirmed + 1 in self._early:
            self._confirmed += 1
            self._early.discard(self._confirmed)
        self._ack()

    def _ack(self) -> None:
        tag = 0
        while self._turns and self._turns[0][0] <= self._confirmed:
            tag = self._turns.popleft()[1]
        if tag:
            self._channel.basic_ack(tag, multiple=True)


def _fail(*why: object) -> None:
    raise RuntimeError(f"the bare loop cannot go on: {why!r:.500}")
