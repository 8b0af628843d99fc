"""pika's connection with a faster way in for what comes by the thousand: deliveries and confirms. Must not know queues.

pika makes several objects and looks for callbacks with every frame of a delivery (docs/decisions/0008). Frames of
channels that have a reader are offered to it where they lie in the buffer; what it does not want, and everything else, goes
pika's way. `_on_data_available`, `_frame_buffer`, `_process_frame`,
`_output_marshaled_frames`, `_terminate_stream`, `_opened` and `_transport` are pika's own: tests/unit/adapters/test_amqp_pika.py
holds them.
"""

from __future__ import annotations

import struct
from typing import Any, Protocol

from pika import SelectConnection
from pika.exceptions import AMQPConnectionError, InvalidFrameError
from pika.frame import decode_frame

#: AMQP 0-9-1, 2.3.5: type, channel and size before a frame's payload, one octet behind it
_HEAD = struct.Struct(">BHI")
_END = 0xCE

#: octets that are read from a socket at a time; pika reads 4096
_READ = 1 << 16


class Reader(Protocol):
    """Reads frames of one channel."""

    def frame(self, kind: int, buffer: bytes, start: int, stop: int) -> bool:
        """Handle the frame whose payload is `buffer[start:stop]`; False leaves it to pika."""
        ...

    def pause(self) -> None:
        """Nothing more is in the buffer."""
        ...


class Connection(SelectConnection):  # type: ignore[misc]
    """See the module."""

    def __init__(self, *args: Any, **options: Any) -> None:
        #: channel number -> the reader of its frames
        self.readers: dict[int, Reader] = {}
        self._frame_buffer: bytes
        super().__init__(*args, **options)

    def emit(self, frames: bytes) -> None:
        """Send frames that are ready made, in one piece."""
        self._output_marshaled_frames([frames])

    def abort(self, why: str) -> None:
        """End it without ceremony."""
        self._terminate_stream(AMQPConnectionError(why))

    def _on_stream_connected(self) -> None:
        self._transport._MAX_RECV_BYTES = _READ
        super()._on_stream_connected()

    def _on_data_available(self, data_in: bytes) -> None:
        if not self._opened:
            super()._on_data_available(data_in)
            return
        buffer: bytes = self._frame_buffer + data_in
        position, end = 0, len(buffer)
        readers = self.readers
        while end - position > 7:
            kind, channel, size = _HEAD.unpack_from(buffer, position)
            start = position + 7
            stop = start + size
            if stop >= end:
                break
            if buffer[stop] != _END:
                raise InvalidFrameError("Invalid FRAME_END marker")
            reader = readers.get(channel)
            if reader is None or not reader.frame(kind, buffer, start, stop):
                self._process_frame(decode_frame(buffer[position : stop + 1])[1])
            else:
                self.frames_received += 1
            position = stop + 1
        # heartbeats are judged by this count
        self.bytes_received += position
        self._frame_buffer = buffer[position:]
        for reader in list(readers.values()):
            reader.pause()
