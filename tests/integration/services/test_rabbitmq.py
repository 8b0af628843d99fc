"""The RabbitMQ of the tests is a real one: virtual hosts keep tests apart, and a broker of one's own can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.adapters.utils.connection_workflow import AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    ConnectionBlockedTimeout,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
)

from tests.services.broker import Queue, RabbitMQ
from tests.services.rabbitmq import RabbitServer

#: Seconds a publisher stays blocked in a test before it gives up.
BLOCKED_TIMEOUT = 1
PERSISTENT = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)


@contextmanager
def _channel(url: str) -> Iterator[BlockingChannel]:
    parameters = pika.URLParameters(url)
    parameters.blocked_connection_timeout = BLOCKED_TIMEOUT
    connection = pika.BlockingConnection(parameters)
    try:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
    finally:
        if connection.is_open:
            connection.close()


def _publish(url: str, kind: str) -> None:
    with _channel(url) as channel:
        channel.queue_declare(kind, durable=True, arguments={"x-queue-type": kind})
        channel.basic_publish("", kind, b"kept", PERSISTENT, mandatory=True)


def _taken(url: str, queue: str) -> bytes | None:
    with _channel(url) as channel:
        body: bytes | None = channel.basic_get(queue, auto_ack=True)[2]
        return body


def test_a_message_in_one_virtual_host_is_in_no_other(rabbitmq: RabbitMQ) -> None:
    with rabbitmq.vhost() as one, rabbitmq.vhost() as other:
        _publish(one, "classic")
        assert rabbitmq.queues(one) == {"classic": Queue(ready=1, unacked=0)}
        assert rabbitmq.queues(other) == {}


def test_a_virtual_host_is_gone_after_its_block(rabbitmq: RabbitMQ) -> None:
    with rabbitmq.vhost() as url:
        pass
    with pytest.raises(ProbableAccessDeniedError), _channel(url):
        pass


def test_queues_are_purged_and_deleted_from_outside(rabbitmq: RabbitMQ) -> None:
    with rabbitmq.vhost() as url:
        _publish(url, "quorum")
        rabbitmq.purge(url, "quorum")
        assert rabbitmq.queues(url)["quorum"].ready == 0
        rabbitmq.delete_queue(url, "quorum")
        assert rabbitmq.queues(url) == {}


def test_a_broker_that_was_killed_or_stopped_comes_back_with_what_it_confirmed(own_rabbitmq: RabbitServer) -> None:
    url = own_rabbitmq.new_vhost()
    for kind in ("classic", "quorum"):
        _publish(url, kind)
    own_rabbitmq.settle()
    own_rabbitmq.kill()
    with pytest.raises(AMQPConnectionError), _channel(url):
        pass
    own_rabbitmq.start()
    assert _taken(url, "classic") == b"kept"
    own_rabbitmq.stop()
    own_rabbitmq.start()
    assert _taken(url, "quorum") == b"kept"


def test_a_frozen_broker_answers_nothing_until_it_is_thawed(own_rabbitmq: RabbitServer) -> None:
    url = own_rabbitmq.new_vhost()
    hasty = pika.URLParameters(url)
    hasty.socket_timeout, hasty.stack_timeout = 1, 2
    own_rabbitmq.freeze()
    with pytest.raises(AMQPConnectorStackTimeout):
        pika.BlockingConnection(hasty)
    own_rabbitmq.thaw()
    _publish(url, "classic")


def test_a_broker_blocks_publishers_and_closes_connections_on_demand(own_rabbitmq: RabbitServer) -> None:
    url = own_rabbitmq.new_vhost()
    own_rabbitmq.raise_alarm()
    assert own_rabbitmq.alarmed()
    with pytest.raises(ConnectionBlockedTimeout):
        _publish(url, "classic")
    own_rabbitmq.clear_alarm()
    assert not own_rabbitmq.alarmed()
    with _channel(url) as channel:
        own_rabbitmq.close_connections(url)
        with pytest.raises(ConnectionClosedByBroker):
            channel.queue_declare("", exclusive=True)
