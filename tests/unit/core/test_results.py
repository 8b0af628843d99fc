"""What a state keeps of results and messages: little of each, and little of all."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment import records as r
from re_core.deployment.results import INLINE, MAX_KEPT, MAX_MESSAGE, SHORT, Result, brief, message_of, result_of
from tests.factories import Run, simple


def test_a_small_result_is_kept_and_a_large_one_is_described() -> None:
    small, large = "x" * (INLINE - 2), "x" * (INLINE - 1)
    digest = hashlib.sha256(f'"{small}"'.encode()).hexdigest()
    assert result_of(small, cut=False) == Result(INLINE, digest, False, True, small)
    described = result_of(large, cut=True)
    assert described is not None
    assert (described.size, described.inline, described.cut, described.data) == (INLINE + 1, False, True, None)


def test_nothing_is_no_result_and_false_is_one() -> None:
    assert result_of(None, cut=False) is None
    found = result_of(False, cut=False)
    assert found is not None and found.data is False and found.inline


@given(st.text(max_size=300), st.integers(60, 200))
def test_what_is_cut_once_is_not_cut_again(text: str, most: int) -> None:
    once = brief(text, most)
    assert len(once) <= most
    assert brief(once, most) == once
    assert once == text if len(text) <= most else once.endswith(f"[cut: {len(text)} characters]")


def test_a_state_holds_no_large_result_whatever_a_journal_has() -> None:
    run = Run(simple(*["noop:A"] * 300))
    for number in range(300):
        if number:
            run.state.apply(r.Dispatched(number, 1), run.now)
        run.state.apply(r.Completed(number, 1, "x" * 250_000, "m" * 1_000_000), run.now)
    kept = [(step.message or "", step.result) for step in run.state.steps.values()]
    assert all(result is not None and result.size == 250_002 and result.data is None for _, result in kept)
    assert {len(message) for message, _ in kept} == {MAX_MESSAGE, SHORT}
    assert run.state.kept == sum(len(message) for message, _ in kept) < MAX_KEPT + 300 * MAX_MESSAGE


def test_small_results_too_are_described_once_there_are_many() -> None:
    run = Run(simple(*["noop:A"] * 300))
    for number in range(300):
        if number:
            run.state.apply(r.Dispatched(number, 1), run.now)
        run.state.apply(r.Completed(number, 1, "x" * 2000), run.now)
    inline = [step.result is not None and step.result.inline for step in run.state.steps.values()]
    assert inline[0] and not inline[-1]
    assert run.state.kept < MAX_KEPT + INLINE


def test_an_attempt_that_is_repeated_takes_its_words_along() -> None:
    run = Run(simple({"noop:A": {}, "retries": 2}))
    run.state.apply(r.Failed(0, 1, "x" * 100, "no"), run.now)
    assert run.state.kept == 104
    run.state.apply(r.Dispatched(0, 2), run.now)
    assert (run.state.kept, run.state.step(0).result, run.state.step(0).message) == (0, None, None)


@pytest.mark.parametrize(("message", "told"), [(None, None), ("", ""), ("fine", "fine")])
def test_a_short_message_is_kept_as_it_is(message: str | None, told: str | None) -> None:
    assert message_of(message) == told
