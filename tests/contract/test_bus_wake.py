"""Bus: who waits for deliveries can be called away, by any thread."""

from __future__ import annotations

import threading

from re_core.ports import Bus
from tests.contract.places import NEVER, SOON
from tests.contract.samples import message, names

QUEUE = "worker.test"

#: seconds that nobody waits who is woken
LONG = 300.0


def test_a_take_that_waits_is_woken(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    thread = threading.Thread(target=subscription.take, args=(1, LONG))
    thread.start()
    subscription.wake()
    thread.join(SOON)
    assert not thread.is_alive()


def test_who_is_woken_before_waiting_does_not_wait(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    subscription.wake()
    subscription.wake()
    assert subscription.take(1, LONG) == []
    assert subscription.take(1, NEVER) == []


def test_waking_keeps_no_delivery_back(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    bus.publish([message("a")])
    subscription.wake()
    taken = subscription.take(1, SOON) or subscription.take(1, SOON)
    assert names(taken) == ["a"]


def test_a_closed_subscription_can_be_woken(bus: Bus) -> None:
    subscription = bus.subscribe([QUEUE], 1)
    subscription.close()
    subscription.wake()
    assert subscription.take(1, SOON) == []
