"""Bus: who gets what, in which order, and what becomes of it."""

from __future__ import annotations

import threading

import pytest

from re_core.errors import BusUnavailable
from re_core.ports import Bus, Delivery, Published
from re_core.wire.messages import Message
from tests.contract.places import NEVER, SOON, BusPlace
from tests.contract.samples import message, names, take_all

QUEUE = "worker.test"


def test_deliveries_come_in_the_order_of_their_publishing(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 100)
    wanted = [str(number) for number in range(50)]
    assert bus.publish([message(name) for name in wanted[:25]]) == [Published.TAKEN] * 25
    for name in wanted[25:]:
        bus.publish([message(name)])
    taken = take_all(subscription, 50)
    assert names(taken) == wanted
    assert not any(delivery.redelivered for delivery in taken)


def test_a_message_arrives_as_it_was_sent(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    sent = Message(QUEUE, b'{"x": "\xc3\xa4"}', "m-1", "d-1", "re.reply.1", {"re-attempt": "d-1/0/1"}, "re-core")
    bus.publish([sent])
    (delivery,) = take_all(subscription, 1)
    assert delivery.message == sent
    assert delivery.queue == QUEUE


def test_what_was_published_before_anybody_consumed_is_waiting(bus: Bus) -> None:
    bus.declare(QUEUE)
    bus.publish([message("early")])
    assert names(take_all(bus.subscribe([QUEUE], 1), 1)) == ["early"]


def test_no_more_than_the_prefetch_is_unsettled_at_a_time(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 2)
    bus.publish([message(name) for name in "abcd"])
    first = take_all(subscription, 2)
    assert subscription.take(10, NEVER) == []
    subscription.ack(first[:1])
    third = take_all(subscription, 1)
    assert names(first + third) == ["a", "b", "c"]
    assert subscription.take(10, NEVER) == []


def test_the_prefetch_is_counted_by_queue(bus: Bus) -> None:
    subscription = bus.subscribe(["worker.one", "worker.two"], 1)
    bus.publish([message("a", "worker.one"), message("b", "worker.one"), message("c", "worker.two")])
    assert sorted(names(take_all(subscription, 2))) == ["a", "c"]
    assert subscription.take(1, NEVER) == []


def test_take_gives_no_more_than_its_limit(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([message(name) for name in "abc"])
    assert names(subscription.take(1, SOON)) == ["a"]
    assert names(take_all(subscription, 2)) == ["b", "c"]


def test_a_waiting_take_is_woken_by_a_message(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 10)
    taken: list[Delivery] = []
    thread = threading.Thread(target=lambda: taken.extend(subscription.take(1, SOON)))
    thread.start()
    bus.publish([message("a")])
    thread.join(SOON)
    assert names(taken) == ["a"]


def test_what_was_acked_never_comes_again(bus: Bus) -> None:
    first = bus.subscribe([QUEUE], 10)
    bus.publish([message("a"), message("b")])
    deliveries = take_all(first, 2)
    first.ack(deliveries)
    first.ack(deliveries)
    first.close()
    assert bus.subscribe([QUEUE], 10).take(10, NEVER) == []


def test_requeued_ones_come_again_first_in_order_and_marked(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 2)
    bus.publish([message(name) for name in "abcd"])
    subscription.requeue(take_all(subscription, 2))
    again = take_all(subscription, 2)
    assert [(name, one.redelivered) for name, one in zip(names(again), again, strict=True)] == [
        ("a", True),
        ("b", True),
    ]
    subscription.ack(again)
    rest = take_all(subscription, 2)
    assert [(name, one.redelivered) for name, one in zip(names(rest), rest, strict=True)] == [
        ("c", False),
        ("d", False),
    ]


def test_what_is_unsettled_at_a_close_goes_to_the_next_consumer_marked(bus: Bus) -> None:
    first = bus.subscribe([QUEUE], 2)
    bus.publish([message(name) for name in "abc"])
    first.ack(take_all(first, 2)[:1])
    first.close()
    again = take_all(bus.subscribe([QUEUE], 10), 2)
    assert names(again) == ["b", "c"]
    assert again[0].redelivered


def test_closing_twice_is_closing_once(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    subscription.close()
    subscription.close()
    assert subscription.take(1, SOON) == []


def test_a_close_wakes_a_waiting_take(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    taken: list[list[Delivery]] = []
    thread = threading.Thread(target=lambda: taken.append(subscription.take(1, 60)))
    thread.start()
    subscription.close()
    thread.join(SOON)
    assert taken == [[]]


def test_subscribers_of_one_queue_share_it_evenly(bus: Bus) -> None:
    one, two = bus.subscribe([QUEUE], 10), bus.subscribe([QUEUE], 10)
    bus.publish([message(str(number)) for number in range(10)])
    shares = take_all(one, 5), take_all(two, 5)
    assert sorted(map(int, names(shares[0]) + names(shares[1]))) == list(range(10))


def test_a_subscriber_that_is_full_is_passed_over(bus: Bus) -> None:
    busy, idle = bus.subscribe([QUEUE], 1), bus.subscribe([QUEUE], 10)
    bus.publish([message(str(number)) for number in range(6)])
    assert len(take_all(busy, 1)) == 1
    assert len(take_all(idle, 5)) == 5


def test_what_a_closed_subscriber_had_goes_to_the_others(bus: Bus) -> None:
    one, two = bus.subscribe([QUEUE], 10), bus.subscribe([QUEUE], 10)
    bus.publish([message(str(number)) for number in range(4)])
    take_all(one, 1)
    one.close()
    assert sorted(names(take_all(two, 4))) == ["0", "1", "2", "3"]


def test_many_threads_lose_and_repeat_nothing(bus: Bus) -> None:
    subscriptions = [bus.subscribe([QUEUE], 20) for _ in range(2)]
    wanted = 800
    seen: list[str] = []

    def publish(part: int) -> None:
        for number in range(part, wanted, 2):
            bus.publish([message(str(number))])

    def consume(number: int) -> None:
        while len(seen) < wanted:
            deliveries = subscriptions[number].take(7, NEVER)
            seen.extend(names(deliveries))
            subscriptions[number].ack(deliveries)

    threads = [threading.Thread(target=work, args=(number,)) for work in (publish, consume) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(int, seen)) == list(range(wanted))


def test_an_expired_message_is_never_delivered(bus: Bus, bus_place: BusPlace) -> None:
    bus.declare(QUEUE)
    bus.publish([message("old", expires=1000), message("lasting")])
    bus_place.pass_time(1001)
    subscription = bus.subscribe([QUEUE], 1)
    assert names(take_all(subscription, 1)) == ["lasting"]


def test_a_message_that_has_not_expired_yet_is_delivered(bus: Bus, bus_place: BusPlace) -> None:
    bus.declare(QUEUE)
    bus.publish([message("young", expires=60_000)])
    bus_place.pass_time(100)
    assert names(take_all(bus.subscribe([QUEUE], 1), 1)) == ["young"]


def test_a_closed_bus_takes_nothing(bus: Bus) -> None:
    bus.declare(QUEUE)
    bus.close()
    bus.close()
    with pytest.raises(BusUnavailable):
        bus.publish([message("a")])
    with pytest.raises(BusUnavailable):
        bus.subscribe([QUEUE], 1)
