"""AmqpBus: queues and exchanges that are gone, otherwise, or somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from re_core.adapters.amqp.topology import CONTROL_LIFE, LANE_LIFE
from re_core.errors import BusRefused, BusUnavailable
from re_core.ports import Bus, Delivery, Published
from re_core.wire.dead_letters import parse_dead_letter
from re_core.wire.messages import DEAD
from tests import plain_http
from tests.contract.places import NEVER
from tests.contract.samples import message, names, take_all
from tests.integration.adapters.amqp_harness import AmqpHarness, beside, until
from tests.services.broker import vhost_of

QUEUE = "worker.test"
REPLIES = "re.reply.1"


def test_a_queue_that_is_deleted_under_way_is_declared_and_consumed_again(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([QUEUE, "worker.other"], 10)
    bus.publish([message("a")])
    before = take_all(subscription, 1)
    for queue in (QUEUE, "worker.other"):
        harness.broker.delete_queue(harness.url, queue)
    until(lambda: _consumed(bus, QUEUE) and _consumed(bus, "worker.other"), "both are consumed again")
    subscription.ack(before)
    assert bus.publish([message("b"), message("c", "worker.other")]) == [Published.TAKEN] * 2
    assert sorted(names(take_all(subscription, 2))) == ["b", "c"]


def _consumed(bus: Bus, queue: str) -> bool:
    try:
        return bus.consumers(queue) == 1
    except BusUnavailable:
        # RabbitMQ 4.3 sometimes ends the connection (541 INTERNAL_ERROR) of who declares a queue while it goes
        return False


def test_a_message_for_a_queue_that_was_ours_and_is_gone_finds_it_again(harness: AmqpHarness) -> None:
    bus = harness.bus()
    for queue in (QUEUE, REPLIES, "re.job.create"):
        bus.declare(queue)
        harness.broker.delete_queue(harness.url, queue)
    sent = [message("a"), message("b", REPLIES, direct=True), message("c", "job.create"), message("d", "worker.other")]
    assert bus.publish(sent) == [*[Published.TAKEN] * 3, Published.UNROUTABLE]
    assert sorted(names(take_all(bus.subscribe([QUEUE, REPLIES, "re.job.create"], 5), 3))) == ["a", "b", "c"]


def test_what_may_travel_once_does_not_travel_again_to_a_queue_that_is_gone(harness: AmqpHarness) -> None:
    bus = harness.bus()
    bus.declare(QUEUE)
    harness.broker.delete_queue(harness.url, QUEUE)
    assert bus.publish([message("a")._replace(once=True)]) == [Published.UNROUTABLE]


def test_an_exchange_that_is_deleted_under_way_is_declared_again(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([QUEUE], 10)
    harness.raw().exchange_delete("re")
    assert bus.publish([message("a")]) == [Published.TAKEN]
    assert names(take_all(subscription, 1)) == ["a"]


@pytest.mark.parametrize(("kind", "durable"), [("direct", True), ("topic", False)])
def test_an_exchange_that_was_declared_otherwise_ends_it_with_words(
    harness: AmqpHarness, kind: str, durable: bool
) -> None:
    harness.raw().exchange_declare("re", kind, durable=durable, auto_delete=not durable)
    bus = harness.bus()
    with pytest.raises(BusRefused, match=r"the exchange 're' exists, but is not a durable topic exchange.*RE_EXCHANGE"):
        bus.subscribe([QUEUE], 10)
    for call in (lambda: bus.publish([message("a")]), lambda: bus.declare(QUEUE), bus.ping):
        with pytest.raises(BusRefused, match="RE_EXCHANGE"):
            call()


def test_a_queue_of_another_type_is_used_with_one_warning(
    harness: AmqpHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.raw().queue_declare(QUEUE, durable=True)
    relay = harness.relay()
    relay.open()
    bus = harness.bus(relay.port)
    subscription = bus.subscribe([QUEUE], 10)
    assert bus.publish([message("a")]) == [Published.TAKEN]
    assert names(take_all(subscription, 1)) == ["a"]
    relay.cut()
    assert names(take_all(subscription, 1)) == ["a"]
    told = [record.getMessage() for record in caplog.records if QUEUE in record.getMessage()]
    assert len(told) == 1
    assert "only quorum queues are on the disk before they confirm" in told[0]
    assert "messages that a worker of 2014 refuses are not kept as dead letters" in told[0]


def test_no_queue_of_ours_is_a_surprise_to_ours(harness: AmqpHarness, caplog: pytest.LogCaptureFixture) -> None:
    """Declaring again what is there says nothing."""
    queues = [QUEUE, REPLIES, "re.job.create", "notify.irc", "output", "re.heartbeat", "re.control.w-1"]
    for bus in (harness.bus(), harness.bus()):
        for queue in queues:
            bus.declare(queue)
            bus.forward("re.legacy.x", REPLIES, 60_000)
    assert caplog.records == []


def test_a_control_queue_goes_some_time_after_its_worker(harness: AmqpHarness) -> None:
    harness.bus().declare("re.control.w-1")
    # a declaration that is not the same is refused
    arguments = {"x-queue-type": "classic", "x-expires": CONTROL_LIFE}
    harness.raw().queue_declare("re.control.w-1", durable=True, arguments=arguments)


def test_the_queue_of_a_lane_goes_some_time_after_its_last_consumer(harness: AmqpHarness) -> None:
    harness.bus().declare("worker.rail.oslo/b@1")
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": -1,
        "x-dead-letter-exchange": "re.dead",
        "x-expires": LANE_LIFE,
    }
    harness.raw().queue_declare("worker.rail.oslo/b@1", durable=True, arguments=arguments)


def test_a_released_queue_is_not_declared_on_the_next_connection(harness: AmqpHarness) -> None:
    bus = harness.bus()
    bus.declare("worker.rail.oslo")
    bus.release("worker.rail.oslo")
    harness.raw().queue_delete("worker.rail.oslo")
    assert bus.publish([message("a", "worker.rail.oslo", direct=True)]) == [Published.UNROUTABLE]


def test_a_forwarding_queue_goes_when_its_life_is_over(harness: AmqpHarness) -> None:
    bus = harness.bus()
    bus.declare(REPLIES)
    bus.forward("re.legacy.x", REPLIES, 300)
    through = message("a", "re.legacy.x", direct=True)
    assert bus.publish([through]) == [Published.TAKEN]
    until(lambda: bus.publish([through]) == [Published.UNROUTABLE], "it has gone")


def _drained(subscription: Any, count: int) -> list[str]:
    deliveries = take_all(subscription, count)
    subscription.ack(deliveries)
    return names(deliveries)


def test_a_reply_queue_goes_to_the_core_that_ranks_highest(harness: AmqpHarness) -> None:
    low, high = harness.bus(), harness.bus()
    first = low.subscribe([REPLIES], 10, {REPLIES: 1})
    assert low.publish([message("a", REPLIES, direct=True)]) == [Published.TAKEN]
    assert _drained(first, 1) == ["a"]
    second = high.subscribe([REPLIES], 10, {REPLIES: 5})
    turns = iter(range(1000))

    def moved() -> bool:
        low.publish([message(f"b{next(turns)}", REPLIES, direct=True)])
        first.ack(first.take(10, NEVER))
        deliveries = second.take(10, NEVER)
        second.ack(deliveries)
        return deliveries != []

    until(moved, "the queue moves to the higher rank")
    low.publish([message(f"c{number}", REPLIES, direct=True) for number in range(5)])
    assert _drained(second, 5) == [f"c{number}" for number in range(5)]
    assert first.take(10, NEVER) == []
    second.close()
    low.publish([message("d", REPLIES, direct=True)])
    assert _drained(first, 1) == ["d"]


def test_output_has_one_consumer_at_a_time(harness: AmqpHarness) -> None:
    one, two = harness.bus().subscribe(["output"], 100), harness.bus().subscribe(["output"], 100)
    harness.bus().publish([message(str(number), "output") for number in range(10)])
    assert names(take_all(one, 10)) == [str(number) for number in range(10)]
    assert two.take(10, NEVER) == []


def test_a_message_that_the_broker_refuses_for_now_is_published_until_it_is_taken(harness: AmqpHarness) -> None:
    """basic.nack, as a full queue with reject-publish makes one."""
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel = harness.raw()
    channel.queue_declare(QUEUE, durable=True, arguments=full)
    bus = harness.bus()
    bus.declare(QUEUE)
    assert bus.publish([message("a")]) == [Published.TAKEN]
    assert bus.publish([message("x")._replace(once=True)]) == [Published.UNKNOWN]
    outcomes: list[Published] = []
    with beside(lambda: outcomes.extend(bus.publish([message("b")]))):
        method, _, _ = channel.basic_get(QUEUE, auto_ack=True)
        assert method is not None
    assert outcomes == [Published.TAKEN]
    assert harness.drain(QUEUE) == ["b"]


def test_what_no_broker_takes_is_unroutable_and_harms_no_other(
    harness: AmqpHarness, caplog: pytest.LogCaptureFixture
) -> None:
    bus = harness.bus()
    bus.declare(QUEUE)
    sent = [
        message("a"),
        message("b")._replace(body=b"x" * (16 * 1024 * 1024 + 1)),
        message("c"),
        message("d", "k" * 300),
    ]
    assert bus.publish(sent) == [Published.TAKEN, Published.UNROUTABLE, Published.TAKEN, Published.UNROUTABLE]
    assert harness.drain(QUEUE) == ["a", "c"]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"the message {id} for {key} cannot be sent" for id, key in (("b", QUEUE), ("d", "k" * 200))
    ]


def test_a_large_body_travels_in_pieces(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([QUEUE], 10)
    body = bytes(range(256)) * 4096
    bus.publish([message("a")._replace(body=body), message("b")])
    large, small = take_all(subscription, 2)
    assert (large.message.body, small.message.id) == (body, "b")


def test_what_a_worker_of_2014_refuses_is_a_dead_letter(harness: AmqpHarness) -> None:
    bus = harness.bus()
    subscription = bus.subscribe([DEAD], 10)
    bus.declare(QUEUE)
    channel = harness.raw()
    dead: list[Delivery] = []

    def refused() -> bool:
        # what RabbitMQ passes on itself it may lose, and in the first moments of a queue it does
        bus.publish([message("a")])
        method, _, _ = channel.basic_get(QUEUE)
        channel.basic_reject(method.delivery_tag, requeue=False)
        dead.extend(subscription.take(1, NEVER))
        return dead != []

    until(refused, "a dead letter comes")
    letter = parse_dead_letter(dead[0].message)
    assert (letter.queue, letter.reason, letter.body) == (QUEUE, "rejected", message("a").body)


@pytest.fixture
def guest_without_rights(harness: AmqpHarness) -> Iterator[str]:
    """The URL of a user who may read and write what is there, and declare nothing."""
    parts = urlsplit(harness.broker.url)
    with plain_http.Client(auth=("guest", "guest"), base_url=f"{harness.broker.api}/api/") as client:
        name = f"reader-{vhost_of(harness.url)}"
        client.put(f"users/{name}", json={"password": "p", "tags": ""}).raise_for_status()
        rights = {"configure": "^re[.]answer[.].*", "write": ".*", "read": ".*"}
        client.put(f"permissions/{vhost_of(harness.url)}/{name}", json=rights).raise_for_status()
        yield f"amqp://{name}:p@{parts.hostname}:{parts.port}/{vhost_of(harness.url)}"
        client.delete(f"users/{name}").raise_for_status()


def test_who_may_declare_nothing_uses_what_somebody_else_has_declared(
    harness: AmqpHarness, guest_without_rights: str
) -> None:
    harness.bus().declare(QUEUE)
    bus: Bus = harness.bus(url=guest_without_rights)
    subscription = bus.subscribe([QUEUE], 10)
    assert bus.publish([message("a")]) == [Published.TAKEN]
    assert names(take_all(subscription, 1)) == ["a"]
    with pytest.raises(BusRefused, match=r"worker\.missing.*permission `configure` for it"):
        bus.subscribe(["worker.missing"], 10)
    assert bus.publish([message("b")]) == [Published.TAKEN]
