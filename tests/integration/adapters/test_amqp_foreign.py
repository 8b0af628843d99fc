"""AmqpBus: what others put on our queues, and how others use them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from pika import BasicProperties

from re_core.ports import Published
from re_core.wire.dead_letters import parse_dead_letter
from re_core.wire.messages import DEAD, FORWARDED_BY, Message
from tests.contract.places import SOON
from tests.contract.samples import message, take_all
from tests.integration.adapters.amqp_harness import AmqpHarness, beside

QUEUE = "worker.test"
REPLIES = "re.reply.1"

#: a header of every kind that pika can write
STRANGE: dict[str, Any] = {
    "text": "ü",
    "number": 42,
    "negative": -(2**40),
    "truth": True,
    "octets": b"\xff\x00",
    "nothing": None,
    "list": ["x", 1],
    "table": {"x": {"y": 1}},
    "time": datetime.datetime(2014, 1, 1, tzinfo=datetime.UTC),
    "decimal": Decimal("1.5"),
}


def test_a_message_without_any_properties_is_delivered(harness: AmqpHarness) -> None:
    subscription = harness.bus().subscribe([QUEUE], 10)
    harness.raw().basic_publish("", QUEUE, b"\x00\xff\xfe not text")
    (delivery,) = take_all(subscription, 1)
    assert delivery.message == Message(QUEUE, b"\x00\xff\xfe not text", "", direct=True)


def test_headers_of_every_kind_are_text_or_left_out(harness: AmqpHarness) -> None:
    subscription = harness.bus().subscribe([QUEUE], 10)
    properties = BasicProperties(
        content_type="text/plain",
        content_encoding="gzip",
        headers=STRANGE,
        priority=3,
        timestamp=1,
        type="t",
        user_id="guest",
    )
    harness.raw().basic_publish("re", QUEUE, b"", properties)
    (delivery,) = take_all(subscription, 1)
    assert delivery.message.headers == {
        "text": "ü",
        "number": "42",
        "negative": str(-(2**40)),
        "truth": "true",
        "octets": "\ufffd\x00",
    }
    assert (delivery.message.body, delivery.message.id, delivery.message.direct) == (b"", "", False)


@pytest.mark.parametrize("expiration", ["60000", "0060000"])
def test_a_foreign_expiration_is_read(harness: AmqpHarness, expiration: str) -> None:
    subscription = harness.bus().subscribe([QUEUE], 10)
    harness.raw().basic_publish("", QUEUE, b"", BasicProperties(expiration=expiration))
    (delivery,) = take_all(subscription, 1)
    assert delivery.message.expires == 60_000


def test_a_strange_message_can_be_rejected_and_is_kept_whole(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([QUEUE], 10)
    harness.raw().basic_publish("", QUEUE, b"\xff", BasicProperties(headers=STRANGE, reply_to="somewhere"))
    subscription.reject(take_all(subscription, 1)[0], "bad-message", "not\nJSON \ud800")
    (dead,) = take_all(bus.subscribe([DEAD], 10), 1)
    letter = parse_dead_letter(dead.message)
    assert (letter.body, letter.queue, letter.reason, letter.detail) == (b"\xff", QUEUE, "bad-message", "not JSON ?")
    assert letter.properties["reply_to"] == "somewhere"


def test_what_was_forwarded_says_by_whom_beside_the_brokers_own_table(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([REPLIES], 10)
    bus.forward("re.legacy.x", REPLIES, 60_000)
    harness.raw().basic_publish("", "re.legacy.x", b'{"status":"completed"}', BasicProperties(correlation_id="d-1"))
    (delivery,) = take_all(subscription, 1)
    assert delivery.message.headers[FORWARDED_BY] == "re.legacy.x"
    assert "x-death" not in delivery.message.headers
    assert (delivery.message.correlation_id, delivery.message.id) == ("d-1", "")


def test_a_front_end_of_2014_asks_and_a_core_of_2014_answers(harness: AmqpHarness) -> None:
    """Both declare nothing but a queue that the broker names."""
    bus = harness.bus()
    core = bus.subscribe(["re.job.create"], 10)
    channel = harness.raw()
    name = channel.queue_declare("", exclusive=True).method.queue
    asked = BasicProperties(reply_to=name, correlation_id="c-1", app_id="rest")
    channel.basic_publish("re", "job.create", b'{"group":"g","playbook_id":"1"}', asked)
    (delivery,) = take_all(core, 1)
    answer = Message(delivery.message.reply_to, b'{"id":"9"}', "x/answer", delivery.message.correlation_id, direct=True)
    assert bus.publish([answer]) == [Published.TAKEN]
    method, properties, body = next(channel.consume(name, inactivity_timeout=SOON))
    assert method is not None
    assert (properties.correlation_id, body) == ("c-1", b'{"id":"9"}')
    core.ack([delivery])
    answers: list[Message | None] = []
    with beside(lambda: answers.append(bus.request(message("ask", "job.create"), SOON))):
        (delivery,) = take_all(core, 1)
        told = BasicProperties(correlation_id=delivery.message.id)
        channel.basic_publish("", delivery.message.reply_to, b'{"id":"10"}', told)
    assert [one and one.body for one in answers] == [b'{"id":"10"}']


def test_a_worker_of_2014_takes_a_step_and_replies_and_announces(harness: AmqpHarness) -> None:
    """It declares nothing, acknowledges before it works, and knows nothing but the correlation id."""
    bus = harness.bus()
    bus.declare("worker.frob")
    replies = bus.subscribe([REPLIES, "notify.irc", "output"], 10)
    bus.forward("re.legacy.d-1.0.1", REPLIES, 60_000)
    step = Message(
        "worker.frob", b'{"parameters":{}}', "d-1/0/1", "d-1", "re.legacy.d-1.0.1", {"re-attempt": "d-1/0/1"}
    )
    assert bus.publish([step._replace(once=True)]) == [Published.TAKEN]
    channel = harness.raw()
    method, properties, body = next(channel.consume("worker.frob", inactivity_timeout=SOON))
    channel.basic_ack(method.delivery_tag)
    assert (body, properties.content_type, properties.delivery_mode) == (step.body, "application/json", 2)
    said = BasicProperties(correlation_id=properties.correlation_id, app_id="frob")
    channel.basic_publish("", properties.reply_to, b'{"status":"started"}', said)
    channel.basic_publish("", "notify.irc", b'{"slug":"s","message":"m","phase":"started","target":["#c"]}', said)
    channel.basic_publish("re", "output", b'{"message":"hello"}', said)
    channel.basic_publish("", properties.reply_to, b'{"status":"completed"}', said)
    got = take_all(replies, 4)
    assert [one.message.body for one in got if one.queue == REPLIES] == [
        b'{"status":"started"}',
        b'{"status":"completed"}',
    ]
    assert {one.message.correlation_id for one in got} == {"d-1"}
    assert sorted(one.queue for one in got) == ["notify.irc", "output", REPLIES, REPLIES]
