"""The simulated bus keeps the contract of ports.Bus where a broker's connections come and go."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import BusUnavailable
from re_core.ports import Delivery, Published
from re_core.wire.messages import FORWARDED_BY, Message
from tests.simulation.bus import SimBus
from tests.simulation.faults import Bias
from tests.simulation.process import Process
from tests.simulation.world import World

QUEUE = "worker.test"


@pytest.fixture
def world() -> World:
    """Nothing bad happens in it."""
    return World(1, bias=Bias(()))


def _bus(world: World, name: str = "p") -> SimBus:
    process = Process(world, name)
    world.start(process)
    return process.bus


def _message(id: str, **more: Any) -> Message:
    return Message(more.pop("key", QUEUE), b"{}", id, **more)


def _ids(deliveries: list[Delivery]) -> list[str]:
    return [one.message.id for one in deliveries]


def _take(subscription: Any, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    for _ in range(20 * count):
        taken += subscription.take(count, 0)
    return taken


def test_order_prefetch_and_settling_are_those_of_a_broker(world: World) -> None:
    bus = _bus(world)
    subscription = bus.subscribe([QUEUE], 2)
    bus.publish([_message(one) for one in "abcd"])
    first = _take(subscription, 4)
    assert _ids(first) == ["a", "b"]
    subscription.requeue(first[:1])
    subscription.ack(first[1:])
    rest = _take(subscription, 4)
    assert [(one.message.id, one.redelivered) for one in rest] == [("a", True), ("c", False)]


def test_what_was_unsettled_when_the_connection_went_comes_again_and_the_old_cannot_be_settled(world: World) -> None:
    bus = _bus(world)
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([_message("a")])
    (old,) = _take(subscription, 1)
    bus.lose()
    with pytest.raises(BusUnavailable):
        bus.publish([_message("b")])
    bus.reconnect()
    subscription.ack([old])
    (again,) = _take(subscription, 1)
    assert (again.message.id, again.redelivered, again.epoch, old.epoch) == ("a", True, 1, 0)
    subscription.ack([again])
    assert _take(subscription, 1) == []


def test_a_message_that_may_travel_once_is_unknown_when_the_connection_goes_and_others_are_published_again() -> None:
    world = World(3, bias=Bias(("connection lost while publishing",)))
    bus = _bus(world)
    bus.declare(QUEUE)
    outcomes = set[Published]()
    for number in range(1000):
        outcomes |= set(bus.publish([_message(f"once{number}", once=True)]))
        assert Published.UNKNOWN not in bus.publish([_message(f"often{number}")])
    assert outcomes == {Published.TAKEN, Published.UNKNOWN}
    ids = [one.message.id for one in world.broker.queues[QUEUE].ready]
    assert len({one for one in ids if one.startswith("often")}) == 1000
    once = [one for one in ids if one.startswith("once")]
    assert len(once) == len(set(once)) < 1000
    assert len(ids) > len(set(ids)), "nothing was published twice"


def test_a_reply_queue_has_one_consumer_the_one_that_ranks_highest(world: World) -> None:
    low, high = _bus(world, "low"), _bus(world, "high")
    queue = "re.reply.3"
    first = low.subscribe([queue], 10, {queue: 1})
    second = high.subscribe([queue], 10, {queue: 2})
    low.publish([_message("a", key=queue, direct=True)])
    assert (_ids(_take(first, 1)), _ids(_take(second, 1))) == ([], ["a"])
    high.lose()
    assert _ids(_take(first, 1)) == ["a"]
    assert low.consumers(queue) == 1


def test_what_is_allowed_counts_beyond_what_is_in_hand(world: World) -> None:
    bus = _bus(world)
    subscription = bus.subscribe([QUEUE], 2)
    bus.publish([_message(one) for one in "abcde"])
    held = _take(subscription, 2)
    subscription.allow(QUEUE, 1)
    more = _take(subscription, 5)
    assert _ids(more) == ["c"]
    subscription.ack(held)
    assert _take(subscription, 5) == []
    subscription.ack(more)
    assert _ids(_take(subscription, 5)) == ["d"]
    subscription.allow(QUEUE, 0)
    assert _take(subscription, 5) == []


def test_what_has_expired_or_has_no_queue_reaches_nobody_and_a_forwarding_queue_says_its_name(world: World) -> None:
    bus = _bus(world)
    bus.declare(QUEUE)
    bus.publish([_message("old", expires=100), _message("young", expires=300)])
    world.time.now += 200
    assert _ids(_take(bus.subscribe([QUEUE], 5), 5)) == ["young"]
    assert bus.publish([_message("lost", key="worker.nobody")]) == [Published.UNROUTABLE]
    bus.forward("re.attempt.a", "re.reply.0", 1000)
    replies = bus.subscribe(["re.reply.0"], 5)
    bus.publish([_message("reply", key="re.attempt.a", direct=True)])
    (delivery,) = _take(replies, 1)
    assert delivery.message.headers[FORWARDED_BY] == "re.attempt.a"


def test_a_request_is_answered_or_waits_in_vain(world: World) -> None:
    bus, other = _bus(world), _bus(world, "other")
    with pytest.raises(BusUnavailable):
        bus.request(_message("nobody"), 1)
    subscription = other.subscribe([QUEUE], 5)
    begun = world.time.now
    assert bus.request(_message("silence"), 2) is None
    assert world.time.now - begun >= 2000

    def answer() -> None:
        for one in subscription.take(5, 0):
            other.publish([_message("answer", key=one.message.reply_to, direct=True)])

    world.after(500, answer)
    heard = bus.request(_message("question"), 2)
    assert heard is not None
    assert heard.id == "answer"


def test_a_process_that_died_holds_nothing(world: World) -> None:
    dead, living = _bus(world, "dead"), _bus(world, "living")
    held = dead.subscribe([QUEUE], 5)
    living.publish([_message("a")])
    assert _ids(_take(held, 1)) == ["a"]
    world.kill(dead.process)
    assert _ids(_take(living.subscribe([QUEUE], 5), 1)) == ["a"]
