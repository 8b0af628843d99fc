"""Bytes of a program as lines for people, however they were cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_workers.lines import KEPT, Lines


def _all(*pieces: bytes) -> list[str]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)] + lines.end()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"a\nb\n", ["a", "b"]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"10%\r20%\r100%\n", ["100%"]),
        (b"10%\r20%\r\n", ["20%"]),
        (b"10%\r20%", ["20%"]),
        (b"10%\r", ["10%"]),
        (b"\xff\xfea\n", ["\ufffd\ufffda"]),
        ("zwölf\n".encode(), ["zwölf"]),
        (b"x" * (KEPT + 1) + b"\ny\n", ["x" * KEPT, "y"]),
    ],
)
def test_what_a_terminal_would_show_remains(text: bytes, lines: list[str]) -> None:
    assert _all(text) == lines


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", "ö".encode(), b"\xff"]), max_size=20), st.data())
def test_where_the_pieces_are_cut_makes_no_difference(words: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(words)
    cut = data.draw(st.integers(0, len(whole)))
    assert _all(whole[:cut], whole[cut:]) == _all(whole)


def test_a_stream_without_an_end_of_line_needs_no_more_memory_than_a_line() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.feed(b"\0" * 65536) == []
    assert lines.end() == ["\0" * KEPT]
