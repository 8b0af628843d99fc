"""Workers that fall silent: their steps are lost by the rules, and nobody is called silent whom the core could not hear."""

from __future__ import annotations

import pytest

from re_core.errors import BusUnavailable
from re_core.model import WorkerRecord
from re_core.sequencer.absence import ROUNDS, Absence
from re_core.sequencer.liveness import SILENT, Liveness
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House

#: seconds of silence
QUIET = SILENT // 1000


@pytest.fixture
def house(build: Build) -> House:
    made = build(script={})
    made.save(simple("noop:Hang", "noop:B"), "hangs")
    made.save(simple({"noop:Hang": {}, "idempotent": True}), "again")
    return made


@pytest.fixture
def absence(house: House) -> Absence:
    return Absence(house.bus, house.store, house.store, house.clock, Liveness(house.clock))


def _hear(house: House, worker: str) -> None:
    house.store.register(WorkerRecord(worker, 8, {}, (), house.clock.now()))


def _pass(house: House, absence: Absence, seconds: int, *heard: str) -> int:
    """Let time pass second by second; how many events were sent."""
    sent = 0
    for _ in range(seconds):
        house.clock.pass_seconds(1)
        for worker in heard:
            _hear(house, worker)
        sent += absence.turn()
    return sent


def _begin(house: House, playbook: str) -> None:
    """The first step is in the hands of the house's worker."""
    house.ask("d1", playbook)
    house.settle()
    _hear(house, house.worker.name)


def test_the_step_of_a_worker_that_falls_silent_is_lost(house: House, absence: Absence) -> None:
    _begin(house, "hangs")
    assert _pass(house, absence, QUIET) == 0
    assert _pass(house, absence, 2) == 1
    house.settle()
    assert house.statuses() == ["lost", "skipped"]
    assert house.worker.name in house.state().reason


def test_a_step_that_may_be_repeated_is_repeated(house: House, absence: Absence) -> None:
    _begin(house, "again")
    _pass(house, absence, QUIET + 2)
    house.settle()
    assert house.state().step(0).attempt == 2


def test_the_steps_of_a_worker_that_is_heard_go_on(house: House, absence: Absence) -> None:
    _begin(house, "hangs")
    assert _pass(house, absence, 3 * QUIET, house.worker.name) == 0
    assert house.statuses() == ["started", "pending"]


def test_the_absence_of_one_worker_is_no_matter_of_the_steps_of_another(house: House, absence: Absence) -> None:
    _begin(house, "hangs")
    _hear(house, "other")
    assert _pass(house, absence, QUIET + 2, house.worker.name) == 1
    house.settle()
    assert house.statuses() == ["started", "pending"]


def test_absence_is_told_again_at_doubling_times_and_not_for_ever(house: House, absence: Absence) -> None:
    """A claim may still be on its way when its worker's absence is told first."""
    _begin(house, "hangs")
    _hear(house, "other")
    times = [second for second in range(3600) if _pass(house, absence, 1, house.worker.name)]
    assert times == [(QUIET << number) for number in range(ROUNDS)]


def test_a_worker_that_comes_back_and_goes_again_is_told_of_anew(house: House, absence: Absence) -> None:
    _begin(house, "hangs")
    _hear(house, "other")
    assert _pass(house, absence, QUIET + 2, house.worker.name) == 1
    assert _pass(house, absence, 5, house.worker.name, "other") == 0
    assert _pass(house, absence, QUIET + 2, house.worker.name) == 1


def test_a_core_that_has_just_started_waits_as_long_again(house: House) -> None:
    _begin(house, "hangs")
    house.clock.pass_seconds(3600)
    late = Absence(house.bus, house.store, house.store, house.clock, Liveness(house.clock))
    assert _pass(house, late, QUIET - 1) == 0
    assert _pass(house, late, 3) == 1


@pytest.mark.parametrize("seconds", [60, -60])
def test_a_core_that_stood_still_or_whose_clock_was_set_calls_nobody_silent(
    house: House, absence: Absence, seconds: int
) -> None:
    _begin(house, "hangs")
    _pass(house, absence, 5, house.worker.name)
    house.clock.pass_seconds(seconds)
    assert _pass(house, absence, QUIET - 2) == 0


def test_while_the_bus_is_away_nobody_is_silent(
    house: House, absence: Absence, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(house, "hangs")
    _pass(house, absence, 1, house.worker.name)

    def away() -> None:
        raise BusUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(house.bus, "ping", away)
        for _ in range(2 * QUIET):
            house.clock.pass_seconds(1)
            with pytest.raises(BusUnavailable):
                absence.turn()
    assert _pass(house, absence, QUIET - 2) == 0
    assert _pass(house, absence, 4) == 1
