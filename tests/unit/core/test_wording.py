"""Pieces of messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core import json_pointer, wording


@pytest.mark.parametrize(
    ("name", "known", "told"),
    [
        ("statu", ["watch", "status"], "did you mean 'status'?"),
        ("STATUS", ["Status"], "did you mean 'Status'?"),
        ("xyz", ["status"], ""),
        ("status", [], ""),
        ("x" * 200, ["x" * 100], f"did you mean {'x' * 60 + '…'!r}?"),
    ],
)
def test_the_nearest_name_is_suggested(name: str, known: list[str], told: str) -> None:
    assert wording.did_you_mean(name, known) == told


def test_as_many_names_are_suggested_as_are_asked_for() -> None:
    assert wording.did_you_mean("site", ["sites", "sit", "zebra"], count=2) == "did you mean 'sites' or 'sit'?"


def test_a_choice_is_a_list_with_or_before_its_last() -> None:
    assert [wording.one_of("abc"[:count]) for count in range(4)] == ["", "a", "a or b", "a, b or c"]


@given(st.lists(st.text(max_size=20)))
def test_the_parts_of_a_pointer_are_those_that_it_was_made_of(path: list[str]) -> None:
    assert json_pointer.parts(json_pointer.pointer(path)) == path


def test_a_pointer_shows_of_a_very_long_key_its_beginning() -> None:
    assert json_pointer.pointer(["a", "x" * 501, 3]) == f"/a/{'x' * 500}…/3"
