"""Steps that are recorded on a host, through thousands of bad days. A failure names its seeds and how to play one again.

RE_TEST_SEED=123 plays only that one here; python -m tests.simulation --hosts --help plays as many as one likes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.faults import Bias
from tests.simulation.many import Played
from tests.simulation.planted_records import MISTAKES
from tests.simulation.recorded import HOST_FAULTS
from tests.simulation.recorded_seeds import play_recorded
from tests.simulation.test_seeds import CHOSEN, violations

#: seeds of one run, those that every run plays, and those of one test
SEEDS, ALWAYS, CHUNK = 4_000, 400, 100
#: how often a worker must have gone on with what another one had begun in one test's seeds
ADOPTED = 4
#: seeds within which each planted mistake must be found
FOUND = 100

_FIRSTS = (
    [int(CHOSEN)]
    if CHOSEN
    else [
        0,
        *(pytest.param(one, marks=pytest.mark.no_cover) for one in range(CHUNK, ALWAYS, CHUNK)),
        *(pytest.param(one, marks=[pytest.mark.no_cover, pytest.mark.slow]) for one in range(ALWAYS, SEEDS, CHUNK)),
    ]
)


@pytest.mark.parametrize("first", _FIRSTS)
def test_every_promise_of_recorded_steps_holds_in_every_seed(first: int) -> None:
    played = Played()
    for seed in range(first, first + 1 if CHOSEN else first + CHUNK):
        played.play(seed, play_recorded)
    assert not played.broken, violations(played, "--hosts ")
    if not CHOSEN:
        assert played.happened["runs adopted"] > ADOPTED, played.happened


@pytest.mark.parametrize("kind", HOST_FAULTS)
def test_every_kind_of_fault_of_hosts_happens(kind: str) -> None:
    bias = Bias((kind,), spares_workers=False)
    assert any(play_recorded(seed, bias=bias)[kind] for seed in range(CHUNK)), "it never happened"


@pytest.mark.no_cover
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("mistake", "bias"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_with_recorded_steps_is_found(mistake: Callable[[pytest.MonkeyPatch], None], bias: Bias) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        found = next((seed for seed in range(FOUND) if _is_broken(seed, bias)), None)
    assert found is not None, "the mistake was not found"
    for seed in range(max(0, found - 5), found + 1):
        play_recorded(seed, bias=bias)  # the engine as it is keeps every promise in the same seeds


def _is_broken(seed: int, bias: Bias) -> bool:
    try:
        play_recorded(seed, bias=bias)
    except AssertionError:
        return True
    return False
