"""Deliveries of one channel, read where they lie in the connection's buffer. For the I/O thread. Must not know pika.

AMQP 0-9-1, 4.2.6: a delivery is a method frame, a header frame and as many body frames as it takes; nothing else comes
on that channel in between.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable

from re_core.adapters.amqp import content
from re_core.ports import Delivery

_METHOD = struct.Struct(">I")
_DELIVER = 60 << 16 | 60
_TAG = struct.Struct(">QB")
_SIZE = struct.Struct(">Q")

_FRAME_METHOD, _FRAME_HEADER = 1, 2

#: queue (None: it goes back), tag, redelivered, exchange, key
_Envelope = tuple[str | None, int, bool, str, str]


class DeliveryReader:
    """See connection.Reader."""

    def __init__(self, epoch: int, put: Callable[[list[Delivery]], None], give_back: Callable[[int], None]) -> None:
        """`put` gets what came together; `give_back` the tag of what came for a consumer that has been cancelled."""
        self._epoch = epoch
        self._put = put
        self._give_back = give_back
        #: consumer tag -> queue
        self.queues: dict[bytes, str] = {}
        self._arrived: list[Delivery] = []
        #: of the delivery whose content is being received
        self._envelope: _Envelope | None = None
        self._properties = b""
        self._missing = 0
        self._body: list[bytes] = []

    def frame(self, kind: int, buffer: bytes, start: int, stop: int) -> bool:
        """See connection.Reader."""
        if kind == _FRAME_METHOD:
            if _METHOD.unpack_from(buffer, start)[0] != _DELIVER:
                return False
            self._begin(buffer, start + 4)
            return True
        envelope = self._envelope
        if envelope is None:
            return False
        if kind == _FRAME_HEADER:
            # class, weight, size; then the properties
            (self._missing,) = _SIZE.unpack_from(buffer, start + 4)
            self._properties = buffer[start + 12 : stop]
            if not self._missing:
                self._end(envelope, b"")
            return True
        chunk = buffer[start:stop]
        self._missing -= len(chunk)
        if self._missing > 0:
            self._body.append(chunk)
        elif self._body:
            self._body.append(chunk)
            self._end(envelope, b"".join(self._body))
            self._body = []
        else:
            self._end(envelope, chunk)
        return True

    def pause(self) -> None:
        """See connection.Reader: pass on all that came together."""
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            self._put(arrived)

    def _begin(self, buffer: bytes, at: int) -> None:
        stop = at + 1 + buffer[at]
        queue = self.queues.get(buffer[at + 1 : stop])
        tag, redelivered = _TAG.unpack_from(buffer, stop)
        at = stop + 9
        stop = at + 1 + buffer[at]
        exchange = buffer[at + 1 : stop].decode("utf-8", "replace")
        key = buffer[stop + 1 : stop + 1 + buffer[stop]].decode("utf-8", "replace")
        self._envelope = (queue, tag, redelivered & 1 == 1, exchange, key)

    def _end(self, envelope: _Envelope, body: bytes) -> None:
        queue, tag, redelivered, exchange, key = envelope
        self._envelope = None
        if queue is None:
            self._give_back(tag)
            return
        message = content.message(exchange, key, self._properties, body)
        self._arrived.append(Delivery(message, queue, redelivered, tag, self._epoch, time.monotonic()))
