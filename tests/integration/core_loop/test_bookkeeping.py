"""Heartbeats in the registry, dead letters in the store, offers of those who live."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import StoreUnavailable, TransientError
from re_core.rows import WorkerRecord
from re_core.services.dead_letters import DeadLetterRecorder
from re_core.services.heartbeats import FORGET, Heartbeats
from re_core.wire import messages as m
from re_core.wire.dead_letters import REASON
from re_core.wire.messages import Message
from re_core.workforce.capabilities import FRESH, LiveOffers
from re_core.workforce.presence import BEAT, SILENT
from tests.factories import simple
from tests.integration.core_loop.core_harness import START, CoreHarness
from tests.integration.core_loop.watch import Watch


def _heartbeats(harness: CoreHarness) -> Heartbeats:
    harness.presence.next()  # the core has just sent its own
    return Heartbeats(
        harness.faults.bus(harness.bus), harness.faults.store(harness.store), harness.clock, harness.presence
    )


def _drain(consumer: Heartbeats) -> int:
    """All that there is; how many heartbeats that was."""
    return sum(iter(lambda: consumer.turn(0), 0))


def _dead_letters(harness: CoreHarness) -> DeadLetterRecorder:
    return DeadLetterRecorder(harness.faults.bus(harness.bus), harness.faults.store(harness.store), harness.clock)


def _beat(
    harness: CoreHarness,
    worker: str = "w",
    offers: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> None:
    body = {"worker": worker, "slots": 2, "offers": offers or {}, "running": [], **more}
    harness.bus.publish([Message("heartbeat", m.encode(body), f"{worker}/beat", headers=headers or {})])


def _register(harness: CoreHarness, worker: str, offers: dict[str, Any]) -> None:
    """One heartbeat, written down."""
    consumer = _heartbeats(harness)
    _beat(harness, worker, offers)
    consumer.turn(0)
    consumer.close()


# -- heartbeats --------------------------------------------------------------------------------------


def test_a_heartbeat_is_what_the_registry_knows_of_a_worker(harness: CoreHarness) -> None:
    consumer = _heartbeats(harness)
    _beat(harness, "w1", {"noop:*": {}}, running=["d1/0/1"])
    _beat(harness, "w2")
    _beat(harness, "w2", slots=5, degraded={"irc": "away"})
    assert _drain(consumer) == 3
    workers = {one.id: one for one in harness.store.workers()}
    assert (workers["w1"].offers, workers["w1"].running, workers["w1"].seen) == ({"noop:*": {}}, ("d1/0/1",), START)
    assert (workers["w2"].slots, workers["w2"].degraded, workers["w1"].degraded) == (5, {"irc": "away"}, {})


def test_a_heartbeat_that_is_none_is_a_dead_letter(harness: CoreHarness) -> None:
    consumer = _heartbeats(harness)
    _beat(harness, "w1", slots=0)
    _beat(harness, "w2")
    assert _drain(consumer) == 2
    assert [one.message.headers[REASON] for one in harness.dead()] == ["bad-message"]
    assert [one.id for one in harness.store.workers()] == ["w2"]


def test_a_worker_that_says_that_it_leaves_is_forgotten_at_once(harness: CoreHarness) -> None:
    consumer = _heartbeats(harness)
    _beat(harness, "stays")
    _beat(harness, "leaves")
    _beat(harness, "leaves", headers={m.EVENT: m.BYE})
    _beat(harness, "left something", headers={m.EVENT: m.BYE}, running=["d1/0/1"])
    _drain(consumer)
    assert sorted(one.id for one in harness.store.workers()) == ["left something", "stays"]


def test_a_worker_that_is_silent_for_a_day_is_forgotten(harness: CoreHarness) -> None:
    _register(harness, "old", {})
    harness.clock.pass_seconds(FORGET / 1000 + 1)
    _register(harness, "new", {})
    Watch(harness).seconds(BEAT // 1000)  # a core's own heartbeat clears up
    assert [one.id for one in harness.store.workers() if not one.beat] == ["new"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 8))
def test_a_call_that_fails_once_loses_no_heartbeat(harness: CoreHarness, number: int, after: bool) -> None:
    consumer = _heartbeats(harness)
    harness.faults.fail(number, after)
    _beat(harness, "w1")
    _beat(harness, "bad", slots="x")
    _beat(harness, "w2")
    for _ in range(6):
        try:
            consumer.turn(0)
        except TransientError:
            continue
    assert sorted(one.id for one in harness.store.workers()) == ["w1", "w2"]
    consumer.close()
    assert harness.bus.subscribe([m.HEARTBEAT], 10).take(10, 0) == []


# -- dead letters ------------------------------------------------------------------------------------


def test_dead_letters_lie_in_the_store_whole(harness: CoreHarness) -> None:
    harness.bus.publish([Message("job.create", b"\xff", "x", "c", "r", {"re-user": "ann"}, "app")])
    harness.core.turn(0)
    consumer = _dead_letters(harness)
    assert consumer.turn(0) == 1
    (letter,) = harness.store.dead_letters(10)
    assert (letter.body, letter.queue, letter.reason) == (b"\xff", m.JOB_CREATE, "bad-message")
    assert letter.properties["message_id"] == "x" and letter.properties["headers"] == {"re-user": "ann"}
    assert harness.dead() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", range(1, 5))
def test_a_call_that_fails_once_loses_no_dead_letter(harness: CoreHarness, number: int, after: bool) -> None:
    for one in range(2):
        harness.ask(f"d{one}", body=b"bad")
        harness.core.turn(0)
        harness.clock.pass_seconds(1)
    consumer = _dead_letters(harness)
    harness.faults.fail(number, after)
    for _ in range(3):
        try:
            consumer.turn(0)
        except TransientError:
            continue
    assert sorted(one.properties["message_id"] for one in harness.store.dead_letters(10)) == ["d0", "d1"]
    consumer.close()
    assert harness.dead() == []


# -- offers ------------------------------------------------------------------------------------------


def test_offers_are_those_of_workers_that_live(harness: CoreHarness) -> None:
    offers = LiveOffers(harness.roll, harness.clock)

    watch = Watch(harness)
    _register(harness, "w1", {"a:One": {"timeout": 1}})
    watch.seconds(20)
    _register(harness, "w2", {"b:Two": {}})
    watch.second()
    assert offers.read() == {"a:One": {"timeout": 1}, "b:Two": {}}
    watch.seconds((SILENT + 2 * BEAT) // 1000 - 20)
    assert offers.read() == {"b:Two": {}}


def test_a_core_that_was_away_gives_every_worker_its_time_again(harness: CoreHarness) -> None:
    offers = LiveOffers(harness.roll, harness.clock)
    _register(harness, "w1", {"a:One": {}})
    assert offers.read() == {"a:One": {}}
    harness.clock.pass_seconds(3600)
    Watch(harness).second()
    assert offers.read() == {"a:One": {}}


def test_a_worker_whose_core_has_another_time_is_heard_all_the_same(harness: CoreHarness) -> None:
    """What counts is that `seen` changes, and not what it says."""
    offers = LiveOffers(harness.roll, harness.clock)
    for number in range(60):
        harness.store.register(WorkerRecord("w1", 1, {"a:One": {}}, (), number))
        harness.clock.pass_seconds(1)
        assert offers.read() == {"a:One": {}}


def test_offers_are_read_once_a_second_and_counted_when_they_change(harness: CoreHarness) -> None:
    offers = LiveOffers(harness.roll, harness.clock)
    versions = []
    for _ in range(4):
        offers.read()
        versions.append(offers.version)
        harness.clock.pass_seconds(FRESH / 2000)
    _register(harness, "w1", {"a:One": {}})
    for _ in range(3):
        offers.read()
        versions.append(offers.version)
        harness.clock.pass_seconds(FRESH / 2000)
    assert versions == [0, 0, 0, 0, 1, 1, 1]
    assert harness.faults.calls["workers"] == 4


def test_offers_are_read_again_when_the_clock_jumps_back(harness: CoreHarness) -> None:
    offers = LiveOffers(harness.roll, harness.clock)
    offers.read()
    harness.clock.pass_seconds(-60)
    _register(harness, "w1", {"a:One": {}})
    assert offers.read() == {"a:One": {}}


def test_offers_that_could_not_be_read_are_read_at_the_next_try(harness: CoreHarness) -> None:
    """Else a deployment would be planned without its workers' word on what may be repeated."""
    _register(harness, "w1", {"noop:A": {"idempotent": True, "timeout": 7}})
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.faults.before = _unread
    assert harness.turn() == 1
    harness.faults.heal()
    harness.core.turn(0)
    spec = harness.state().plan.steps[0].spec
    assert (spec.idempotent, spec.timeout) == (True, 7)


def _unread(name: str, number: int) -> None:
    if name == "workers":
        raise StoreUnavailable()


def test_a_worker_that_comes_later_changes_the_plans_made_from_then_on(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.settle()
    _register(harness, "w1", {"noop:*": {"retries": 2}})
    harness.clock.pass_seconds(2)
    harness.ask("d2")
    harness.settle()
    assert [harness.state(one).plan.steps[0].spec.retries for one in ("d1", "d2")] == [0, 2]


def test_a_dead_letter_that_the_broker_made_is_as_old_as_its_storing_and_not_pruned_at_once(
    harness: CoreHarness,
) -> None:
    recorder = _dead_letters(harness)
    headers = {"x-first-death-queue": "re.replies.1", "x-first-death-reason": "delivery_limit"}
    harness.bus.publish([Message(m.DEAD, b"x", "d1/0/1/word", headers=headers, direct=True)])
    recorder.turn(0)
    recorder.close()
    [letter] = harness.store.dead_letters(10)
    assert letter.at == harness.clock.now()
    assert harness.store.old_dead_letters(harness.clock.now(), 10) == []
