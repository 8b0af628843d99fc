"""A notifier and a recorder of 2014 on our bus, bound as their operator bound them: they hear ours, and live on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from re_core.adapters.amqp.address import addresses
from re_core.adapters.amqp.bus import AmqpBus
from re_core.adapters.amqp.topology import Topology
from re_core.adapters.sqlite import SqliteStore
from re_core.ports import Published
from re_core.rows import DeadLetter
from re_core.usecases import dead_letters, notifications
from re_core.wire.messages import DISCARD, Notification, encode, notification_message
from re_workers.outgoing import Origin, Outgoing
from tests.factories import principal
from tests.integration.workers.waiting import until
from tests.legacy_notifier import LegacyNotifier
from tests.services.broker import RabbitMQ

DOCUMENT = {"slug": "s", "message": "m", "phase": "completed", "target": ["#team"]}


class LegacyNotifierHarness:
    """A virtual host, our bus, and an operator's channel."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bus = AmqpBus(addresses(url, None, 7, "test"), Topology("re", "quorum"))
        self.bus.declare("worker.irc")
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self.operator: Any = self._connection.channel()
        self.operator.queue_bind("worker.irc", "re", "notify.irc")

    def close(self) -> None:
        self._connection.close()
        self.bus.close()


@pytest.fixture
def harness(rabbitmq: RabbitMQ) -> Iterator[LegacyNotifierHarness]:
    with rabbitmq.vhost() as url:
        harness = LegacyNotifierHarness(url)
        yield harness
        harness.close()


def test_it_hears_the_core_the_front_end_and_a_worker_and_dies_of_none(
    harness: LegacyNotifierHarness, tmp_path: Path
) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    notifier = LegacyNotifier(harness.url, "irc")
    outgoing = Outgoing(Origin("D", 0, "D/0/1/T"))
    outgoing.notify("irc", ["#team"], "s", "m", "completed")
    core = notification_message("irc", DOCUMENT, "D/started/irc", "D", "re-core")
    assert harness.bus.publish([core, *outgoing.drain()]) == [Published.TAKEN] * 2
    notifications.send(harness.bus, store, principal(), "irc", Notification("s", "m", "completed", ("#team",)), {})
    store.close()
    until(lambda: notifier.told == [DOCUMENT] * 3)
    assert not notifier.died.is_set()
    notifier.close()


def test_what_it_answers_is_swallowed_by_a_queue_that_is_there(harness: LegacyNotifierHarness) -> None:
    notifier = LegacyNotifier(harness.url, "irc")
    for number in range(20):
        harness.bus.publish([notification_message("irc", DOCUMENT, f"{number}", "D", "re-core")])
    until(lambda: len(notifier.told) == 20)
    notifier.close()
    # asked on the connection of another peer: the broker has handled all that the notifier had sent before it ended
    assert harness.operator.queue_declare(DISCARD, passive=True).method.message_count == 0


def test_a_dead_letter_of_a_notification_is_replayed_to_it(harness: LegacyNotifierHarness, tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    store.store_letter(DeadLetter("1", "notify.irc", "unroutable", "", "re-core", 0, encode(DOCUMENT), {}))
    notifier = LegacyNotifier(harness.url, "irc")
    dead_letters.replay(store, harness.bus, principal(), "1")
    store.close()
    until(lambda: notifier.told == [DOCUMENT])
    assert not notifier.died.is_set()
    notifier.close()


def test_a_recorder_of_2014_hears_what_our_workers_print(harness: LegacyNotifierHarness) -> None:
    harness.bus.declare("output")
    queue = harness.operator.queue_declare("worker.output", durable=True).method.queue
    harness.operator.queue_bind(queue, "re", "output")
    outgoing = Outgoing(Origin("D", 0, "D/0/1/T"))
    outgoing.output("one")
    assert harness.bus.publish(outgoing.drain()) == [Published.TAKEN]
    _, properties, body = harness.operator.basic_get(queue, auto_ack=True)
    assert (body, properties.correlation_id) == (b'{"message":"one"}', "D")
