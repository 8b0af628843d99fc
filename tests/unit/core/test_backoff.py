"""Pauses grow, end growing, and are spread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from re_core.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_begin_again_after_a_success() -> None:
    backoff = Backoff(1.0, 60.0, chance=lambda: 1.0)

    assert [backoff.next() for _ in range(8)] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    backoff.reset()
    assert backoff.next() == 1.0


def test_after_any_number_of_failures_the_pause_is_at_most_the_longest() -> None:
    assert Backoff(0.1, 5.0, chance=lambda: 1.0).after(10**6) == 5.0


@given(st.integers(1, 100), st.floats(0, 1, exclude_max=True))
def test_chance_spreads_a_pause_over_its_upper_half(failures: int, chance: float) -> None:
    shortest = Backoff(1.0, 60.0, lambda: 0.0).after(failures)

    assert shortest <= Backoff(1.0, 60.0, lambda: chance).after(failures) <= 2 * shortest
