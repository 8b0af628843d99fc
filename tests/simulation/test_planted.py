"""Would the simulation see it? Mistakes that somebody could make, each planted, and each found within some seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.faults import Bias
from tests.simulation.planted import MISTAKES
from tests.simulation.play import play

#: seeds within which each mistake must be found
ENOUGH = 300


def _first_broken(bias: Bias) -> int | None:
    """The first seed that breaks a promise."""
    for seed in range(ENOUGH):
        try:
            play(seed, bias=bias)
        except AssertionError:
            return seed
    return None


@pytest.mark.no_cover
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("mistake", "bias"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None], bias: Bias) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        found = _first_broken(bias)
    assert found is not None, "the mistake was not found"
    for seed in range(found + 1):
        play(seed, bias=bias)  # the engine as it is keeps every promise in the same seeds
