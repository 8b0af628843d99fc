"""Long steps, stopping, and how much a worker is handed meanwhile. No thread, no waiting: the clock is moved by hand."""

from __future__ import annotations

from re_core.wire.messages import EVENT
from re_workers.in_flight import EXTEND, LONG
from tests.unit.workers.worker_harness import Parked, WorkerHarness, end_while_the_bus_is_away

QUEUE = "worker.work"


def _later(harness: WorkerHarness, milliseconds: int) -> None:
    harness.clock.time += milliseconds
    harness.turn()
    harness.turn()


def test_a_step_is_acked_after_ten_minutes_though_it_runs_and_heartbeats_still_name_it(harness: WorkerHarness) -> None:
    attempt = harness.send(timeout="7200")
    harness.turn()
    _later(harness, LONG - 1)
    assert harness.subscription.held() == [attempt]
    _later(harness, 1)
    assert harness.subscription.held() == []
    assert harness.consumer.running() == [attempt]
    assert harness.unsettled() == 0


def test_its_outcome_is_told_all_the_same(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(timeout="7200")
    harness.turn()
    _later(harness, LONG)
    parked.run()
    harness.turn()
    assert harness.words() == ["started", "completed"]
    assert harness.consumer.running() == []
    assert harness.subscription.wrongly == []


def test_meanwhile_it_is_handed_only_as_much_as_there_are_hands_for(harness: WorkerHarness, parked: Parked) -> None:
    first = harness.send(timeout="7200")
    harness.turn()
    _later(harness, LONG)
    others = [harness.send(timeout="7200") for _ in range(3)]
    _later(harness, EXTEND)
    assert harness.consumer.running() == [first, others[0]]
    assert harness.waits() == 2
    parked.work.pop(1)()  # the second one
    harness.turn()
    _later(harness, 0)
    assert harness.consumer.running() == [first, others[1]]
    assert harness.waits() == 1
    parked.run()  # the long one
    harness.turn()
    _later(harness, EXTEND)
    assert harness.consumer.running() == [others[1], others[2]]


def test_with_every_hand_full_of_long_steps_it_is_handed_nothing(harness: WorkerHarness, parked: Parked) -> None:
    long = [harness.send(timeout="7200") for _ in range(2)]
    harness.turn()
    _later(harness, LONG)
    assert harness.subscription.allowed == [(QUEUE, 0)]
    harness.send()
    _later(harness, EXTEND)
    assert harness.consumer.running() == long
    assert harness.waits() == 1
    parked.run()
    harness.turn()
    _later(harness, EXTEND)
    assert len(harness.consumer.running()) == 2


def test_once_nothing_is_in_hand_prefetch_does_it_again(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(timeout="7200")
    harness.turn()
    _later(harness, LONG)
    parked.run()
    _later(harness, 0)
    assert harness.subscription.allowed == [(QUEUE, 1), (QUEUE, 2)]
    for _ in range(5):
        harness.send("Quick")
    _later(harness, LONG)
    for _ in range(3):
        harness.turn()
    assert harness.words().count("completed") == 6
    assert len(harness.subscription.allowed) == 2


def test_a_copy_of_a_long_step_is_acked_and_not_begun(harness: WorkerHarness, parked: Parked) -> None:
    attempt = harness.send(timeout="7200")
    harness.turn()
    _later(harness, LONG)
    harness.send(attempt=attempt)
    _later(harness, EXTEND)
    assert harness.subscription.held() == []
    assert len(parked.work) == 1


def test_a_long_step_that_comes_again_on_a_new_connection_is_held_anew(harness: WorkerHarness, parked: Parked) -> None:
    attempt = harness.send(timeout="72000")
    harness.turn()
    harness.line.lose()
    _later(harness, EXTEND)
    assert harness.subscription.held() == [attempt]
    _later(harness, LONG)
    assert harness.subscription.held() == []
    harness.line.lose()
    _later(harness, EXTEND)
    assert (harness.consumer.running(), len(parked.work)) == ([attempt], 1)


def test_a_stopping_worker_takes_nothing_more_and_holds_nothing_that_others_could_do(harness: WorkerHarness) -> None:
    running = harness.send()
    harness.turn()
    harness.consumer.drain()
    harness.send()
    harness.turn()
    assert harness.subscription.held() == [running]
    harness.line.lose()
    harness.turn()
    harness.turn()
    assert harness.waits() + len(harness.subscription.held()) == 2
    assert len(harness.consumer.running()) == 1


def test_a_claim_that_waits_at_the_stop_is_not_held_any_longer(harness: WorkerHarness) -> None:
    harness.send(grant=True)
    harness.turn()
    harness.consumer.drain()
    harness.turn()
    assert [one.headers.get(EVENT) for one in harness.heard()] == [None, "declined"]
    assert harness.subscription.held() == []
    assert harness.consumer.idle


def test_what_could_not_be_said_at_the_end_can_be_named(harness: WorkerHarness, parked: Parked) -> None:
    attempt = end_while_the_bus_is_away(harness, parked)
    assert not harness.consumer.idle
    assert harness.consumer.unsent() == [f"{attempt}/outcome/W.1"]
