"""Thousands of seeds. A failure names its seeds and the command that plays one again, told step by step.

RE_TEST_SEED=123 plays only that one here; RE_TEST_DAY=2026-11-27 plays the range of that day instead of today's;
python -m tests.simulation --help plays as many as one likes.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable

import pytest

from tests.simulation.faults import KINDS, Bias
from tests.simulation.many import Played, play_within
from tests.simulation.play import play

#: seeds of one run, and of one test
SEEDS, CHUNK = 2_000, 200
#: how often a kind of fault must have happened in one test's seeds, that is, in CHUNK of them: all kinds together
FAULTS = 400
#: and how many deployments must have begun in them, and not been taken back
DEPLOYMENTS = 150
#: seeds of one day; those of the first day of the calendar, so that no day has any of those above or of a hunt by hand
DAILY, FIRST_DAY = 1_000, 1_000_000_000
#: seconds in which a test begins seeds of the day: a busy machine plays fewer of them
ENOUGH = 8.0

CHOSEN = os.environ.get("RE_TEST_SEED")


def violations(played: Played, option: str = "") -> str:
    """What was broken, and the command that plays one again; `option`: that of its cluster."""
    again = f"told step by step by: python -m tests.simulation {option}--seed N"
    return "\n".join((f"{len(played.broken)} of {played.seeds} seeds; {again}", *played.lines()))


def day_chosen() -> datetime.date:
    """Whose seeds are played. Raises ValueError."""
    chosen = os.environ.get("RE_TEST_DAY")
    try:
        return datetime.date.fromisoformat(chosen) if chosen else datetime.datetime.now(datetime.UTC).date()
    except ValueError:
        raise ValueError(f"RE_TEST_DAY is a date such as 2026-11-27, not {chosen!r}") from None


# the first of them say which branches are taken; to count branches makes the others three times slower
_FIRSTS = (
    [int(CHOSEN)]
    if CHOSEN
    else [0, *(pytest.param(one, marks=pytest.mark.no_cover) for one in range(CHUNK, SEEDS, CHUNK))]
)


@pytest.mark.parametrize("first", _FIRSTS)
def test_every_promise_holds_in_every_seed(first: int) -> None:
    played = Played()
    for seed in range(first, first + 1 if CHOSEN else first + CHUNK):
        played.play(seed)
    assert not played.broken, violations(played)
    happened = played.happened
    if not CHOSEN:
        assert sum(happened[kind] for kind in KINDS) > FAULTS, happened
        assert happened["deployments"] > DEPLOYMENTS, happened


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_happens(kind: str) -> None:
    """Some have few occasions: a seed here and there has one."""
    bias = Bias((kind,), spares_workers=False)
    assert any(play(seed, bias=bias)[kind] for seed in range(CHUNK)), "it never happened"


@pytest.mark.no_cover
@pytest.mark.skipif(bool(CHOSEN), reason="RE_TEST_SEED plays only that one")
@pytest.mark.parametrize("chunk", range(DAILY // CHUNK))
def test_every_promise_holds_in_the_seeds_of_the_day(
    chunk: int, record_property: Callable[[str, object], None]
) -> None:
    day = day_chosen()
    first = FIRST_DAY + day.toordinal() * DAILY + chunk * CHUNK
    record_property("again", f"RE_TEST_DAY={day}")
    played = play_within(ENOUGH, range(first, first + CHUNK))
    assert not played.broken, violations(played)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_promise_holds_in_many_more_seeds() -> None:
    played = Played()
    for seed in range(SEEDS, 100_000):
        played.play(seed)
    assert not played.broken, violations(played)
    assert min(played.happened[kind] for kind in KINDS) > 100, played.happened


@pytest.mark.parametrize("seed", range(5000, 5010))
def test_a_seed_is_always_the_same_world(capsys: pytest.CaptureFixture[str], seed: int) -> None:
    """All that happens follows from the seed: not from the time, the order of a set, or what ran before."""
    told = []
    for _ in range(2):
        happened = play(seed, loud=True)
        told.append((happened, capsys.readouterr().err))
    assert told[0] == told[1]
    assert told[0][1].count("\n") > 20
