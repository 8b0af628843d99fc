"""Our bus and a worker of 2014: what goes to it and what comes back, byte by byte. The core's side is played here."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.bus import AmqpBus
from re_core.adapters.amqp.topology import Topology
from re_core.ports import Delivery, Published
from re_core.wire.messages import FORWARDED_BY, Message, encode
from tests.integration.workers.waiting import until
from tests.legacy_worker import LegacyStep, LegacyWorker
from tests.services.broker import RabbitMQ

#: milliseconds that an attempt's own queue lives
LIFE = 60_000

STEP = {
    "parameters": {"hosts": ["foo.example.com"], "command": "juicer", "subcommand": "Promote", "cart": "bitmath"},
    "group": "inception",
    "dynamic": {"cart": "bitmath"},
    "notify": {},
}


class Shop:
    """A virtual host, and our bus on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bus = AmqpBus(addresses(url, None, 7, "test"), Topology("re", "quorum"))
        self.heard: list[Delivery] = []
        self._subscription = self.bus.subscribe(["re.reply.5", "output", "notify.irc"], 100)

    def hand(self, attempt: str) -> Published:
        """One step, as the core hands it to a worker that cannot be asked: once, with an address of its own."""
        self.bus.forward(f"re.attempt.{attempt}", "re.reply.5", LIFE)
        message = Message("worker.juicer", encode(STEP), attempt, "D", f"re.attempt.{attempt}", once=True)
        return self.bus.publish([message])[0]

    def words(self, queue: str = "re.reply.5") -> list[Message]:
        taken = self._subscription.take(100, 0.05)
        self._subscription.ack(taken)
        self.heard += taken
        return [one.message for one in self.heard if one.queue == queue]


@pytest.fixture
def shop(rabbitmq: RabbitMQ) -> Iterator[Shop]:
    with rabbitmq.vhost() as url:
        shop = Shop(url)
        yield shop
        shop.bus.close()


def test_its_replies_come_back_by_the_address_of_its_attempt_and_say_which_that_is(shop: Shop) -> None:
    shop.bus.declare("worker.juicer")
    worker = LegacyWorker(shop.url, "juicer", lambda step: {"status": "completed", "data": {"cart": "ok"}})
    assert shop.hand("D/0/1") is Published.TAKEN
    until(lambda: len(shop.words()) == 2)
    started, completed = shop.words()
    assert (started.body, completed.body) == (
        b'{"status": "started"}',
        b'{"status": "completed", "data": {"cart": "ok"}}',
    )
    for reply in (started, completed):
        assert (reply.correlation_id, reply.id) == ("D", "")
        assert (reply.app_id, reply.reply_to) == ("LegacyWorker", "log")
        assert reply.headers[FORWARDED_BY] == "re.attempt.D/0/1"
    assert worker.steps[0].body == STEP
    worker.close()


def test_it_is_deaf_where_nobody_declared_its_queue_and_hears_where_somebody_did(shop: Shop) -> None:
    deaf = LegacyWorker(shop.url, "juicer")
    until(deaf.deaf.is_set)
    shop.bus.declare("worker.juicer")
    hears = LegacyWorker(shop.url, "juicer")
    until(hears.listens.is_set)
    until(lambda: shop.bus.consumers("worker.juicer") == 1)
    shop.hand("D/0/1")
    until(lambda: len(shop.words()) == 2)
    assert (len(deaf.steps), len(hears.steps)) == (0, 1)
    deaf.close()
    hears.close()


def test_what_it_prints_and_announces_is_in_the_queues_of_ours(shop: Shop) -> None:
    def work(step: LegacyStep) -> dict[str, object]:
        step.output("one\ntwo")
        step.announce("irc", "Promoted", "The rpms have been promoted.", "completed", ["#team"])
        return {"status": "completed"}

    shop.bus.declare("worker.juicer")
    worker = LegacyWorker(shop.url, "juicer", work)
    shop.hand("D/0/1")
    until(lambda: shop.words("output") and shop.words("notify.irc"))
    [printed], [announced] = shop.words("output"), shop.words("notify.irc")
    assert (json.loads(printed.body), printed.correlation_id) == ({"message": "one\ntwo"}, "D")
    assert json.loads(announced.body)["target"] == ["#team"]
    worker.close()


def test_what_it_took_is_acked_before_it_works_so_that_nobody_else_gets_it(shop: Shop) -> None:
    shop.bus.declare("worker.juicer")
    dies = LegacyWorker(shop.url, "juicer", lambda step: None)
    shop.hand("D/0/1")
    until(lambda: dies.steps)
    dies.close()
    other = LegacyWorker(shop.url, "juicer")
    shop.hand("D/1/1")
    until(lambda: len(shop.words()) == 3)
    assert len(other.steps) == 1
    other.close()
