"""Nothing starts behind a caller's back: who has stopped waiting gets no deployment (contract, section 2)."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import StoreUnavailable
from re_core.ports import Delivery
from re_core.sequencer.taking import ASIDE
from tests.factories import simple
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
