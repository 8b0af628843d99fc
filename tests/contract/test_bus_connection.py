"""Bus: what a caller sees of connections, forwarding queues and other consumers."""

from __future__ import annotations

import time

import pytest

from re_core.errors import BusUnavailable
from re_core.ports import Bus, Published
from re_core.wire.messages import FORWARDED_BY
from tests.contract.places import NEVER, SOON
from tests.contract.samples import message, names, take_all

QUEUE = "worker.test"

#: milliseconds that a forwarding queue lives unused: longer than any test
LIFE = 60_000


def test_deliveries_are_of_the_subscriptions_epoch(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([message("a"), message("b")])
    assert [delivery.epoch for delivery in take_all(subscription, 2)] == [subscription.epoch] * 2


def test_settling_what_is_not_in_hand_settles_nothing(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([message("a"), message("b")])
    first, second = take_all(subscription, 2)
    subscription.ack([second._replace(tag=second.tag + 1000)])
    subscription.ack([first])
    subscription.close()
    assert names(take_all(bus.subscribe([QUEUE], 10), 1)) == ["b"]


def test_a_bus_that_works_answers_a_ping(bus: Bus) -> None:
    bus.declare(QUEUE)
    bus.ping()
    bus.close()
    with pytest.raises(BusUnavailable):
        bus.ping()


def test_a_message_that_may_travel_once_travels_like_any_other(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 10)
    sent = [message(name, key)._replace(once=True) for name, key in (("a", QUEUE), ("b", "worker.nowhere"))]
    assert bus.publish(sent) == [Published.TAKEN, Published.UNROUTABLE]
    assert names(take_all(subscription, 1)) == ["a"]


def test_publishing_nothing_is_done_at_once(bus: Bus) -> None:
    assert bus.publish([]) == []


def _until(bus: Bus, queue: str, count: int) -> bool:
    end = time.monotonic() + SOON
    while bus.consumers(queue) != count:
        if time.monotonic() > end:
            return False
    return True


def test_consumers_of_a_queue_are_counted(bus: Bus) -> None:
    assert bus.consumers(QUEUE) == 0
    bus.declare(QUEUE)
    assert bus.consumers(QUEUE) == 0
    one, two = bus.subscribe([QUEUE, "worker.other"], 1), bus.subscribe([QUEUE], 1)
    assert _until(bus, QUEUE, 2)
    assert _until(bus, "worker.other", 1)
    one.close()
    assert _until(bus, QUEUE, 1)
    two.close()
    assert _until(bus, QUEUE, 0)


def test_a_forwarding_queue_passes_on_and_says_who_it_was(bus: Bus) -> None:
    subscription = bus.subscribe(["re.reply.3"], 10)
    bus.forward("re.legacy.d-1.0.1", "re.reply.3", LIFE)
    bus.forward("re.legacy.d-1.0.1", "re.reply.3", LIFE)
    sent = message("a", "re.legacy.d-1.0.1", direct=True)._replace(headers={"x": "y"}, correlation_id="d-1")
    assert bus.publish([sent]) == [Published.TAKEN]
    (delivery,) = take_all(subscription, 1)
    assert (delivery.queue, delivery.message.body, delivery.message.correlation_id) == ("re.reply.3", sent.body, "d-1")
    assert delivery.message.headers[FORWARDED_BY] == "re.legacy.d-1.0.1"
    assert delivery.message.headers["x"] == "y"
    assert subscription.take(10, NEVER) == []


def test_a_forwarding_queue_that_is_not_needed_any_more_goes(bus: Bus) -> None:
    bus.declare("re.reply.3")
    for name in ("re.legacy.a", "re.legacy.b"):
        bus.forward(name, "re.reply.3", LIFE)
    for _ in range(2):
        bus.stop_forwarding("re.legacy.a")
    end = time.monotonic() + SOON
    while bus.publish([message("a", "re.legacy.a", direct=True)]) != [Published.UNROUTABLE]:
        assert time.monotonic() < end
    assert bus.publish([message("b", "re.legacy.b", direct=True)]) == [Published.TAKEN]


def test_nobody_knows_a_forwarding_queue_that_was_not_declared(bus: Bus) -> None:
    bus.declare("re.reply.3")
    assert bus.publish([message("a", "re.legacy.d-1.0.1", direct=True)]) == [Published.UNROUTABLE]
