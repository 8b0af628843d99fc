"""AmqpBus: a broker that has an alarm, dies, freezes and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from re_core.adapters.amqp import AmqpBus
from re_core.errors import BusUnavailable
from re_core.ports import Published
from tests.contract.places import NEVER
from tests.contract.samples import message, names, take_all
from tests.integration.adapters.amqp_harness import SHORT, AmqpHarness, beside, until
from tests.services.rabbitmq import RabbitServer

QUEUE = "worker.test"


@pytest.fixture
def own_house(own_rabbitmq: RabbitServer) -> Iterator[AmqpHarness]:
    """On a broker that nobody else uses."""
    harness = AmqpHarness(own_rabbitmq)
    yield harness
    harness.close()


def test_in_an_alarm_publishers_wait_and_consumers_go_on(own_house: AmqpHarness, own_rabbitmq: RabbitServer) -> None:
    # the broker's own command ends the alarm, which takes it long on a busy machine
    publishing, waiting, consuming = own_house.bus(patience=SHORT), own_house.bus(patience=90), own_house.bus()
    consuming.declare(QUEUE)
    consuming.publish([message(str(number)) for number in range(100)])
    subscription = consuming.subscribe([QUEUE], 10)
    own_rabbitmq.raise_alarm()

    def blocked() -> bool:
        try:
            publishing.publish([message("late")])
        except BusUnavailable as error:
            return "RabbitMQ has an alarm (low on memory)" in str(error)
        return False

    until(blocked, "a publisher hears of the alarm")
    with pytest.raises(BusUnavailable, match="alarm"):
        publishing.ping()
    drained: list[str] = []
    while len([name for name in drained if name != "late"]) < 100:
        deliveries = take_all(subscription, 1)
        subscription.ack(deliveries)
        drained += names(deliveries)
    assert [name for name in drained if name != "late"] == [str(number) for number in range(100)]
    outcomes: list[Published] = []
    with beside(lambda: outcomes.extend(waiting.publish([message("patient")]))):
        until(lambda: not _pings(waiting), "it waits")
        own_rabbitmq.clear_alarm()
    assert outcomes == [Published.TAKEN]
    until(lambda: _pings(publishing), "the alarm is over")
    until(lambda: "patient" in names(subscription.take(10, NEVER)), "it arrives")


def _pings(bus: AmqpBus) -> bool:
    try:
        bus.ping()
    except BusUnavailable:
        return False
    return True


def test_what_was_confirmed_survives_a_broker_that_is_killed(
    own_house: AmqpHarness, own_rabbitmq: RabbitServer
) -> None:
    bus = own_house.bus(patience=60.0)
    bus.declare(QUEUE)
    own_rabbitmq.settle()
    outcomes: dict[str, Published] = {}

    def publish() -> None:
        for number in range(200):
            sent = [message(f"{number}.{at}") for at in range(10)]
            outcomes.update(zip([one.id for one in sent], bus.publish(sent), strict=True))

    with beside(publish) as thread:
        until(lambda: len(outcomes) > 300, "it publishes")
        own_rabbitmq.kill()
        own_rabbitmq.start()
        thread.join(60)
    assert set(outcomes.values()) == {Published.TAKEN}
    assert len(outcomes) == 2000
    assert set(outcomes) <= set(own_house.drain(QUEUE))
