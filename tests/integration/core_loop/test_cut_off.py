"""What an error cuts off between journal and bus is finished before anything new begins, and told once."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from re_core.errors import BusUnavailable, StoreRefused, StoreUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.wire import strict_json
from re_core.wire.dead_letters import REASON
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death

AROUND = EnginePolicy(notify={phase: {"console": ("ops",)} for phase in ("started", "completed", "failed")})


@pytest.fixture
def loud(build: Build) -> CoreHarness:
    """A harness that tells of every start and end."""
    made = build(around=AROUND)
    made.save(simple("noop:A"))
    made.save(simple("noop:Hang"), "hangs")
    made.save(simple({"ghost:Do": {}}, "noop:B"), "ghostly")
    return made


def _fail(harness: CoreHarness, name: str, after: bool) -> None:
    """The next call of that name fails."""
    left = [name]

    def check(called: str, number: int) -> None:
        if left and called == name:
            left.pop()
            raise BusUnavailable() if name == "publish" else StoreUnavailable()

    if after:
        harness.faults.after = check
    else:
        harness.faults.before = check


@pytest.mark.parametrize("name", ["append", "publish", "ack"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_people_hear_once_of_a_start_whose_call_failed(loud: CoreHarness, name: str, after: bool) -> None:
    _fail(loud, name, after)
    loud.ask("d1")
    loud.settle()
    assert loud.world.told == {"d1/started/console": 1, "d1/completed/console": 1}
    assert set(loud.answers()) == {("d1", "")}


def test_who_cancelled_hears_yes_though_the_deployment_ended_with_that(loud: CoreHarness) -> None:
    """Judged again, the cancel would be refused: the deployment is cancelled by then."""
    loud.ask("d1", "hangs")
    loud.core.turn(0)
    loud.probe.hear()
    _fail(loud, "publish", after=False)
    loud.cancel()
    loud.settle()
    assert loud.state().status == "cancelled"
    first, *_ = [strict_json.loads(one.body) for one in loud.probe.hear()]
    assert first == {"accepted": True}


def test_an_entry_that_was_not_stored_is_not_stored_later_behind_the_events_back(loud: CoreHarness) -> None:
    loud.ask("d1", expires=10_000)
    _fail(loud, "append", after=False)
    assert loud.turn() == 1
    loud.clock.pass_seconds(11)  # who asked is gone
    loud.settle()
    assert (loud.store.entries("d1"), loud.world.told) == ([], {})


def test_an_entry_that_a_newer_core_went_on_with_is_left_to_it(
    loud: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud.ask("d1", expires=10_000)
    _fail(loud, "append", after=True)
    assert loud.turn() == 1
    loud.clock.pass_seconds(11)

    def newer(deployment: str, after: int = 0) -> Any:
        raise StoreRefused("journal entry d1:000002 has format 2")

    with monkeypatch.context() as patch:
        patch.setattr(loud.store, "entries", newer)
        assert loud.core.turn(0) == 0
    assert loud.world.told == {}


def test_a_store_that_is_still_away_is_asked_again(loud: CoreHarness) -> None:
    loud.ask("d1")
    _fail(loud, "append", after=True)
    assert loud.turn() == 1
    _fail(loud, "entries", after=False)
    assert loud.turn() == 1
    loud.settle()
    assert loud.world.told == {"d1/started/console": 1, "d1/completed/console": 1}


def test_what_was_stored_before_a_rival_was_noticed_is_told(build: Build) -> None:
    """Two deployments in one batch: one is new, the other one's append is lost, and then the store is away."""
    harness = build(around=AROUND, sequencers=2)
    harness.save(simple("noop:A"))
    first, second = harness.cores
    harness.ask("d1")
    harness.ask("d1")
    harness.ask("d2")
    harness.ask("d2")
    first._subscription.take(0, 0)
    assert first.turn(0) == 2
    _fail(harness, "entries", after=False)
    with pytest.raises(StoreUnavailable):
        second.turn(0)
    harness.settle()
    assert [harness.state(one).status for one in ("d1", "d2")] == ["completed", "completed"]
    assert set(harness.world.told.values()) == {1} and len(harness.world.told) == 4


def test_a_refusal_is_said_though_its_batch_fails(loud: CoreHarness) -> None:
    """Its message is a dead letter by then, and does not come again."""
    loud.ask("d1", body=b"bad")
    loud.ask("d2")
    _fail(loud, "append", after=False)
    loud.settle()
    assert loud.answers() == [("d2", ""), (None, "bad-message")]
    assert [one.message.headers[REASON] for one in loud.dead()] == ["bad-message"]


def test_a_step_that_nobody_offers_fails_though_the_next_publish_does_too(loud: CoreHarness) -> None:
    loud.ask("d1", "ghostly")
    loud.core.turn(0)
    _fail(loud, "append", after=True)
    loud.settle()
    assert loud.statuses() == ["failed", "skipped"]
    assert loud.world.told == {"d1/started/console": 1, "d1/failed/console": 1}


def test_a_notification_that_nobody_sends_is_a_dead_letter_though_the_bus_fails(build: Build) -> None:
    harness = build(around=AROUND, transports=())
    harness.save(simple("noop:A"))
    harness.ask("d1")
    calls = iter([None, BusUnavailable()])

    def check(called: str, number: int) -> None:
        error = next(calls, None) if called == "publish" else None
        if error is not None:
            raise error

    harness.faults.before = check  # the dead letter's own publish fails
    harness.settle()
    assert {one.message.headers["re-dead-id"] for one in harness.dead()} == {
        "d1/started/console",
        "d1/completed/console",
    }


def test_what_the_core_finds_out_itself_is_carried_out_before_its_cause_is_acknowledged(loud: CoreHarness) -> None:
    """A crash in between brings the cause again, and so everything that follows."""
    loud.ask("d1", "ghostly")

    def die(called: str, number: int) -> None:
        if called == "ack":
            raise Death

    loud.faults.before = die
    with pytest.raises(Death):
        loud.core.turn(0)
    assert loud.statuses() == ["failed", "skipped"]


# -- the log -----------------------------------------------------------------------------------------


def test_one_search_by_the_deployments_id_finds_its_story(loud: CoreHarness, caplog: pytest.LogCaptureFixture) -> None:
    loud.save(simple({"noop:Hang": {}}, "noop:B"), "told")
    with caplog.at_level(logging.DEBUG):
        loud.ask("d1", "told", headers={"re-user": "ann", "re-source": "10.0.0.1"})
        loud.settle()
        loud.cancel(user="bob", reason="wrong day")
        loud.settle()
    story: list[Any] = [one for one in caplog.records if getattr(one, "deployment_id", "") == "d1"]
    actions = [one.action for one in story]
    assert actions == ["accepted", "dispatched", "started", "cancel_requested", "failed", "skipped", "ended"]
    assert [one.levelname for one in story] == ["INFO", "DEBUG", "DEBUG", "INFO", "INFO", "DEBUG", "INFO"]
    said = {one.action: one.getMessage() for one in story}
    assert said["accepted"] == "deployment of inception / told accepted, 2 steps, requested by ann"
    assert said["failed"] == "noop:Hang on web01 failed: cancelled"
    assert said["ended"] == "deployment cancelled: cancelled by bob: wrong day"
    started = next(one for one in story if one.action == "started")
    assert (started.active_step, started.worker, started.user_id, started.source_ip) == (
        "noop:Hang",
        "w1",
        "ann",
        "10.0.0.1",
    )


def test_a_failure_that_stops_a_deployment_is_told_as_what_it_means(
    loud: CoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        loud.ask("d1", "ghostly")
        loud.settle()
    (said,) = (one.getMessage() for one in caplog.records if getattr(one, "action", "") == "block_draining")
    assert said.startswith("running steps finish, no new one starts: ")


@pytest.mark.parametrize(("level", "actions"), [(logging.INFO, ["accepted", "ended"]), (logging.WARNING, [])])
def test_what_is_as_ever_is_told_only_to_who_asks(
    loud: CoreHarness, caplog: pytest.LogCaptureFixture, level: int, actions: list[str]
) -> None:
    with caplog.at_level(level):
        loud.ask("d1")
        loud.settle()
    story: list[Any] = [one for one in caplog.records if getattr(one, "deployment_id", "") == "d1"]
    assert [one.action for one in story] == actions
