"""The engine's time: that of the machine, without the jumps."""

from __future__ import annotations

import logging

import pytest

from re_core.adapters.clock_system import JUMP, LOOK, RATE, SystemClock


class Machine:
    """Its time of day can be set; the time since it was started cannot."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000.0, 5.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def clock(machine: Machine) -> SystemClock:
    return SystemClock(lambda: machine.wall, lambda: machine.steady)


def test_it_says_the_time_of_day(clock: SystemClock, machine: Machine) -> None:
    assert clock.now() == 1_700_000_000_000
    machine.passes(12.5)
    assert clock.now() == 1_700_000_012_500


def test_between_two_looks_it_says_the_time_without_asking_for_the_time_of_day(machine: Machine) -> None:
    looks = []

    def wall() -> float:
        looks.append(machine.steady)
        return machine.wall

    clock = SystemClock(wall, lambda: machine.steady)
    times = []
    for _ in range(30):
        machine.passes(LOOK / 10)
        times.append(clock.now())
    assert times == [1_700_000_000_000 + number for number in range(1, 31)]
    assert len(looks) == 1 + 3


@pytest.mark.parametrize("hours", [2, -2])
def test_a_clock_that_is_set_moves_no_deadline(clock: SystemClock, machine: Machine, hours: int) -> None:
    clock.now()
    machine.wall += hours * 3600
    assert clock.now() == 1_700_000_000_000
    machine.passes(10)
    assert abs(clock.now() - 1_700_000_010_000) <= 10_000 * RATE + 1


def test_it_follows_until_it_is_right_again(clock: SystemClock, machine: Machine) -> None:
    machine.wall += 30
    for _ in range(310):
        machine.passes(1)
        clock.now()
    assert abs(clock.now() - machine.wall * 1000) < 2


def test_it_never_goes_backwards(clock: SystemClock, machine: Machine) -> None:
    times = []
    for number in range(500):
        if number == 100:
            machine.wall -= 3600
        machine.passes(LOOK / 7)
        times.append(clock.now())
    assert times == sorted(times)
    assert times[-1] < 1_700_000_000_000 + 500 * LOOK / 7 * 1000 - 1  # it follows all the same


def test_a_clock_that_was_set_is_worth_one_word(
    clock: SystemClock, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.wall += JUMP + 1
    for _ in range(5):
        clock.now()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "changed by +6 s" in record.getMessage()
