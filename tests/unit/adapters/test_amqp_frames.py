"""Frames written by hand are those that pika writes; what was sent is what is read."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pika import BasicProperties, frame, spec

from re_core.adapters.amqp import content, frames
from re_core.wire.messages import Message

#: octets of a body in one frame, as frames.py cuts it
CHUNK = 8184

#: text that UTF-8 can carry, at most 255 octets of it
SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
LONG = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)

MESSAGES = st.builds(
    Message,
    key=SHORT,
    body=st.binary(max_size=64) | st.integers(CHUNK - 1, CHUNK * 2 + 1).map(lambda size: b"x" * size),
    id=SHORT,
    correlation_id=SHORT,
    reply_to=SHORT,
    headers=st.dictionaries(SHORT, LONG, max_size=4),
    app_id=SHORT,
    direct=st.booleans(),
    expires=st.none() | st.integers(0, 2**40),
    # an instruction to the bus, not to whoever gets the message
    once=st.just(False),
)


def _by_pika(message: Message, exchange: str, persistent: bool = True) -> bytes:
    properties = BasicProperties(
        content_type="application/json",
        headers=dict(message.headers) or None,
        delivery_mode=2 if persistent else 1,
        correlation_id=message.correlation_id or None,
        reply_to=message.reply_to or None,
        expiration=None if message.expires is None else str(message.expires),
        message_id=message.id or None,
        app_id=message.app_id or None,
    )
    publish = spec.Basic.Publish(exchange="" if message.direct else exchange, routing_key=message.key, mandatory=True)
    made = [frame.Method(1, publish), frame.Header(1, len(message.body), properties)]
    made += [frame.Body(1, message.body[at : at + CHUNK]) for at in range(0, len(message.body), CHUNK)]
    return b"".join(one.marshal() for one in made)


@given(MESSAGES, st.booleans())
def test_a_message_is_framed_as_pika_frames_it(message: Message, persistent: bool) -> None:
    assert frames.publish(message, "" if message.direct else "re", persistent) == _by_pika(message, "re", persistent)


@given(MESSAGES)
def test_a_message_is_read_as_it_was_sent(message: Message) -> None:
    written = frames.publish(message, "" if message.direct else "re", persistent=True)
    method = 7 + struct.unpack_from(">I", written, 3)[0] + 1
    header = written[method + 7 : method + 7 + struct.unpack_from(">I", written, method + 3)[0]]
    assert content.message("" if message.direct else "re", message.key, header[12:], message.body) == message


@given(st.integers(1, 65535), st.integers(1, 2**63), st.booleans())
def test_acks_are_those_of_pika(channel: int, tag: int, multiple: bool) -> None:
    assert frames.ack(channel, tag, multiple) == frame.Method(channel, spec.Basic.Ack(tag, multiple)).marshal()
    assert frames.nack(channel, tag) == frame.Method(channel, spec.Basic.Nack(tag, False, True)).marshal()


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=9) | LONG,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(SHORT, HEADERS, max_size=4),
    st.none() | SHORT,
    st.none() | st.integers(0, 255),
    st.none() | SHORT,
    st.none() | st.integers(0, 2**32),
)
def test_a_foreign_message_keeps_what_is_text_and_loses_the_rest(
    headers: dict[str, object], encoding: str | None, priority: int | None, id: str | None, timestamp: int | None
) -> None:
    properties = BasicProperties(
        content_encoding=encoding,
        headers=headers,
        priority=priority,
        message_id=id,
        timestamp=timestamp,
        type="t",
        user_id="u",
        app_id="a",
    )
    octets = b"".join(properties.encode())
    read = content.message("re", "k", octets, b"\x00")
    assert (read.id, read.app_id, read.correlation_id, read.body) == (id or "", "a", "", b"\x00")
    texts = {name: value for name, value in headers.items() if isinstance(value, str)}
    assert {name: read.headers[name] for name in texts} == texts
    numbers = {
        name: str(value) for name, value in headers.items() if isinstance(value, int) and not isinstance(value, bool)
    }
    assert {name: read.headers[name] for name in numbers} == numbers
    assert not [name for name, value in headers.items() if isinstance(value, list | dict) and name in read.headers]
    assert all(isinstance(value, str) for value in read.headers.values())


@given(st.binary(max_size=80))
@example(b"\x20\x00\x00\x00\xff\xff\x01xS\x00")
@example(b"\x20\x00\x00\x00\x00\x0b\x01xd\x7f\xf8\x00\x00\x00\x00\x00\x00")
def test_octets_that_are_no_properties_cost_no_more_than_themselves(octets: bytes) -> None:
    read = content.message("", "re.reply.1", octets, b"body")
    assert (read.key, read.body, read.direct) == ("re.reply.1", b"body", True)


@pytest.mark.parametrize(
    "message",
    [
        Message("k" * 256, b"", "a"),
        Message("k", b"", "a" * 256),
        Message("k", b"", "a", headers={"x" * 256: ""}),
        Message("k", b"", "a", headers={"x": "y" * 131_072}),
        Message("k", b"x" * (16 * 1024 * 1024 + 1), "a"),
    ],
    ids=["key", "id", "name of a header", "headers", "body"],
)
def test_what_the_broker_would_close_the_connection_for_is_not_framed(message: Message) -> None:
    with pytest.raises(frames.TooLong):
        frames.publish(message, "re", persistent=True)


def test_half_a_character_from_json_is_replaced() -> None:
    written = frames.publish(Message("k", b"", "a", headers={"re-detail": "\ud800"}), "re", persistent=True)
    assert b"S\x00\x00\x00\x01?" in written
