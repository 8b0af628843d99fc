"""Steps of a worker with lanes on their way to the lanes. No thread, no waiting."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.errors import BusUnavailable
from re_core.ports import Subscription
from re_core.wire.messages import ATTEMPT, Message, encode, parse_reply
from re_workers.forwarder import AGAIN, MOST_KEPT, Forwarder, lane_problem
from tests.unit.workers.line import Line
from tests.unit.workers.rail import Rail
from tests.unit.workers.worker_harness import REPLIES, ManualClock


class Junction:
    """A forwarder, with the core's side in the test's own hands."""

    def __init__(self) -> None:
        self.bus, self.clock, self.worker = EmbeddedBus(), ManualClock(), Rail()
        self.line = Line(self.bus)
        self.replies = self.bus.subscribe([REPLIES], 1000)
        #: lanes of this process
        self.served: set[str] = set()
        self.forwarder = Forwarder(self.line, self.clock, self.worker, "W", self.served.__contains__)
        self.subscription = self.line.subscriptions[0]
        self._numbers = itertools.count()

    def send(self, attempt: str = "", **parameters: Any) -> str:
        id = attempt or f"D/{next(self._numbers)}/1"
        document = {"command": "rail", "subcommand": "Go", **parameters}
        body = encode({"parameters": document, "group": "g", "dynamic": {}, "notify": {}})
        self.bus.publish([Message("worker.rail", body, id, "D", REPLIES, {ATTEMPT: id}, "core", expires=60_000)])
        return id

    def lane(self, name: str) -> Subscription:
        return self.bus.subscribe([f"worker.rail.{name}"], 1000)

    def turn(self) -> None:
        self.forwarder.turn(0)

    def failures(self) -> list[str | None]:
        return [parse_reply(one.message.body).message for one in self.replies.take(1000, 0)]


def test_a_step_goes_to_the_queue_of_its_lane_unchanged() -> None:
    junction = Junction()
    lane = junction.lane("oslo")
    attempt = junction.send(to="oslo")
    junction.turn()
    (delivery,) = lane.take(10, 0)
    message = delivery.message
    assert (message.id, message.headers, message.reply_to) == (attempt, {ATTEMPT: attempt}, REPLIES)
    assert (message.app_id, message.expires, message.correlation_id) == ("core", 60_000, "D")
    assert (junction.forwarder.kept(), junction.subscription.held()) == ([], [])
    assert junction.forwarder.running() == []


def test_a_worker_may_divide_its_steps_by_their_names_too() -> None:
    junction = Junction()
    junction.worker.by_step["Go"] = "express"
    lane = junction.lane("express")
    junction.send(to="oslo")
    junction.turn()
    assert len(lane.take(10, 0)) == 1


def test_a_step_whose_lane_has_no_consumer_is_kept_until_one_comes() -> None:
    junction = Junction()
    attempt = junction.send(to="oslo")
    junction.turn()
    assert (junction.forwarder.kept(), junction.subscription.held()) == ([attempt], [attempt])
    lane = junction.lane("oslo")
    junction.turn()
    assert lane.take(10, 0) == []
    junction.clock.time += AGAIN
    junction.turn()
    assert len(lane.take(10, 0)) == 1
    assert junction.forwarder.kept() == []


def test_a_change_of_lanes_is_heeded_at_once() -> None:
    junction = Junction()
    junction.send(to="oslo")
    junction.turn()
    lane = junction.lane("oslo")
    junction.served.add("oslo")
    junction.forwarder.reconsider()
    junction.turn()
    assert len(lane.take(10, 0)) == 1


def test_a_lane_of_this_process_whose_queue_was_deleted_is_tried_again() -> None:
    junction = Junction()
    junction.served.add("oslo")
    attempt = junction.send(to="oslo")
    junction.turn()
    assert junction.forwarder.kept() == [attempt]


def test_a_copy_of_what_is_kept_is_dropped() -> None:
    junction = Junction()
    attempt = junction.send(to="oslo")
    junction.turn()
    junction.send(attempt, to="oslo")
    junction.turn()
    assert (junction.forwarder.kept(), junction.subscription.held()) == ([attempt], [attempt])


def test_what_a_lost_connection_had_brought_is_forwarded_once() -> None:
    junction = Junction()
    junction.send(to="oslo")
    junction.turn()
    junction.line.lose()
    lane = junction.lane("oslo")
    junction.clock.time += AGAIN
    junction.turn()
    junction.turn()
    assert len(lane.take(10, 0)) == 1
    assert junction.subscription.wrongly == []


def test_what_could_not_be_published_is_tried_when_the_bus_is_back() -> None:
    junction = Junction()
    lane = junction.lane("oslo")
    junction.send(to="oslo")
    junction.line.away = True
    with pytest.raises(BusUnavailable):
        junction.turn()
    junction.line.away = False
    junction.turn()
    assert len(lane.take(10, 0)) == 1


def test_of_too_many_the_oldest_are_dropped() -> None:
    """The core dispatches again what it awaits."""
    junction = Junction()
    sent = [junction.send(to="oslo") for _ in range(MOST_KEPT + 3)]
    junction.turn()
    assert junction.forwarder.kept() == sent[3:]
    assert len(junction.subscription.held()) == MOST_KEPT


def test_a_step_whose_parameters_do_not_fit_fails_without_a_lane() -> None:
    junction = Junction()
    junction.send(too="oslo")
    junction.turn()
    (why,) = junction.failures()
    assert why is not None and why.startswith("rail:Go: ")
    assert (junction.forwarder.kept(), junction.subscription.held()) == ([], [])


@pytest.mark.parametrize("lane", ["", "a b", "ä", "x" * 201, "a\n"])
def test_a_lane_that_no_queue_can_have_fails_the_step(lane: str) -> None:
    junction = Junction()
    junction.send(to=lane)
    junction.turn()
    (why,) = junction.failures()
    assert why is not None and "is not 1 to 200 characters" in why


def test_a_worker_that_cannot_name_the_lane_fails_the_step() -> None:
    junction = Junction()
    junction.worker.breaks = ValueError("no map")
    junction.send(to="oslo")
    junction.turn()
    assert len(junction.failures()) == 1
    assert junction.subscription.held() == []


def test_a_name_of_a_queue_has_255_characters_at_most() -> None:
    control = "re.control.01M8ZZZZZZZZZZZZZZZZZZZZZZ." + "c" * 30
    assert lane_problem("x" * (254 - len(control)), control) == ""
    assert "is 1 characters too long" in lane_problem("x" * (255 - len(control)), control)


def test_at_a_stop_what_is_kept_goes_back() -> None:
    junction = Junction()
    attempt = junction.send(to="oslo")
    junction.turn()
    junction.forwarder.drain()
    assert junction.forwarder.idle
    junction.send(to="oslo")
    junction.turn()
    junction.forwarder.close()
    other = junction.bus.subscribe(["worker.rail"], 10)
    assert other.take(10, 0)[0].message.id == attempt
    assert len(junction.forwarder.kept()) == 0
