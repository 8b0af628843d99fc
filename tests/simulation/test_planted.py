"""Would the simulation see it? Mistakes that somebody could make, each planted, and each found within some seeds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.faults import Bias
from tests.simulation.planted import MISTAKES, RARE_MISTAKES
from tests.simulation.play import play

#: seeds within which each mistake must be found; one in two hundred shows the rarest
ENOUGH = 1_500
#: the same of those that one seed in a thousand shows
ENOUGH_RARE = 10_000


def _first_broken(bias: Bias, within: int) -> int | None:
    """The first seed that breaks a promise."""
    for seed in range(within):
        try:
            play(seed, bias=bias)
        except AssertionError:
            return seed
    return None


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("mistake", "bias", "within"),
    [
        *((*one, ENOUGH) for one in MISTAKES),
        *(pytest.param(*one, ENOUGH_RARE, marks=pytest.mark.slow) for one in RARE_MISTAKES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None], bias: Bias, within: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        found = _first_broken(bias, within)
    assert found is not None, "the mistake was not found"
    for seed in range(max(0, found - 20), found + 1):
        play(seed, bias=bias)  # the engine as it is keeps every promise in the same seeds
