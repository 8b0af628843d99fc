"""A caller that has stopped waiting gets no deployment (docs/wire-format.md, Deployment)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery
from re_core.sequencer.inbox import ASIDE
from re_core.wire import messages as m
from tests.factories import action, simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness

#: milliseconds that who asks waits
WAITS = 10_000


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))


def _received(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch, ago: float = 0.0) -> None:
    """Deliveries say when they came, as those of a broker do."""
    subscription: Any = harness.core._inbox.subscription
    real = subscription.take

    def take(limit: int, timeout: float) -> list[Delivery]:
        at = harness.clock.monotonic() - ago
        return [one._replace(received=at) for one in real(limit, timeout)]

    monkeypatch.setattr(subscription, "take", take)


def test_a_request_that_a_core_held_for_too_long_is_dropped_without_an_answer(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of it may have begun in time, and its caller may still wait: no answer is better than a wrong one."""
    _received(harness, monkeypatch, ago=WAITS / 1000 + 1)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.answers() == []
    assert harness.store.entries("d1") == []


def test_a_request_in_time_begins(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    _received(harness, monkeypatch, ago=WAITS / 1000 - 1)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.answers() == [("d1", "")]
    assert harness.state().status == "completed"


def test_a_deployment_that_was_written_too_late_ends_before_anything_is_sent(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store took longer than the caller waits."""
    _received(harness, monkeypatch)

    def slow(name: str, number: int) -> None:
        if name == "append" and not harness.store.entries("d1"):
            harness.clock.pass_seconds(WAITS / 1000 + 1)

    harness.faults.before = slow
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.state().status == "cancelled"
    assert "too late" in harness.state().reason
    assert harness.world.begun == []
    assert harness.answers() == []


def _write_late(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None) -> None:
    """The next first entry is written after its caller has stopped waiting; `then` happens right behind that."""
    _received(harness, monkeypatch)

    def slow(name: str, number: int) -> None:
        if name == "append" and not harness.store.entries("d1"):
            harness.clock.pass_seconds(WAITS / 1000 + 1)

    def written(name: str, number: int) -> None:
        if name == "append":
            harness.faults.heal()
            then()

    harness.faults.before, harness.faults.after = slow, written


def test_nothing_at_all_begins_of_what_was_written_too_late_and_people_hear_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the playbook's steps nor the actions that follow every deployment."""
    harness = build(
        around=EnginePolicy(
            actions=[action()], notify={"started": {"console": ("ops",)}, "failed": {"console": ("ops",)}}
        )
    )
    harness.save(simple("noop:A", "noop:B"))
    _write_late(harness, monkeypatch)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.statuses() == ["cancelled", "skipped", "skipped"]
    assert harness.kinds()[2:] == ["taken_back", "fenced", "withdrawn", "skipped", "ended"]
    assert not harness.world.begun
    assert not harness.world.told


def test_people_hear_of_what_was_written_too_late_and_failed_in_that_entry(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker offers its step: it was over before its writer could see that it came late, and cannot be taken back."""
    harness = build(shared=False, around=EnginePolicy(notify={"failed": {"console": ("ops",)}}))
    harness.save(simple("ghost:Do"))
    _write_late(harness, monkeypatch)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.state().status == "failed"
    assert len(harness.store.entries("d1")) == 1
    assert not harness.world.begun
    assert [told for told in harness.world.told if "failed" in str(told)]


def test_what_was_written_too_late_is_taken_back_though_nobody_knew_at_first_whether_it_was_written(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise StoreUnavailable

    _write_late(harness, monkeypatch, lost)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.state().status == "cancelled"
    assert "taken_back" in harness.kinds()
    assert harness.world.begun == []


@pytest.mark.parametrize("known", [True, False], ids=["known to be written", "written, but an error"])
def test_what_was_written_too_late_is_taken_back_though_the_bus_is_away(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Another core, which has a bus, waits for ten seconds and no longer before it goes on with it."""

    def away(name: str, number: int) -> None:
        if name == "publish":
            raise BusUnavailable

    def written() -> None:
        harness.faults.before = away
        if not known:
            raise StoreUnavailable

    _write_late(harness, monkeypatch, written)
    harness.ask("d1", expires=WAITS)
    harness.ask("d2")
    harness.turn()
    harness.turn()
    assert "taken_back" in harness.kinds("d1")
    harness.faults.heal()
    harness.settle()
    assert (harness.state("d1").status, harness.state("d2").status) == ("cancelled", "completed")
    assert not harness.world.begun_times("d1")


def test_another_request_that_was_answered_with_it_keeps_it_from_being_taken_back(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two POSTs with one key: the second one finds the entry, in the moment before its writer sees that it came late."""
    other = harness._core(harness.store, harness.bus, "other")
    harness.core._inbox.subscription.allow(m.JOB_CREATE, 1)

    def second() -> None:
        harness.ask("d2", headers={m.KEY: "key"})
        assert other.turn(0) == 1
        harness.cores.append(other)

    _write_late(harness, monkeypatch, second)
    harness.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    harness.settle()
    assert harness.answers() == [("d1", "")]
    assert harness.kinds()[2] == "adopted"
    assert harness.state().status == "completed"
    assert harness.statuses() == ["completed", "completed"]


def test_people_hear_of_a_start_that_was_not_taken_back_though_it_has_ended_meanwhile(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer stood still behind the append; another request was answered with it, and all of it was done by another core."""
    harness = build(around=EnginePolicy(notify={"started": {"console": ("ops",)}}))
    harness.save(simple("noop:A"))
    other = harness._core(harness.store, harness.bus, "other")

    def second() -> None:
        harness.core._inbox.subscription.requeue([])
        harness.ask("d2", headers={m.KEY: "key"})
        for _ in range(20):
            other.turn(0)
            harness.worker.turn()
        assert harness.state().ended is not None

    _write_late(harness, monkeypatch, second)
    harness.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    harness.core._inbox.subscription.allow(m.JOB_CREATE, 1)
    harness.core.turn(0)
    harness.cores.append(other)
    harness.settle()
    assert harness.state().status == "completed"
    assert harness.world.told["d1/started/console"] >= 1


def test_a_late_request_with_the_same_key_does_not_keep_it_from_being_taken_back(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both came in one batch, and both callers have stopped waiting when the entry is there."""
    _write_late(harness, monkeypatch)
    harness.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    harness.ask("d2", headers={m.KEY: "key"}, expires=WAITS)
    harness.settle()
    assert harness.answers() == []
    assert "taken_back" in harness.kinds()
    assert harness.world.begun == []


def test_a_key_does_not_stand_for_what_was_taken_back(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_late(harness, monkeypatch)
    harness.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    harness.settle()
    assert harness.state().status == "cancelled"
    harness.ask("d2", headers={m.KEY: "key"}, expires=WAITS)
    harness.settle()
    harness.ask("d3", headers={m.KEY: "key"}, expires=WAITS)
    harness.settle()
    assert harness.answers() == [("d2", ""), ("d2", "")]
    assert harness.state("d2").status == "completed"


def test_the_same_request_that_comes_again_after_it_was_taken_back_is_answered_expired(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_late(harness, monkeypatch)
    harness.ask("d1", expires=WAITS)
    harness.settle()
    harness.ask("d1", expires=WAITS)
    harness.settle()
    assert harness.answers() == [(None, "expired")]


def test_a_no_stays_a_no_though_the_batch_fails_and_the_reason_goes_away(harness: CoreHarness) -> None:
    """Who was told no must not find the deployment running."""
    harness.ask("d1", "missing")
    harness.ask("d2")
    harness.faults.fail(_append_of_the_next_turn(harness), after=False)
    harness.turn()
    harness.save(simple("noop:A"), "missing")
    harness.settle()
    assert harness.answers() == [("d2", ""), (None, "unknown-playbook")]
    assert harness.store.entries("d1") == []


def _append_of_the_next_turn(harness: CoreHarness) -> int:
    """Number of the call, counted from now on: found by a turn that is not this one's."""
    names: list[str] = []

    class Found(Exception):
        """Far enough."""

    def note(name: str, number: int) -> None:
        names.append(name)
        if name == "append":
            raise StoreUnavailable

    harness.faults.before = note
    harness.turn()
    harness.faults.heal()
    return len(names)


def test_a_core_that_cannot_reach_its_store_leaves_the_queues_to_another(harness: CoreHarness) -> None:
    def away(name: str, number: int) -> None:
        if name in ("append", "entries", "write_views", "playbook"):
            raise StoreUnavailable

    harness.faults.before = away
    harness.ask("d1")
    for _ in range(int(ASIDE) + 2):
        harness.turn()
        harness.clock.pass_seconds(1)
    assert harness.core._inbox.subscription.take(10, 0) == []
    other = harness._core(harness.store, harness.bus, "other")
    assert other.turn(0) == 1
    other.close()
    harness.faults.heal()
    harness.settle()
    assert harness.state().status == "completed"
