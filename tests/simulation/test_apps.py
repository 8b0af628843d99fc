"""Apps, their zones and two centers, through thousands of bad days. A failure names its seeds and how to play one again.

RE_TEST_SEED=123 plays only that one here; python -m tests.simulation --apps --help plays as many as one likes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.app_seeds import play_apps
from tests.simulation.apps import APP_FAULTS
from tests.simulation.many import Played
from tests.simulation.planted_apps import MISTAKES
from tests.simulation.test_seeds import CHOSEN, violations

#: seeds of one run, those that every run plays, and those of one test
SEEDS, ALWAYS, CHUNK = 2_000, 700, 50
#: how many versions must have been released in one test's seeds
RELEASED = 30

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
def test_every_promise_of_apps_holds_in_every_seed(first: int) -> None:
    played = Played()
    for seed in range(first, first + 1 if CHOSEN else first + CHUNK):
        played.play(seed, play_apps)
    assert not played.broken, violations(played, "--apps ")
    if not CHOSEN:
        assert sum(played.happened[kind] for kind in APP_FAULTS) > CHUNK, played.happened
        assert played.happened["committed"] > RELEASED, played.happened


@pytest.mark.parametrize("kind", APP_FAULTS)
def test_every_kind_of_fault_of_apps_happens(kind: str) -> None:
    assert any(play_apps(seed, (kind,))[kind] for seed in range(CHUNK)), "it never happened"


@pytest.mark.no_cover
@pytest.mark.parametrize(("mistake", "kinds"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_with_apps_is_found(mistake: Callable[[pytest.MonkeyPatch], None], kinds: tuple[str, ...]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        found = next((seed for seed in range(FOUND) if _is_broken(seed, kinds)), None)
    assert found is not None, "the mistake was not found"
    for seed in range(max(0, found - 5), found + 1):
        play_apps(seed, kinds)  # dploy as it is keeps every promise in the same seeds


def _is_broken(seed: int, kinds: tuple[str, ...]) -> bool:
    try:
        play_apps(seed, kinds)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("seed", range(5000, 5003))
def test_a_seed_with_apps_is_always_the_same_world(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    told = []
    for _ in range(2):
        happened = play_apps(seed, loud=True)
        told.append((happened, capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0][1].count("\n") > 10
