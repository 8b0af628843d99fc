"""The AMQP 0-9-1 frames of the hot path, encoded and decoded without pika. Pure; must not know connections.

What pika makes for a message takes it five objects and fifteen calls; the bytes are the same, which
tests/unit/adapters/test_amqp_frames.py holds for every message that hypothesis can think of.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from re_core.wire.messages import EVENTS, Message

#: publishing has a channel number of its own, so that the caller's thread can make the frames
PUBLISHING = 1

#: octets of a body in one frame: less than any broker's smallest limit, 8192
_CHUNK = 8184

#: octets of a header frame's payload: RabbitMQ's frame_max, less the frame's own eight
MOST_HEADERS = 131_064

#: octets of a body that RabbitMQ 4 takes (max_message_size)
MOST_BODY = 16 * 1024 * 1024

_FRAME_METHOD, _FRAME_HEADER, _FRAME_BODY = 1, 2, 3
_END = b"\xce"

_HEAD = struct.Struct(">BHI")
_PUBLISH = struct.Struct(">HHH")
_CONTENT = struct.Struct(">HHQH")
_SETTLE = struct.Struct(">BHIHHQBB")
_LONG = struct.Struct(">I")

#: AMQP 0-9-1: basic.publish, basic.ack, basic.nack
_BASIC, _METHOD_PUBLISH, _METHOD_ACK, _METHOD_NACK = 60, 40, 80, 120
_MANDATORY, _MULTIPLE, _REQUEUE = 1, 1, 2

#: flags of the properties that we send
_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE = 1 << 15, 1 << 13, 1 << 12
_CORRELATION_ID, _REPLY_TO, _EXPIRATION, _MESSAGE_ID, _APP_ID = 1 << 10, 1 << 9, 1 << 8, 1 << 7, 1 << 3

_JSON, _CLOUD_EVENT = b"\x10application/json", b"\x1capplication/cloudevents+json"
_PERSISTENT, _TRANSIENT = b"\x02", b"\x01"


class TooLong(ValueError):
    """What the message has in this place does not fit into a frame."""


def publish(message: Message, exchange: str, persistent: bool) -> bytes:
    """All frames of one message, mandatory, to that exchange; `persistent`: it goes to the disk. Raises TooLong."""
    body = message.body
    size = len(body)
    if size > MOST_BODY:
        raise TooLong(f"a body of {size} octets; the broker accepts at most {MOST_BODY}")
    flags, properties = _properties(message, persistent)
    if len(properties) > MOST_HEADERS - _CONTENT.size:
        raise TooLong(f"headers of {len(properties)} octets; the broker accepts at most {MOST_HEADERS}")
    pieces = [
        _publish_method(exchange, message.key),
        _HEAD.pack(_FRAME_HEADER, PUBLISHING, _CONTENT.size + len(properties)),
        _CONTENT.pack(_BASIC, 0, size, flags),
        properties,
        _END,
    ]
    for start in range(0, size, _CHUNK):
        chunk = body[start : start + _CHUNK] if size > _CHUNK else body
        pieces += (_HEAD.pack(_FRAME_BODY, PUBLISHING, len(chunk)), chunk, _END)
    return b"".join(pieces)


def ack(channel: int, tag: int, multiple: bool) -> bytes:
    """basic.ack of one delivery, or of all up to it."""
    return _SETTLE.pack(_FRAME_METHOD, channel, 13, _BASIC, _METHOD_ACK, tag, _MULTIPLE if multiple else 0, 0xCE)


def nack(channel: int, tag: int) -> bytes:
    """basic.nack of one delivery: back to its queue."""
    return _SETTLE.pack(_FRAME_METHOD, channel, 13, _BASIC, _METHOD_NACK, tag, _REQUEUE, 0xCE)


@lru_cache(maxsize=1024)
def _publish_method(exchange: str, key: str) -> bytes:
    payload = (
        _PUBLISH.pack(_BASIC, _METHOD_PUBLISH, 0)
        + _short(exchange, "the exchange's name")
        + _short(key, "the routing key")
        + bytes((_MANDATORY,))
    )
    return _HEAD.pack(_FRAME_METHOD, PUBLISHING, len(payload)) + payload + _END


def _properties(message: Message, persistent: bool) -> tuple[int, bytes]:
    flags = _CONTENT_TYPE | _DELIVERY_MODE
    pieces = [_CLOUD_EVENT if message.key.startswith(EVENTS) else _JSON]
    if message.headers:
        flags |= _HEADERS
        table = b"".join([_header(name, value) for name, value in message.headers.items()])
        pieces += (_LONG.pack(len(table)), table)
    pieces.append(_PERSISTENT if persistent else _TRANSIENT)
    if message.correlation_id:
        flags |= _CORRELATION_ID
        pieces.append(_short(message.correlation_id, "the correlation id"))
    if message.reply_to:
        flags |= _REPLY_TO
        pieces.append(_short(message.reply_to, "reply_to"))
    if message.expires is not None:
        flags |= _EXPIRATION
        pieces.append(_short(str(max(message.expires, 0)), "the expiration"))
    if message.id:
        flags |= _MESSAGE_ID
        pieces.append(_short(message.id, "the message id"))
    if message.app_id:
        flags |= _APP_ID
        pieces.append(_short(message.app_id, "the app id"))
    return flags, b"".join(pieces)


def _header(name: str, value: str) -> bytes:
    text = value.encode("utf-8", "replace")
    return b"".join((_header_name(name), b"S", _LONG.pack(len(text)), text))


@lru_cache(maxsize=256)
def _header_name(name: str) -> bytes:
    return _short(name, "the name of a header")


def _short(text: str, what: str) -> bytes:
    # AMQP 0-9-1, 4.2.5.3: short strings carry up to 255 octets
    octets = text.encode("utf-8", "replace")
    if len(octets) > 255:
        raise TooLong(f"{what} has {len(octets)} octets; AMQP allows 255")
    return bytes((len(octets),)) + octets
