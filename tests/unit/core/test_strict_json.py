"""JSON that two readers could read differently is refused, and nothing but BadMessage is ever raised."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from re_core.errors import BadMessage
from re_core.wire.strict_json import MAX_BYTES, MAX_DEPTH, dumps, equal, loads

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "the key 'a' occurs twice"),
        ("NaN", "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ('{"x": -Infinity}', "-Infinity is not JSON"),
        ("1e400", "the number 1e400 is too large"),
        ("-1e400", "the number -1e400 is too large"),
        ("9" * 400, "is too large"),
        ("9" * 5000, "is too large"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\uDFFF": 1}', "lone surrogate"),
        ("", "expected JSON, found nothing"),
        ("{} {}", "not JSON"),
        ("\ufeff{}", "not JSON"),
        ("{'a': 1}", "not JSON"),
        ("[1,]", "not JSON"),
        ('"a\nb"', "not JSON"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ("[" * 100 + "]" * 100, "nested deeper than 64 levels"),
    ],
)
def test_what_is_ambiguous_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        loads(text)
    with pytest.raises(BadMessage, match=why):
        loads(text.encode())


def test_a_pair_of_escaped_surrogates_is_a_character() -> None:
    assert loads('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_a_lone_surrogate_in_a_text_is_refused_too() -> None:
    with pytest.raises(BadMessage, match="lone surrogate"):
        loads('"\ud800"')


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(BadMessage, match="not UTF-8: invalid start byte at byte 1"):
        loads(b'"\xff"')


@pytest.mark.parametrize("inside", ["", "0", '"[["', "{}"])
def test_the_limit_of_depth_is_the_same_whatever_is_inside(inside: str) -> None:
    levels = MAX_DEPTH - (inside == "{}")
    loads("[" * levels + inside + "]" * levels)
    with pytest.raises(BadMessage, match="nested deeper"):
        loads("[" * (levels + 1) + inside + "]" * (levels + 1))


def test_objects_count_as_levels_too() -> None:
    with pytest.raises(BadMessage, match="nested deeper"):
        loads('{"a":' * 65 + "1" + "}" * 65)


def test_the_limit_of_size_counts_bytes() -> None:
    assert loads('"' + "x" * (MAX_BYTES - 2) + '"')
    for text in ('"' + "x" * (MAX_BYTES - 1) + '"', '"' + "ä" * (MAX_BYTES // 2) + '"'):
        with pytest.raises(BadMessage, match="bytes; a message has at most"):
            loads(text)
        with pytest.raises(BadMessage, match="bytes; a message has at most"):
            loads(text.encode())


def test_a_key_that_is_there_twice_among_very_many_is_found_at_once() -> None:
    """Comparing each with each would keep a core busy for minutes with one message."""
    keys = ",".join(f'"{number}":1' for number in range(80_000))
    with pytest.raises(BadMessage, match="the key '79999' occurs twice"):
        loads("{" + keys + ',"79999":1}')


@given(documents)
def test_what_was_written_is_read_back(document: Any) -> None:
    assert equal(loads(dumps(document)), document)
    assert equal(loads(dumps(document).encode()), document)


@given(st.binary())
@example(b"\xed\xa0\x80")
@example(b"[" * 2000)
def test_no_bytes_raise_anything_but_bad_message(data: bytes) -> None:
    for candidate in (data, b'{"x":' + data + b"}", b'"' + data + b'"'):
        try:
            document = loads(candidate)
        except BadMessage as error:
            assert str(error)
        else:
            assert dumps(document).encode()


@given(st.text(alphabet='[]{}",:0123456789.eE+-\\untrfalsNI \ud800', max_size=40))
def test_no_text_of_json_s_own_characters_raises_anything_but_bad_message(text: str) -> None:
    try:
        document = loads(text)
    except BadMessage:
        return
    assert equal(document, json.loads(text))


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_what_is_not_json_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(number)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}, True),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1], [1, 1], False),
        ([], {}, False),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_two_documents_are_equal_as_json_has_it(left: Any, right: Any, same: bool) -> None:
    assert equal(left, right) is same
    assert equal(right, left) is same
