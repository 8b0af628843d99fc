"""What a subscription of RabbitMQ does with deliveries that expire before they are taken."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

from re_core.adapters.amqp.consumer import AmqpConsumer
from re_core.adapters.amqp.delivery_buffer import DeliveryBuffer
from re_core.adapters.amqp.subscription import AmqpSubscription
from re_core.ports import Delivery
from tests.contract.samples import message, names

#: seconds of a wait that must end before
LONG = 60.0


class _Broker:
    """Delivers what it has next once something was settled."""

    def __init__(self, buffer: DeliveryBuffer) -> None:
        self._buffer = buffer
        self.following: list[Delivery] = []
        self.settled: list[int] = []

    def settle(self, epoch: int, settled: Sequence[tuple[int, bool]]) -> None:
        self.settled += [tag for tag, _ in settled]
        self._buffer.put(self.following)


def _delivery(tag: int, expires: int | None = None) -> Delivery:
    return Delivery(message(str(tag), expires=expires), "worker.test", False, tag, 0, 0.0)


@pytest.fixture
def buffer() -> DeliveryBuffer:
    return DeliveryBuffer()


@pytest.fixture
def broker(buffer: DeliveryBuffer) -> _Broker:
    return _Broker(buffer)


@pytest.fixture
def subscription(buffer: DeliveryBuffer, broker: _Broker) -> AmqpSubscription:
    unused: Any = None
    return AmqpSubscription(
        buffer, cast("AmqpConsumer", broker), lambda work: work(), unused, lambda: None, lambda _: None
    )


def test_a_delivery_that_expired_does_not_end_the_wait_for_the_next_one(
    buffer: DeliveryBuffer, broker: _Broker, subscription: AmqpSubscription
) -> None:
    buffer.put([_delivery(1, expires=0)])
    broker.following = [_delivery(2)]
    assert names(subscription.take(1, LONG)) == ["2"]
    assert broker.settled == [1]


def test_a_delivery_that_expired_uses_up_no_wake_up(
    buffer: DeliveryBuffer, broker: _Broker, subscription: AmqpSubscription
) -> None:
    buffer.put([_delivery(1, expires=0)])
    subscription.wake()
    taken: list[list[Delivery]] = []
    thread = threading.Thread(target=lambda: taken.append(subscription.take(1, LONG)))
    thread.start()
    thread.join(LONG / 6)
    assert taken == [[]]
    assert broker.settled == [1]
    thread.join()
