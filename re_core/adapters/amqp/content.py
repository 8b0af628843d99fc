"""From AMQP content of any sender to a Message. Pure; must not know queues or connections.

Foreign messages may have no properties, tables in their headers, or octets that are not text: nothing of that may
cost more than itself. A header that is not text, a number or a truth is dropped, and so are all headers that cannot be read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pika import data

from re_core.wire.messages import Message
from re_core.wire.strict_json import digits

#: of the properties in the order of the wire: flag, and whether it is a short string
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE = 1 << 15, 1 << 14, 1 << 13, 1 << 12
_PRIORITY, _CORRELATION_ID, _REPLY_TO, _EXPIRATION = 1 << 11, 1 << 10, 1 << 9, 1 << 8
_MESSAGE_ID, _TIMESTAMP, _TYPE, _USER_ID, _APP_ID = 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3

_LONG = struct.Struct(">I")
_FLAGS = struct.Struct(">H")

_NO_HEADERS: Mapping[str, str] = {}


def message(exchange: str, key: str, properties: bytes, body: bytes) -> Message:
    """`properties` as they are on the wire, flags first."""
    try:
        return _message(exchange, key, properties, body)
    except (IndexError, struct.error):
        # cut short or with undefined flags: the properties are lost, the body is not
        return Message(key, body, "", direct=not exchange)


def _message(exchange: str, key: str, octets: bytes, body: bytes) -> Message:
    (flags,) = _FLAGS.unpack_from(octets)
    at = 2
    headers = _NO_HEADERS
    correlation = reply_to = expiration = id = app = ""
    if flags & _CONTENT_TYPE:
        at += octets[at] + 1
    if flags & _CONTENT_ENCODING:
        at += octets[at] + 1
    if flags & _HEADERS:
        stop = at + 4 + _LONG.unpack_from(octets, at)[0]
        headers = _headers(octets, at, stop)
        at = stop
    if flags & _DELIVERY_MODE:
        at += 1
    if flags & _PRIORITY:
        at += 1
    if flags & _CORRELATION_ID:
        correlation, at = _short(octets, at)
    if flags & _REPLY_TO:
        reply_to, at = _short(octets, at)
    if flags & _EXPIRATION:
        expiration, at = _short(octets, at)
    if flags & _MESSAGE_ID:
        id, at = _short(octets, at)
    if flags & _TIMESTAMP:
        at += 8
    if flags & _TYPE:
        at += octets[at] + 1
    if flags & _USER_ID:
        at += octets[at] + 1
    if flags & _APP_ID:
        app, at = _short(octets, at)
    expires = digits(expiration)
    return Message(key, body, id, correlation, reply_to, headers, app, not exchange, expires)


def _short(octets: bytes, at: int) -> tuple[str, int]:
    stop = at + 1 + octets[at]
    return octets[at + 1 : stop].decode("utf-8", "replace"), stop


def _headers(octets: bytes, at: int, stop: int) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    first = at
    at += 4
    while at < stop:
        name, at = _short(octets, at)
        if octets[at] != 0x53:  # S, a long string: all that we ever send
            return _foreign_headers(octets, first)
        value = at + 5
        at = value + _LONG.unpack_from(octets, at + 1)[0]
        headers[name] = octets[value:at].decode("utf-8", "replace")
    return headers


def _foreign_headers(octets: bytes, at: int) -> Mapping[str, str]:
    try:
        table, _ = data.decode_table(octets, at)
    except Exception:  # whatever pika meets in a table that it cannot read
        return _NO_HEADERS
    return {name: text for name, value in table.items() if isinstance(name, str) and (text := _text(value)) is not None}


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
