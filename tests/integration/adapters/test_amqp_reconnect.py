"""AmqpBus: connections that are cut, held back and refused, and what is promised all the same."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from re_core.adapters.amqp import AmqpBus
from re_core.errors import BusUnavailable
from re_core.ports import Delivery, Published
from re_core.wire.messages import Message, request_life
from tests.contract.places import NEVER, SOON
from tests.contract.samples import message, names, take_all
from tests.integration.adapters.amqp_harness import SHORT, AmqpHarness, beside, until

QUEUE = "worker.test"

#: threads that publish, batches of each, messages of a batch
THREADS, BATCHES, SIZE = 3, 15, 20


def _batch(thread: int, number: int) -> list[Message]:
    sent = [message(f"{thread}.{number}.{at}") for at in range(SIZE)]
    return [one._replace(once=at % 5 == 0) for at, one in enumerate(sent)]


def test_what_was_taken_is_there_and_what_travels_once_is_there_once_however_often_the_line_is_cut(
    harness: AmqpHarness,
) -> None:
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port)
    bus.declare(QUEUE)
    outcomes: dict[str, Published] = {}

    def publish(thread: int) -> None:
        for number in range(BATCHES):
            sent = _batch(thread, number)
            outcomes.update(zip([one.id for one in sent], bus.publish(sent), strict=True))

    threads = [threading.Thread(target=publish, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    cut = 0
    while any(thread.is_alive() for thread in threads):
        seen = len(outcomes)
        # a cut needs something to cut: some progress since the last one
        until(lambda seen=seen: len(outcomes) >= seen + 3 * SIZE or not any(t.is_alive() for t in threads), "progress")  # type: ignore[misc]
        cut += relay.cut() > 0
    for thread in threads:
        thread.join()
    found = harness.drain(QUEUE)
    once = {
        one.id for thread in range(THREADS) for number in range(BATCHES) for one in _batch(thread, number) if one.once
    }
    assert len(outcomes) == THREADS * BATCHES * SIZE
    assert cut >= 3
    assert {id for id, outcome in outcomes.items() if outcome is Published.TAKEN} <= set(found)
    assert {id for id, outcome in outcomes.items() if outcome is Published.UNKNOWN} <= once
    assert not [id for id in once if found.count(id) > 1]


def test_an_answer_that_is_lost_makes_a_second_message_unless_it_may_travel_once(harness: AmqpHarness) -> None:
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port)
    bus.declare(QUEUE)
    bus.publish([message("first")])
    relay.hold()
    outcomes: list[Published] = []
    sent = [message("twice"), message("once")._replace(once=True)]
    with beside(lambda: outcomes.extend(bus.publish(sent))):
        counter = harness.raw()
        until(lambda: counter.queue_declare(QUEUE, passive=True).method.message_count == 3, "both are with the broker")
        relay.cut()
        relay.let_go()
    assert outcomes == [Published.TAKEN, Published.UNKNOWN]
    assert sorted(harness.drain(QUEUE)) == ["first", "once", "twice", "twice"]


def test_deliveries_of_a_connection_that_is_gone_come_again_and_can_no_longer_be_settled(harness: AmqpHarness) -> None:
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port)
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([message("a"), message("b")])
    before = take_all(subscription, 2)
    epoch = subscription.epoch
    relay.cut()
    again = take_all(subscription, 2)
    assert subscription.epoch > epoch
    assert [(one.message.id, one.redelivered, one.epoch) for one in sorted(again)] == [
        ("a", True, subscription.epoch),
        ("b", True, subscription.epoch),
    ]
    subscription.ack(before)
    subscription.requeue(before)
    subscription.reject(before[0], "bad-message")
    subscription.ack([one for one in again if one.message.id == "a"])
    subscription.close()
    assert sorted(harness.drain(QUEUE)) == ["b"]
    assert harness.drain("re.dead") == []


def test_a_request_whose_connection_is_lost_ends_without_an_answer_and_the_next_one_gets_one(
    harness: AmqpHarness,
) -> None:
    relay = harness.relay()
    relay.open()
    asking, answering = harness.bus(relay.port), harness.bus()
    subscription = answering.subscribe(["re.job.create"], 10)
    answers: list[Any] = []

    def answer(id: str) -> None:
        asked = message("")
        while asked.id != id:  # the first one may have been published again
            (delivery,) = take_all(subscription, 1)
            asked = delivery.message
            answering.publish([Message(asked.reply_to, b"{}", f"{asked.id}/answer", direct=True)])
            subscription.ack([delivery])

    with beside(lambda: answers.append(asking.request(message("first", "job.create"), 2.0))):
        (delivery,) = take_all(subscription, 1)
        relay.cut()
        late = Message(delivery.message.reply_to, b"{}", "first/answer", direct=True)
        until(lambda: answering.publish([late]) == [Published.UNROUTABLE], "the queue for answers has gone")
        subscription.ack([delivery])
    # without a connection a request fails at once
    until(lambda: relay.passed >= 4 and not _trouble(asking), "both connections are back")
    with beside(lambda: answers.append(asking.request(message("second", "job.create"), SOON))):
        answer("second")
    assert [one and one.id for one in answers] == [None, "second/answer"]


def test_a_request_that_is_sent_again_has_only_what_is_left_of_its_callers_time(harness: AmqpHarness) -> None:
    """And it is in doubt: the caller must not hear that nothing was started."""
    relay = harness.relay()
    relay.open()
    asking, answering = harness.bus(relay.port), harness.bus()
    subscription = answering.subscribe(["re.job.create"], 10)
    with pytest.raises(BusUnavailable):
        asking.request(message("nobody", "worker.nobody"), SOON)  # from now on there is a queue for answers
    relay.hold()
    answers: list[Message | None] = []
    with beside(lambda: answers.append(asking.request(message("ask", "job.create"), 60.0))):
        lives = [_life(take_all(subscription, 1))]
        relay.cut()
        relay.let_go()
        lives.append(_life(take_all(subscription, 1)))
        asking.close()
    assert lives[1] < lives[0] <= request_life(60.0)
    assert answers == [None]


def test_a_request_that_is_not_confirmed_in_time_is_in_doubt(harness: AmqpHarness) -> None:
    relay = harness.relay()
    relay.open()
    asking, counter = harness.bus(relay.port), harness.raw()
    asking.declare("re.job.create")
    with pytest.raises(BusUnavailable):
        asking.request(message("nobody", "worker.nobody"), SOON)  # from now on there is a queue for answers
    relay.hold()
    answers: list[Message | None] = []
    with beside(lambda: answers.append(asking.request(message("ask", "job.create"), 60.0))):
        until(
            lambda: counter.queue_declare("re.job.create", passive=True).method.message_count == 1,
            "the broker has the request",
        )
        asking.close()
    assert answers == [None]


def _life(deliveries: list[Delivery]) -> int:
    (delivery,) = deliveries
    assert delivery.message.expires is not None
    return delivery.message.expires


def test_a_broker_that_is_not_there_yet_is_waited_for(harness: AmqpHarness, caplog: pytest.LogCaptureFixture) -> None:
    relay = harness.relay()
    with caplog.at_level(logging.INFO, "re_core"):
        bus = harness.bus(relay.port, patience=SHORT)
        subscription = bus.subscribe([QUEUE], 10)
        bus.declare("worker.other")
        assert subscription.take(1, NEVER) == []
        until(lambda: f"127.0.0.1:{relay.port}" in _trouble(bus), "it says where nobody is")
        calls = (
            lambda: bus.publish([message("early")]),
            lambda: bus.request(message("ask", "job.create"), SHORT),
            lambda: bus.consumers(QUEUE),
            lambda: bus.forward("re.legacy.x", "re.reply.1", 1000),
        )
        for call in calls:
            with pytest.raises(BusUnavailable, match="RabbitMQ"):
                call()
        relay.open()
        until(lambda: not _trouble(bus), "the bus works")
        until(lambda: _takes(bus, [message("a"), message("b", "worker.other")]), "it takes messages")
        assert names(take_all(subscription, 1)) == ["a"]
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert len([text for text in told if "cannot be reached" in text]) == 1
    assert len([text for text in told if "is back after" in text]) == 1
    assert "early" not in harness.drain(QUEUE)


def _trouble(bus: AmqpBus) -> str:
    try:
        bus.ping()
    except BusUnavailable as error:
        return str(error)
    return ""


def _takes(bus: AmqpBus, messages: list[Message]) -> bool:
    """Whether all are taken; a bus of little patience may also give up on a broker that is only slow."""
    try:
        return bus.publish(messages) == [Published.TAKEN] * len(messages)
    except BusUnavailable:
        return False


def test_an_address_that_is_dead_is_passed_over_and_another_one_taken_when_it_dies(harness: AmqpHarness) -> None:
    dead, first, second = harness.relay(), harness.relay(), harness.relay()
    first.open()
    bus = harness.bus(dead.port, first.port, second.port)
    subscription = bus.subscribe([QUEUE], 10)
    bus.publish([message("a")])
    assert names(take_all(subscription, 1)) == ["a"]
    assert (first.passed, second.passed) == (2, 0)
    second.open()
    first.refuse()
    bus.publish([message("b")])
    assert sorted(names(take_all(subscription, 2))) == ["a", "b"]
    assert second.passed == 2


def test_the_broker_may_close_the_connections_itself(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([QUEUE], 10)
    epoch = subscription.epoch
    until(lambda: len(harness.broker.connections(harness.url)) == 2, "the broker lists both")
    for name in harness.broker.connections(harness.url):
        harness.broker.close_connection(name)
    until(lambda: subscription.epoch > epoch, "the connection has gone")
    assert bus.publish([message("a")]) == [Published.TAKEN]
    assert names(take_all(subscription, 1)) == ["a"]


def test_a_close_does_not_wait_for_a_broker_that_says_nothing(
    harness: AmqpHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("re_core.adapters.amqp.connections.CLOSING", SHORT)
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port)
    bus.declare(QUEUE)
    bus.subscribe(["worker.other"], 10)
    bus.publish([message("first")])
    relay.hold()
    failed: list[BusUnavailable] = []

    def publish() -> None:
        try:
            bus.publish([message("a")])
        except BusUnavailable as error:
            failed.append(error)

    counter = harness.raw()
    with beside(publish):
        until(lambda: counter.queue_declare(QUEUE, passive=True).method.message_count == 2, "it was sent")
        bus.close()
    assert [str(error) for error in failed] == ["the bus is closed"]
    assert not [thread for thread in threading.enumerate() if thread.name == "amqp"]
