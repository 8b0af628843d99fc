"""Thousands of seeds. A failure names its seed and the command that plays it again, told step by step.

RE_TEST_SEED=123 plays only that one here; python -m tests.simulation --help plays as many as one likes.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.simulation.faults import KINDS
from tests.simulation.play import play

#: seeds of one run, and of one test
SEEDS, CHUNK = 2_000, 200
#: how often a kind of fault must have happened in one test's seeds, that is, in CHUNK of them: all kinds together
FAULTS = 400


def _seeds(first: int) -> range:
    chosen = os.environ.get("RE_TEST_SEED")
    return range(int(chosen), int(chosen) + 1) if chosen else range(first, first + CHUNK)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_promise_holds_in_every_seed(first: int) -> None:
    happened = Counter[str]()
    for seed in _seeds(first):
        happened += play(seed)
    if not os.environ.get("RE_TEST_SEED"):
        assert sum(happened[kind] for kind in KINDS) > FAULTS, happened
        assert [kind for kind in KINDS if not happened[kind]] == [], "a kind of fault that never happened"
        assert happened["deployments"] > CHUNK, happened


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_promise_holds_in_many_more_seeds() -> None:
    happened = Counter[str]()
    for seed in range(SEEDS, 100_000):
        happened += play(seed)
    assert min(happened[kind] for kind in KINDS) > 100, happened


@pytest.mark.parametrize("seed", range(5000, 5010))
def test_a_seed_is_always_the_same_world(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    """All that happens follows from the seed: not from the time, the order of a set, or what ran before."""
    told = []
    for _ in range(2):
        happened = play(seed, loud=True)
        told.append((happened, capsys.readouterr().err))
    assert told[0] == told[1]
    assert told[0][1].count("\n") > 20
