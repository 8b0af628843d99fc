"""How far a step is, as a line: what a worker writes is what a client reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.wire.progress import line, parse

_NUMBERS = st.floats(0, 1e20, allow_nan=False) | st.integers(0, 10**12)


@given(_NUMBERS, st.floats(0.001, 1e20) | st.integers(1, 10**12), st.text(max_size=200))
def test_a_line_with_a_share_is_read_as_it_was_meant(done: float, of: float, words: str) -> None:
    words = " ".join(words.split())
    found = parse(line(done, of, words))
    assert found is not None
    assert (found.words, 0 <= found.share <= 1) == (words, True)
    assert abs(found.share - min(done / of, 1)) <= 0.0051


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ((3, 10, ""), "[30%, 3 of 10]"),
        ((3, 0, "rows"), "[3, rows]"),
        ((0, 0, "rows"), "[rows]"),
        ((12_345_678, 20_000_000, "rows"), "[62%, 12345678 of 20000000, rows]"),
        ((0.5, 2, ""), "[25%, 0.5 of 2]"),
    ],
)
def test_a_line_is_for_people(said: tuple[float, float, str], text: str) -> None:
    assert line(*said) == text


@pytest.mark.parametrize("text", ["", "[3, rows]", "x [30%, 3 of 10]", "[30%, a of b]", "[3000%, 3 of 10]"])
def test_other_lines_are_none(text: str) -> None:
    assert parse(text) is None
