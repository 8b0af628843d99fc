"""A second kind of aggregate goes through the same bad days, and no line of the core knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from re_core.sequencer.answers import Answers
from tests.counter import Counter, CounterState, Held
from tests.simulation.counters import CounterCluster, check_counters
from tests.simulation.play import play


def _play(seed: int) -> None:
    play(seed, made=CounterCluster, also=check_counters)


@pytest.mark.parametrize("first", range(0, 100, 25))
def test_counters_count_once_hold_their_lock_alone_and_let_go_in_time(first: int) -> None:
    for seed in range(first, first + 25):
        _play(seed)


def _drops_answers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Answers, "perform", lambda self, work: None)


def _counts_copies(patch: pytest.MonkeyPatch) -> None:
    class _Never(list[str]):
        def __contains__(self, request: object) -> bool:
            return False

    def init(self: CounterState, at: int) -> None:
        begin(self, at)
        self.requests = _Never()

    begin = CounterState.__init__
    patch.setattr(CounterState, "__init__", init)


def _takes_a_lock_that_is_held(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CounterState, "is_over", lambda self, turn: True)


def _believes_late_answers(patch: pytest.MonkeyPatch) -> None:
    def perform(self: Counter, key: str, state: CounterState, effect: Any) -> Iterable[Held]:
        return [Held(effect.turn)]

    patch.setattr(Counter, "perform", perform)


@pytest.mark.parametrize(
    "mistake", [_drops_answers, _counts_copies, _takes_a_lock_that_is_held, _believes_late_answers]
)
def test_a_planted_mistake_is_found(mistake: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mistake(patch)
        with pytest.raises(AssertionError):
            for seed in range(200):
                _play(seed)
