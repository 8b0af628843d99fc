"""Pipelines that subscribe to each other, through thousands of bad days. A failure names its seeds and how to play one again.

RE_TEST_SEED=123 plays only that one here; RE_TEST_DAY=2026-11-27 plays the range of that day instead of today's;
python -m tests.simulation --pipelines --help plays as many as one likes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.faults import Bias
from tests.simulation.many import Played, play_within
from tests.simulation.peering import WIRE
from tests.simulation.pipeline_seeds import play_pipelines
from tests.simulation.planted_cdpm import MISTAKES, RARE_MISTAKES
from tests.simulation.test_seeds import CHOSEN, DAILY, FIRST_DAY, day_chosen, violations

#: seeds of one run, those that every run plays, and those of one test
SEEDS, ALWAYS, CHUNK = 2_000, 700, 50
#: how many deployments must have begun in one test's seeds
DEPLOYMENTS = 150
#: seconds in which a test begins seeds of the day
ENOUGH = 4.0

#: seeds within which each planted mistake must be found, and each that one seed in a thousand shows
FOUND, FOUND_RARE = 500, 4_000

_OPTION = "--pipelines "

# the first of them say which branches are taken
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
def test_every_promise_to_peers_holds_in_every_seed(first: int) -> None:
    played = Played()
    for seed in range(first, first + 1 if CHOSEN else first + CHUNK):
        played.play(seed, play_pipelines)
    assert not played.broken, violations(played, _OPTION)
    if not CHOSEN:
        assert sum(played.happened[kind] for kind in WIRE) > CHUNK, played.happened
        assert played.happened["deployments"] > DEPLOYMENTS, played.happened


@pytest.mark.no_cover
@pytest.mark.skipif(bool(CHOSEN), reason="RE_TEST_SEED plays only that one")
@pytest.mark.parametrize("chunk", range(DAILY // CHUNK))
def test_every_promise_to_peers_holds_in_the_seeds_of_the_day(
    chunk: int, record_property: Callable[[str, object], None]
) -> None:
    day = day_chosen()
    first = FIRST_DAY + day.toordinal() * DAILY + chunk * CHUNK
    record_property("again", f"RE_TEST_DAY={day}")
    played = play_within(ENOUGH, range(first, first + CHUNK), play_pipelines)
    assert not played.broken, violations(played, _OPTION)


@pytest.mark.parametrize("kind", WIRE)
def test_every_kind_of_fault_between_peers_happens(kind: str) -> None:
    bias = Bias((kind,))
    assert any(play_pipelines(seed, bias=bias)[kind] for seed in range(CHUNK)), "it never happened"


@pytest.mark.no_cover
@pytest.mark.long
@pytest.mark.parametrize(
    ("mistake", "bias", "within"),
    [
        *((*one, FOUND) for one in MISTAKES),
        *(pytest.param(*one, FOUND_RARE, marks=pytest.mark.slow) for one in RARE_MISTAKES),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_mistake_with_pipelines_is_found(
    mistake: Callable[[pytest.MonkeyPatch], None], bias: Bias, within: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        found = next((seed for seed in range(within) if _is_broken(seed, bias)), None)
    assert found is not None, "the mistake was not found"
    for seed in range(max(0, found - 20), found + 1):
        play_pipelines(seed, bias=bias)  # the engine as it is keeps every promise in the same seeds


def _is_broken(seed: int, bias: Bias) -> bool:
    try:
        play_pipelines(seed, bias=bias)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("seed", range(5000, 5005))
def test_a_seed_with_pipelines_is_always_the_same_world(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    told = []
    for _ in range(2):
        happened = play_pipelines(seed, loud=True)
        told.append((happened, capsys.readouterr().err))
    assert told[0] == told[1]
    assert told[0][1].count("\n") > 20
