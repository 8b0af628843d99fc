"""EmbeddedBus: what it promises beyond the port, and that it keeps nothing it need not keep."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.adapters.routes import key_of, outlives
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.ports import Published
from re_core.wire.messages import DEAD, Message
from tests.contract.places import NEVER, FakeClock
from tests.contract.samples import message, names

QUEUE = "worker.test"


class FullMailbox:
    """A mailbox on a full disk."""

    def keep(self, messages: Sequence[tuple[str, Message]]) -> list[bool]:
        raise StoreUnavailable("disk full")

    def kept(self, queue: str) -> list[Message]:
        return [message("kept", queue)] if queue == "output" else []

    def settle(self, queue: str, ids: Sequence[str], remember: bool = True) -> None:
        raise StoreUnavailable("disk full")


def test_a_requeued_delivery_comes_before_those_that_nobody_has_taken_yet() -> None:
    bus = EmbeddedBus()
    subscription = bus.subscribe([QUEUE, "worker.other"], 10)
    bus.publish([message("a"), message("x", "worker.other"), message("b"), message("c")])
    first, other, second = subscription.take(3, 0)
    subscription.requeue([second, first])
    assert [(one.message.id, one.redelivered) for one in subscription.take(10, 0)] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]
    subscription.ack([other])


def test_a_closing_subscriber_gives_back_in_order_between_what_the_others_have_not_taken() -> None:
    bus = EmbeddedBus()
    one, two = bus.subscribe([QUEUE], 10), bus.subscribe([QUEUE], 10)
    bus.publish([message(name) for name in "abcdef"])
    assert names(one.take(2, 0)) == ["a", "c"]
    one.close()
    again = two.take(10, 0)
    assert [(delivery.message.id, delivery.redelivered) for delivery in again] == [
        ("a", True),
        ("b", False),
        ("c", True),
        ("d", False),
        ("e", False),
        ("f", False),
    ]


def test_a_message_that_expires_between_its_handing_out_and_its_taking_makes_room_for_the_next() -> None:
    clock = FakeClock()
    bus = EmbeddedBus(None, clock, clock.monotonic)
    subscription = bus.subscribe([QUEUE], 1)
    bus.publish([message("old", expires=10), message("next")])
    clock.milliseconds += 11
    assert names(subscription.take(5, 0)) == ["next"]


def test_a_redelivered_message_keeps_its_time() -> None:
    clock = FakeClock()
    bus = EmbeddedBus(None, clock, clock.monotonic)
    subscription = bus.subscribe([QUEUE], 1)
    bus.publish([message("old", expires=10)])
    subscription.requeue(subscription.take(1, 0))
    clock.milliseconds += 11
    assert subscription.take(1, 0) == []


def test_expired_messages_that_nobody_consumes_do_not_pile_up() -> None:
    clock = FakeClock()
    bus = EmbeddedBus(None, clock, clock.monotonic)
    bus.declare(QUEUE)
    for _ in range(100):
        bus.publish([message("old", expires=10)])
        clock.milliseconds += 6
    assert len(bus._queues[QUEUE].ready) <= 3
    assert len(bus._deadlines) <= 3


def test_nothing_is_remembered_of_messages_that_are_done() -> None:
    bus = EmbeddedBus()
    subscription = bus.subscribe([QUEUE, "output"], 10)
    for number in range(50):
        bus.publish([message(str(number), expires=60_000), message(str(number), "output")])
        bus.request(message("ask"), 0)
        subscription.ack(subscription.take(10, 0))
    assert bus._deadlines == {}
    assert bus._queues["output"].known == set()
    assert bus._answers._waiting == {}
    subscription.close()
    assert bus._subscriptions == []


def test_a_kept_message_is_not_taken_while_it_cannot_be_kept() -> None:
    bus = EmbeddedBus(FullMailbox())
    subscription = bus.subscribe([QUEUE, "output"], 10)
    subscription.take(1, 0)
    with pytest.raises(BusUnavailable, match="disk full"):
        bus.publish([message("step"), message("line", "output")])
    assert subscription.take(10, NEVER) == []


def test_a_kept_message_stays_unsettled_while_its_end_cannot_be_kept() -> None:
    bus = EmbeddedBus(FullMailbox())
    subscription = bus.subscribe(["output"], 10)
    deliveries = subscription.take(1, 0)
    with pytest.raises(BusUnavailable, match="disk full"):
        subscription.ack(deliveries)
    with pytest.raises(BusUnavailable, match="disk full"):
        subscription.reject(deliveries[0], "bad-message")
    subscription.close()
    assert names(bus.subscribe(["output"], 1).take(1, 0)) == ["kept"]


def test_a_delivery_that_was_given_back_is_not_acked_by_who_had_it() -> None:
    bus = EmbeddedBus()
    first = bus.subscribe([QUEUE], 1)
    bus.publish([message("a")])
    deliveries = first.take(1, 0)
    first.close()
    second = bus.subscribe([QUEUE], 1)
    first.ack(deliveries)
    first.requeue(deliveries)
    first.reject(deliveries[0], "bad-message")
    assert names(second.take(10, 0)) == ["a"]
    assert bus.subscribe([DEAD], 1).take(1, 0) == []


@pytest.mark.parametrize(
    ("queue", "key", "lasting"),
    [
        ("re.job.create", "job.create", False),
        ("re.heartbeat", "heartbeat", False),
        ("output", "output", True),
        ("worker.x", "worker.x", False),
        ("notify.irc", "notify.irc", True),
        ("re.reply.0", "re.reply.0", False),
        ("re.dead", None, True),
        ("outputs", None, False),
    ],
)
def test_a_queue_has_its_key_and_its_endurance(queue: str, key: str | None, lasting: bool) -> None:
    assert (key_of(queue), outlives(queue)) == (key, lasting)


def test_the_clock_tells_milliseconds_of_the_day() -> None:
    before = time.time()
    assert before - 1 < SystemClock().now() / 1000 < time.time() + 1


def test_a_released_queue_that_nothing_uses_is_gone() -> None:
    bus = EmbeddedBus()
    consumer = bus.subscribe(["worker.rail.oslo"], 1)
    bus.release("worker.rail.oslo")
    assert bus.publish([message("a", "worker.rail.oslo", direct=True)]) == [Published.TAKEN]
    consumer.ack(consumer.take(1, 0))
    consumer.close()
    bus.release("worker.rail.oslo")
    assert bus.publish([message("a", "worker.rail.oslo", direct=True)]) == [Published.UNROUTABLE]
    bus.declare("notify.irc")
    bus.release("notify.irc")
    assert bus.publish([message("b", "notify.irc")]) == [Published.TAKEN]
