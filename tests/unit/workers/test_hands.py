"""Long steps, stopping, and how much a worker is handed meanwhile. No thread, no waiting: the clock is moved by hand."""

from __future__ import annotations

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import EVENT
from re_workers.in_flight import EXTEND, LONG
from tests.unit.workers.desk import Desk, Parked, Work

QUEUE = "worker.work"


@pytest.fixture
def parked() -> Parked:
    return Parked()


@pytest.fixture
def desk(parked: Parked) -> Desk:
    return Desk(Work(), slots=2, spawn=parked)


def _later(desk: Desk, milliseconds: int) -> None:
    desk.clock.time += milliseconds
    desk.turn()
    desk.turn()


def test_a_step_is_acked_after_ten_minutes_though_it_runs_and_heartbeats_still_name_it(desk: Desk) -> None:
    attempt = desk.send(timeout="7200")
    desk.turn()
    _later(desk, LONG - 1)
    assert desk.subscription.held() == [attempt]
    _later(desk, 1)
    assert desk.subscription.held() == []
    assert desk.consumer.running() == [attempt]
    assert desk.unsettled() == 0


def test_its_outcome_is_told_all_the_same(desk: Desk, parked: Parked) -> None:
    desk.send(timeout="7200")
    desk.turn()
    _later(desk, LONG)
    parked.run()
    desk.turn()
    assert desk.words() == ["started", "completed"]
    assert desk.consumer.running() == []
    assert desk.subscription.wrongly == []


def test_meanwhile_it_is_handed_only_as_much_as_there_are_hands_for(desk: Desk, parked: Parked) -> None:
    first = desk.send(timeout="7200")
    desk.turn()
    _later(desk, LONG)
    others = [desk.send(timeout="7200") for _ in range(3)]
    _later(desk, EXTEND)
    assert desk.consumer.running() == [first, others[0]]
    assert desk.waits() == 2
    parked.work.pop(1)()  # the second one
    desk.turn()
    _later(desk, 0)
    assert desk.consumer.running() == [first, others[1]]
    assert desk.waits() == 1
    parked.run()  # the long one
    desk.turn()
    _later(desk, EXTEND)
    assert desk.consumer.running() == [others[1], others[2]]


def test_with_every_hand_full_of_long_steps_it_is_handed_nothing(desk: Desk, parked: Parked) -> None:
    long = [desk.send(timeout="7200") for _ in range(2)]
    desk.turn()
    _later(desk, LONG)
    assert desk.subscription.allowed == [(QUEUE, 0)]
    desk.send()
    _later(desk, EXTEND)
    assert desk.consumer.running() == long
    assert desk.waits() == 1
    parked.run()
    desk.turn()
    _later(desk, EXTEND)
    assert len(desk.consumer.running()) == 2


def test_once_nothing_is_in_hand_prefetch_does_it_again(desk: Desk, parked: Parked) -> None:
    desk.send(timeout="7200")
    desk.turn()
    _later(desk, LONG)
    parked.run()
    _later(desk, 0)
    assert desk.subscription.allowed == [(QUEUE, 1), (QUEUE, 2)]
    for _ in range(5):
        desk.send("Quick")
    _later(desk, LONG)
    for _ in range(3):
        desk.turn()
    assert desk.words().count("completed") == 6
    assert len(desk.subscription.allowed) == 2


def test_a_copy_of_a_long_step_is_acked_and_not_begun(desk: Desk, parked: Parked) -> None:
    attempt = desk.send(timeout="7200")
    desk.turn()
    _later(desk, LONG)
    desk.send(attempt=attempt)
    _later(desk, EXTEND)
    assert desk.subscription.held() == []
    assert len(parked.work) == 1


def test_a_long_step_that_comes_again_on_a_new_connection_is_held_anew(desk: Desk, parked: Parked) -> None:
    attempt = desk.send(timeout="72000")
    desk.turn()
    desk.line.lose()
    _later(desk, EXTEND)
    assert desk.subscription.held() == [attempt]
    _later(desk, LONG)
    assert desk.subscription.held() == []
    desk.line.lose()
    _later(desk, EXTEND)
    assert (desk.consumer.running(), len(parked.work)) == ([attempt], 1)


def test_a_stopping_worker_takes_nothing_more_and_holds_nothing_that_others_could_do(desk: Desk) -> None:
    running = desk.send()
    desk.turn()
    desk.consumer.drain()
    desk.send()
    desk.turn()
    assert desk.subscription.held() == [running]
    desk.line.lose()
    desk.turn()
    desk.turn()
    assert desk.waits() + len(desk.subscription.held()) == 2
    assert len(desk.consumer.running()) == 1


def test_a_claim_that_waits_at_the_stop_is_not_held_any_longer(desk: Desk) -> None:
    desk.send(grant=True)
    desk.turn()
    desk.consumer.drain()
    desk.turn()
    assert [one.headers.get(EVENT) for one in desk.heard()] == [None, "declined"]
    assert desk.subscription.held() == []
    assert desk.consumer.idle


def test_what_could_not_be_said_at_the_end_can_be_named(desk: Desk, parked: Parked) -> None:
    attempt = desk.send()
    desk.turn()
    parked.run()
    desk.line.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            desk.turn()
    assert not desk.consumer.idle
    assert desk.consumer.unsaid() == [f"{attempt}/outcome/W.1"]
