"""What is due, what a restart leaves, and what the sweeper says of both."""

from __future__ import annotations

import pytest

from re_core.deployment.records import Lost
from re_core.errors import StoreUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.services.sweeper import Sweeper
from re_core.wire import messages as m
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    _save(house)


def _save(house: House) -> None:
    house.save(simple("noop:Hang", "noop:B"))
    house.save(simple({"noop:Hang": {}, "idempotent": True}), "again")
    house.save(simple({"noop:Hang": {}, "timeout": 5}, "noop:B"), "short")
    house.save(simple({"noop:Hang": {}, "timeout": 5, "retries": 1}), "twice")


def _begin(house: House, playbook: str = "p1") -> None:
    house.ask("d1", playbook)
    house.settle()


# -- the sweeper -------------------------------------------------------------------------------------


def test_a_step_that_does_not_end_in_its_time_fails_its_deployment(house: House) -> None:
    _begin(house, "short")
    house.wait(4.9)
    assert house.state().ended is None
    house.wait(0.1)
    assert house.statuses() == ["timed_out", "skipped"]
    assert house.state().reason.endswith("it did not end within its timeout of 5 s")
    assert house.world.stopped == ["d1/0/1"]


def test_a_step_with_retries_is_begun_again_after_its_time(house: House) -> None:
    _begin(house, "twice")
    house.wait(5)
    house.wait(5)
    assert house.world.begun_times("d1") == {"d1/0/1": 1, "d1/0/2": 1}
    assert house.statuses() == ["timed_out"]


def test_a_dispatch_that_nobody_answers_is_repeated_with_the_same_id(house: House) -> None:
    """The queues were emptied: the sweeper brings all of it back."""
    house.ask("d1")
    house.core.turn(0)
    house.worker._subscription.ack(house.worker._subscription.take(10, 0))
    for _ in range(2):
        house.clock.pass_seconds(30)
        assert house.sweeper.turn() == 1
        house.core.turn(0)
        assert house.sweeper.turn() == 0
    dispatches = house.worker._subscription.take(10, 0)
    assert [one.message.id for one in dispatches] == ["d1/0/1", "d1/0/1"]
    house.clock.pass_seconds(30)
    assert house.sweeper.turn() == 0  # after 30 s, after 60, then after 120
    house.clock.pass_seconds(30)
    assert house.sweeper.turn() == 1


def test_a_step_that_no_worker_begins_in_time_fails_its_deployment(build: Build) -> None:
    house = build(around=EnginePolicy(patience=40))
    _save(house)
    house.ask("d1")
    house.core.turn(0)
    house.worker._subscription.take(10, 0)  # a worker that says nothing
    for _ in range(5):
        house.clock.pass_seconds(10)
        house.sweeper.turn()
        house.core.turn(0)
    assert house.statuses() == ["timed_out", "skipped"]
    assert "no worker began it within 40 s" in house.state().reason


def test_a_step_that_hears_no_cancel_is_lost_after_its_grace(house: House) -> None:
    _begin(house)
    house.worker.close()
    house.cancel()
    house.settle()
    house.clock.pass_seconds(1)
    house.settle()
    house.wait(28.9)
    assert house.state().status == "cancelling"
    house.wait(0.2)
    assert (house.state().status, house.statuses()) == ("cancelled", ["lost", "skipped"])


def test_a_deployment_is_asked_after_once_in_five_seconds(house: House) -> None:
    _begin(house, "short")
    house.clock.pass_seconds(6)
    assert [house.sweeper.turn() for _ in range(3)] == [1, 0, 0]
    house.clock.pass_seconds(5)
    assert house.sweeper.turn() == 1
    house.clock.pass_seconds(-1)
    assert house.sweeper.turn() == 1  # the clock jumped: nobody knows how long it will be


def test_a_sweeper_that_could_not_publish_asks_again_at_once(house: House) -> None:
    _begin(house, "short")
    house.clock.pass_seconds(6)
    sweeper = Sweeper(house.faults.bus(house.bus), house.store, house.clock)
    house.faults.fail(1, after=False)
    with pytest.raises(Exception, match="does not answer"):
        sweeper.turn()
    assert sweeper.turn() == 1


def test_time_that_comes_for_nothing_changes_nothing(house: House) -> None:
    _begin(house)
    before = house.kinds()
    house.say("d1", "due")
    house.settle()
    assert house.kinds() == before


def test_a_clock_that_jumps_ends_nothing_wrongly(house: House) -> None:
    _begin(house)
    house.wait(-3600)
    house.worker.end("d1/0/1", {"status": "completed"})
    house.settle()
    assert house.state().status == "completed"


# -- a restart ---------------------------------------------------------------------------------------


def test_a_step_that_was_begun_is_lost_at_a_restart_and_says_so(house: House) -> None:
    _begin(house)
    assert house.restart() == 1
    house.settle()
    assert house.statuses() == ["lost", "skipped"]
    assert house.state().reason == (
        "noop:Hang on web01 lost: lost contact with worker w1 while the step was running; whether it finished is unknown"
    )
    assert house.world.begun_times("d1") == {"d1/0/1": 1}


def test_a_step_that_was_claimed_and_not_granted_for_all_we_know_is_lost_too(house: House) -> None:
    """The grant's record was written, its message died with the process."""
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn()
    house.core.turn(0)
    house.restart()
    house.settle()
    assert (house.statuses(), house.world.begun) == (["lost", "skipped"], [])


def test_a_step_that_nobody_had_claimed_is_dispatched_again_as_the_same_attempt(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.restart()
    house.settle()
    assert house.world.begun_times("d1") == {"d1/0/1": 1}
    assert house.state().steps[0].status == "started"


def test_a_step_that_may_be_repeated_is_begun_three_times_in_all(house: House) -> None:
    _begin(house, "again")
    for attempt in (2, 3):
        assert house.restart() == 1
        house.settle()
        assert house.state().steps[0].attempt == attempt
    house.restart()
    house.settle()
    assert house.statuses() == ["lost"]
    assert [one.attempt for one in house.records() if isinstance(one, Lost)] == [1, 2, 3]
    assert house.world.begun_times("d1") == {f"d1/0/{attempt}": 1 for attempt in (1, 2, 3)}
    assert house.restart() == 0


def test_a_restart_in_the_middle_of_a_restart_loses_nothing_twice(house: House) -> None:
    _begin(house, "again")
    house.restart()
    house.core.turn(0)  # attempt 2 is in the journal, and dies unheard of
    house.restart()
    house.settle()
    assert house.state().steps[0].attempt == 2
    assert house.world.begun_times("d1") == {"d1/0/1": 1, "d1/0/2": 1}


def test_nothing_is_gone_on_with_where_nothing_was_left(house: House) -> None:
    assert house.restart() == 0
    house.settle()
    assert house.dead() == []


def test_deployments_that_waited_for_the_core_when_it_died_were_never_answered(house: House) -> None:
    house.ask("d1")
    assert house.restart() == 0
    house.settle()
    assert (house.answers(), house.store.entries("d1")) == ([], [])


def test_a_request_that_expired_while_the_store_was_away_begins_nothing(house: House) -> None:
    """Nothing starts behind a caller's back."""
    house.ask("d1", expires=10_000)
    house.faults.before = _away
    assert house.turn() == 1
    house.faults.heal()
    house.clock.pass_seconds(11)
    house.settle()
    assert house.store.entries("d1") == []


def _away(name: str, number: int) -> None:
    if name == "append":
        raise StoreUnavailable()


def test_events_are_spread_over_the_reply_queues_by_their_deployment(house: House) -> None:
    queues = {m.reply_queue(f"d{number}") for number in range(200)}
    assert queues == set(m.reply_queues())
