"""Bus: a consumer that says how many more it has hands for."""

from __future__ import annotations

from re_core.ports import Bus
from tests.contract.places import NEVER
from tests.contract.samples import message, names, take_all

QUEUE = "worker.test"


def test_who_allows_none_gets_none_until_more_are_allowed(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 5)
    subscription.allow(QUEUE, 0)
    bus.publish([message(name) for name in "abc"])
    assert subscription.take(10, NEVER) == []
    subscription.allow(QUEUE, 2)
    assert names(take_all(subscription, 2)) == ["a", "b"]
    assert subscription.take(10, NEVER) == []


def test_what_is_in_hand_when_it_is_said_does_not_count(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 2)
    bus.publish([message(name) for name in "abcdef"])
    before = take_all(subscription, 2)
    subscription.allow(QUEUE, 1)
    after = take_all(subscription, 1)
    assert names(after) == ["c"]
    assert subscription.take(10, NEVER) == []
    subscription.ack(before)
    assert subscription.take(10, NEVER) == []
    subscription.ack(after)
    assert names(take_all(subscription, 1)) == ["d"]
    assert subscription.take(10, NEVER) == []


def test_what_nobody_has_taken_goes_back_and_comes_in_order(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 5)
    bus.publish([message(name) for name in "abcdef"])
    assert names(take_all(subscription, 1)) == ["a"]
    subscription.allow(QUEUE, 3)
    assert names(take_all(subscription, 3)) == ["b", "c", "d"]
    assert subscription.take(10, NEVER) == []


def test_what_nobody_has_taken_goes_to_somebody_else(bus: Bus) -> None:
    busy = bus.subscribe([QUEUE], 5)
    bus.publish([message(name) for name in "abc"])
    assert names(take_all(busy, 1)) == ["a"]
    busy.allow(QUEUE, 0)
    assert names(take_all(bus.subscribe([QUEUE], 5), 2)) == ["b", "c"]


def test_the_other_queues_are_not_meant(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE, "worker.other"], 5)
    subscription.allow(QUEUE, 0)
    bus.publish([message("a"), message("b", "worker.other")])
    assert names(take_all(subscription, 1)) == ["b"]
    assert subscription.take(10, NEVER) == []


def test_what_is_requeued_later_comes_again_as_far_as_it_is_allowed(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 5)
    bus.publish([message("a"), message("b")])
    in_hand = take_all(subscription, 2)
    subscription.allow(QUEUE, 1)
    subscription.requeue(in_hand)
    assert names(take_all(subscription, 1)) == ["a"]
    assert subscription.take(10, NEVER) == []
