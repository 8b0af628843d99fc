"""Nothing starts behind a caller's back: who has stopped waiting gets no deployment (contract, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from re_core.errors import StoreUnavailable
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery
from re_core.sequencer.inbox import ASIDE
from re_core.wire import messages as m
from tests.factories import action, simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House

#: milliseconds that who asks waits
WAITS = 10_000


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple("noop:A", "noop:B"))


def _received(house: House, monkeypatch: pytest.MonkeyPatch, ago: float = 0.0) -> None:
    """Deliveries say when they came, as those of a broker do."""
    subscription: Any = house.core._taking.subscription
    real = subscription.take

    def take(limit: int, timeout: float) -> list[Delivery]:
        at = house.clock.monotonic() - ago
        return [one._replace(received=at) for one in real(limit, timeout)]

    monkeypatch.setattr(subscription, "take", take)


def test_a_request_that_a_core_held_for_too_long_is_answered_expired(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _received(house, monkeypatch, ago=WAITS / 1000 + 1)
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.answers() == [(None, "expired")]
    assert house.store.entries("d1") == []


def test_a_request_in_time_begins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _received(house, monkeypatch, ago=WAITS / 1000 - 1)
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.answers() == [("d1", "")]
    assert house.state().status == "completed"


def test_a_deployment_that_was_written_too_late_ends_before_anything_is_sent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store took longer than the caller waits."""
    _received(house, monkeypatch)

    def slow(name: str, number: int) -> None:
        if name == "append" and not house.store.entries("d1"):
            house.clock.pass_seconds(WAITS / 1000 + 1)

    house.faults.before = slow
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.state().status == "cancelled"
    assert "too late" in house.state().reason
    assert house.world.begun == []
    assert house.answers() == []


def _write_late(house: House, monkeypatch: pytest.MonkeyPatch, then: Callable[[], None] = lambda: None) -> None:
    """The next first entry is written after its caller has stopped waiting; `then` happens right behind that."""
    _received(house, monkeypatch)

    def slow(name: str, number: int) -> None:
        if name == "append" and not house.store.entries("d1"):
            house.clock.pass_seconds(WAITS / 1000 + 1)

    def written(name: str, number: int) -> None:
        if name == "append":
            house.faults.heal()
            then()

    house.faults.before, house.faults.after = slow, written


def test_nothing_at_all_begins_of_what_was_written_too_late_and_people_hear_nothing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the playbook's steps nor the actions that follow every deployment."""
    house = build(
        around=EnginePolicy(
            actions=[action()], notify={"started": {"console": ("ops",)}, "failed": {"console": ("ops",)}}
        )
    )
    house.save(simple("noop:A", "noop:B"))
    _write_late(house, monkeypatch)
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.statuses() == ["cancelled", "skipped", "skipped"]
    assert house.kinds()[2:] == ["taken_back", "fenced", "withdrawn", "skipped", "ended"]
    assert not house.world.begun
    assert not house.world.told


def test_people_hear_of_what_was_written_too_late_and_failed_in_that_entry(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker offers its step: it was over before its writer could see that it came late, and cannot be taken back."""
    house = build(shared=False, around=EnginePolicy(notify={"failed": {"console": ("ops",)}}))
    house.save(simple("ghost:Do"))
    _write_late(house, monkeypatch)
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.state().status == "failed"
    assert len(house.store.entries("d1")) == 1
    assert not house.world.begun
    assert [told for told in house.world.told if "failed" in str(told)]


def test_what_was_written_too_late_is_taken_back_though_nobody_knew_at_first_whether_it_was_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> None:
        raise StoreUnavailable

    _write_late(house, monkeypatch, lost)
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.state().status == "cancelled"
    assert "taken_back" in house.kinds()
    assert house.world.begun == []


def test_another_request_that_was_answered_with_it_keeps_it_from_being_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two POSTs with one key: the second one finds the entry, in the moment before its writer sees that it came late."""
    other = house._core(house.store, house.bus, "other")
    house.core._taking.subscription.allow(m.JOB_CREATE, 1)

    def second() -> None:
        house.ask("d2", headers={m.KEY: "key"})
        assert other.turn(0) == 1
        house.cores.append(other)

    _write_late(house, monkeypatch, second)
    house.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    house.settle()
    assert house.answers() == [("d1", "")]
    assert house.kinds()[2] == "adopted"
    assert house.state().status == "completed"
    assert house.statuses() == ["completed", "completed"]


def test_people_hear_of_a_start_that_was_not_taken_back_though_it_has_ended_meanwhile(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer stood still behind the append; another request was answered with it, and all of it was done by another core."""
    house = build(around=EnginePolicy(notify={"started": {"console": ("ops",)}}))
    house.save(simple("noop:A"))
    other = house._core(house.store, house.bus, "other")

    def second() -> None:
        house.core._taking.subscription.requeue([])
        house.ask("d2", headers={m.KEY: "key"})
        for _ in range(20):
            other.turn(0)
            house.worker.turn()
        assert house.state().ended is not None

    _write_late(house, monkeypatch, second)
    house.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    house.core._taking.subscription.allow(m.JOB_CREATE, 1)
    house.core.turn(0)
    house.cores.append(other)
    house.settle()
    assert house.state().status == "completed"
    assert house.world.told["d1/started/console"] >= 1


def test_a_late_request_with_the_same_key_does_not_keep_it_from_being_taken_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both came in one batch, and both callers have stopped waiting when the entry is there."""
    _write_late(house, monkeypatch)
    house.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    house.ask("d2", headers={m.KEY: "key"}, expires=WAITS)
    house.settle()
    assert house.answers() == [(None, "expired")]
    assert "taken_back" in house.kinds()
    assert house.world.begun == []


def test_a_key_does_not_stand_for_what_was_taken_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_late(house, monkeypatch)
    house.ask("d1", headers={m.KEY: "key"}, expires=WAITS)
    house.settle()
    assert house.state().status == "cancelled"
    house.ask("d2", headers={m.KEY: "key"}, expires=WAITS)
    house.settle()
    house.ask("d3", headers={m.KEY: "key"}, expires=WAITS)
    house.settle()
    assert house.answers() == [("d2", ""), ("d2", "")]
    assert house.state("d2").status == "completed"


def test_the_same_request_that_comes_again_after_it_was_taken_back_is_answered_expired(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_late(house, monkeypatch)
    house.ask("d1", expires=WAITS)
    house.settle()
    house.ask("d1", expires=WAITS)
    house.settle()
    assert house.answers() == [(None, "expired")]


def test_a_no_stays_a_no_though_the_batch_fails_and_the_reason_goes_away(house: House) -> None:
    """Who was told no must not find the deployment running."""
    house.ask("d1", "missing")
    house.ask("d2")
    house.faults.fail(_append_of_the_next_turn(house), after=False)
    house.turn()
    house.save(simple("noop:A"), "missing")
    house.settle()
    assert house.answers() == [("d2", ""), (None, "unknown-playbook")]
    assert house.store.entries("d1") == []


def _append_of_the_next_turn(house: House) -> int:
    """Number of the call, counted from now on: found by a turn that is not this one's."""
    names: list[str] = []

    class Found(Exception):
        """Far enough."""

    def note(name: str, number: int) -> None:
        names.append(name)
        if name == "append":
            raise StoreUnavailable

    house.faults.before = note
    house.turn()
    house.faults.heal()
    return len(names)


def test_a_core_that_cannot_reach_its_store_leaves_the_queues_to_another(house: House) -> None:
    def away(name: str, number: int) -> None:
        if name in ("append", "entries", "write_views", "playbook"):
            raise StoreUnavailable

    house.faults.before = away
    house.ask("d1")
    for _ in range(int(ASIDE) + 2):
        house.turn()
        house.clock.pass_seconds(1)
    assert house.core._taking.subscription.take(10, 0) == []
    other = house._core(house.store, house.bus, "other")
    assert other.turn(0) == 1
    other.close()
    house.faults.heal()
    house.settle()
    assert house.state().status == "completed"
