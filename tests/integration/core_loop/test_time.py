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
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    _save(harness)


def _save(harness: CoreHarness) -> None:
    harness.save(simple("noop:Hang", "noop:B"))
    harness.save(simple({"noop:Hang": {}, "idempotent": True}), "again")
    harness.save(simple({"noop:Hang": {}, "timeout": 5}, "noop:B"), "short")
    harness.save(simple({"noop:Hang": {}, "timeout": 5, "retries": 1}), "twice")


def _begin(harness: CoreHarness, playbook: str = "p1") -> None:
    harness.ask("d1", playbook)
    harness.settle()


# -- the sweeper -------------------------------------------------------------------------------------


def test_a_step_that_does_not_end_in_its_time_fails_its_deployment(harness: CoreHarness) -> None:
    _begin(harness, "short")
    harness.wait(4.9)
    assert harness.state().ended is None
    harness.wait(0.1)
    assert harness.statuses() == ["timed_out", "skipped"]
    assert harness.state().reason.endswith("it did not end within its timeout of 5 s")
    assert harness.world.stopped == ["d1/0/1"]


def test_a_step_with_retries_is_begun_again_after_its_time(harness: CoreHarness) -> None:
    _begin(harness, "twice")
    harness.wait(5)
    harness.wait(5)
    assert harness.world.begun_times("d1") == {"d1/0/1": 1, "d1/0/2": 1}
    assert harness.statuses() == ["timed_out"]


def test_a_dispatch_that_nobody_answers_is_repeated_with_the_same_id(harness: CoreHarness) -> None:
    """The queues were emptied: the sweeper brings all of it back."""
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker._subscription.ack(harness.worker._subscription.take(10, 0))
    for _ in range(2):
        harness.clock.pass_seconds(30)
        assert harness.sweeper.turn() == 1
        harness.core.turn(0)
        assert harness.sweeper.turn() == 0
    dispatches = harness.worker._subscription.take(10, 0)
    assert [one.message.id for one in dispatches] == ["d1/0/1", "d1/0/1"]
    harness.clock.pass_seconds(30)
    assert harness.sweeper.turn() == 0  # after 30 s, after 60, then after 120
    harness.clock.pass_seconds(30)
    assert harness.sweeper.turn() == 1


def test_a_step_that_no_worker_begins_in_time_fails_its_deployment(build: Build) -> None:
    harness = build(around=EnginePolicy(patience=40))
    _save(harness)
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker._subscription.take(10, 0)  # a worker that says nothing
    for _ in range(5):
        harness.clock.pass_seconds(10)
        harness.sweeper.turn()
        harness.core.turn(0)
    assert harness.statuses() == ["timed_out", "skipped"]
    assert "no worker started it within 40 s" in harness.state().reason


def test_a_step_that_hears_no_cancel_is_lost_after_its_grace(harness: CoreHarness) -> None:
    _begin(harness)
    harness.worker.close()
    harness.cancel()
    harness.settle()
    harness.clock.pass_seconds(1)
    harness.settle()
    harness.wait(28.9)
    assert harness.state().status == "cancelling"
    harness.wait(0.2)
    assert (harness.state().status, harness.statuses()) == ("cancelled", ["lost", "skipped"])


def test_a_deployment_is_asked_after_once_in_five_seconds(harness: CoreHarness) -> None:
    _begin(harness, "short")
    harness.clock.pass_seconds(6)
    assert [harness.sweeper.turn() for _ in range(3)] == [1, 0, 0]
    harness.clock.pass_seconds(5)
    assert harness.sweeper.turn() == 1
    harness.clock.pass_seconds(-1)
    assert harness.sweeper.turn() == 1  # the clock jumped: nobody knows how long it will be


def test_a_sweeper_that_could_not_publish_asks_again_at_once(harness: CoreHarness) -> None:
    _begin(harness, "short")
    harness.clock.pass_seconds(6)
    sweeper = Sweeper(harness.faults.bus(harness.bus), harness.store, harness.clock)
    harness.faults.fail(1, after=False)
    with pytest.raises(Exception, match="does not answer"):
        sweeper.turn()
    assert sweeper.turn() == 1


def test_time_that_comes_for_nothing_changes_nothing(harness: CoreHarness) -> None:
    _begin(harness)
    before = harness.kinds()
    harness.say("d1", "due")
    harness.settle()
    assert harness.kinds() == before


def test_a_clock_that_jumps_ends_nothing_wrongly(harness: CoreHarness) -> None:
    _begin(harness)
    harness.wait(-3600)
    harness.worker.end("d1/0/1", {"status": "completed"})
    harness.settle()
    assert harness.state().status == "completed"


# -- a restart ---------------------------------------------------------------------------------------


def test_a_step_that_was_begun_is_lost_at_a_restart_and_says_so(harness: CoreHarness) -> None:
    _begin(harness)
    assert harness.restart() == 1
    harness.settle()
    assert harness.statuses() == ["lost", "skipped"]
    assert harness.state().reason == (
        "noop:Hang on web01 lost: lost contact with worker w1 while the step was running; whether it finished is unknown"
    )
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}


def test_a_step_that_was_claimed_and_not_granted_for_all_we_know_is_lost_too(harness: CoreHarness) -> None:
    """The grant's record was written, its message died with the process."""
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker.turn()
    harness.core.turn(0)
    harness.restart()
    harness.settle()
    assert (harness.statuses(), harness.world.begun) == (["lost", "skipped"], [])


def test_a_step_that_nobody_had_claimed_is_dispatched_again_as_the_same_attempt(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.restart()
    harness.settle()
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}
    assert harness.state().steps[0].status == "started"


def test_a_step_that_may_be_repeated_is_begun_three_times_in_all(harness: CoreHarness) -> None:
    _begin(harness, "again")
    for attempt in (2, 3):
        assert harness.restart() == 1
        harness.settle()
        assert harness.state().steps[0].attempt == attempt
    harness.restart()
    harness.settle()
    assert harness.statuses() == ["lost"]
    assert [one.attempt for one in harness.records() if isinstance(one, Lost)] == [1, 2, 3]
    assert harness.world.begun_times("d1") == {f"d1/0/{attempt}": 1 for attempt in (1, 2, 3)}
    assert harness.restart() == 0


def test_a_restart_in_the_middle_of_a_restart_loses_nothing_twice(harness: CoreHarness) -> None:
    _begin(harness, "again")
    harness.restart()
    harness.core.turn(0)  # attempt 2 is in the journal, and dies unheard of
    harness.restart()
    harness.settle()
    assert harness.state().steps[0].attempt == 2
    assert harness.world.begun_times("d1") == {"d1/0/1": 1, "d1/0/2": 1}


def test_nothing_is_gone_on_with_where_nothing_was_left(harness: CoreHarness) -> None:
    assert harness.restart() == 0
    harness.settle()
    assert harness.dead() == []


def test_deployments_that_waited_for_the_core_when_it_died_were_never_answered(harness: CoreHarness) -> None:
    harness.ask("d1")
    assert harness.restart() == 0
    harness.settle()
    assert (harness.answers(), harness.store.entries("d1")) == ([], [])


def test_a_request_that_expired_while_the_store_was_away_begins_nothing(harness: CoreHarness) -> None:
    """Nothing starts behind a caller's back."""
    harness.ask("d1", expires=10_000)
    harness.faults.before = _away
    assert harness.turn() == 1
    harness.faults.heal()
    harness.clock.pass_seconds(11)
    harness.settle()
    assert harness.store.entries("d1") == []


def _away(name: str, number: int) -> None:
    if name == "append":
        raise StoreUnavailable()


def test_events_are_spread_over_the_reply_queues_by_their_deployment(harness: CoreHarness) -> None:
    queues = {m.reply_queue(f"d{number}") for number in range(200)}
    assert queues == set(m.reply_queues())
