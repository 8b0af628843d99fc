"""The engine's time: that of the machine, without the jumps."""

from __future__ import annotations

import logging

import pytest

from re_core.adapters.clock_system import JUMP, RATE, SystemClock


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
    machine.wall -= 3600
    times = []
    for _ in range(50):
        machine.passes(0.1)
        times.append(clock.now())
    assert times == sorted(times)


def test_a_clock_that_was_set_is_worth_one_word(
    clock: SystemClock, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.wall += JUMP + 1
    for _ in range(5):
        clock.now()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "changed by +6 s" in record.getMessage()
