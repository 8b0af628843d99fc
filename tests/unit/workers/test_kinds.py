"""The types of parameters: what fits, what does not, and that the published schema says the same."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Optional

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.playbook import json_schema
from re_workers.kinds import Mismatch, kind_of
from re_workers.limits import above, at_least, at_most, fits, items

ANNOTATIONS: list[Any] = [
    str,
    int,
    float,
    bool,
    Any,
    object,
    list,
    dict,
    list[str],
    list[list[int]],
    dict[str, float],
    str | None,
    Optional[int],  # noqa: UP045 - both spellings are read
    Literal["started", "failed", 3, True],
    Annotated[int, "how many"],
    dict[str, list[bool] | str],
    Annotated[float, at_least(0), "seconds"],
    Annotated[int, above(1), at_most(3)],
    Annotated[list[int], items(1, 2)] | None,
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-4, 4) | st.sampled_from(["started", "x", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b/c"]), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from(ANNOTATIONS), json_values)
def test_the_check_and_the_schema_agree_on_every_value(annotation: Any, value: Any) -> None:
    kind = kind_of(annotation)
    try:
        kind.read(value, "")
        fits = True
    except Mismatch:
        fits = False
    assert fits == jsonschema.Draft202012Validator(dict(kind.schema)).is_valid(value)


@pytest.mark.parametrize(
    ("annotation", "value", "path", "message"),
    [
        (int, True, "", "expected a whole number, found a boolean"),
        (int, 1.5, "", "expected a whole number, found 1.5"),
        (str, None, "", "expected a string, found null"),
        (list[int], [1, "2"], "/1", "expected a whole number, found a string"),
        (dict[str, bool], {"a/b": 0}, "/a~1b", "expected true or false, found a number"),
        (Literal["a", "b"], "c", "", 'expected one of "a", "b", found "c"'),
        (str | None, 1, "", "expected a string or null, found a number"),
        (list[int] | None, ["x"], "/0", "expected a whole number, found a string"),
        (Annotated[int, at_least(1)], 0, "", "expected at least 1, found 0"),
        (Annotated[float, above(0)] | None, 0, "", "expected more than 0, found 0"),
        (list[Annotated[str, fits("re-path")]], ["a", "b\0"], "/1", "expected a path without NUL"),
        (dict[Annotated[str, fits("re-variable")], str], {"A=B": "x"}, "/A=B", "expected the name of a variable"),
        (Annotated[list[int], items(1, 2)], [], "", "expected 1 to 2 items, found 0"),
    ],
)
def test_a_misfit_is_named_with_its_place(annotation: Any, value: Any, path: str, message: str) -> None:
    with pytest.raises(Mismatch) as caught:
        kind_of(annotation).read(value, "")
    assert (caught.value.path, caught.value.message[: len(message)]) == (path, message)


def test_a_whole_number_written_with_a_point_arrives_whole() -> None:
    value = kind_of(list[int]).read([3.0], "")
    assert [(one, type(one)) for one in value] == [(3, int)]


@pytest.mark.parametrize("annotation", [bytes, set[str], tuple[int, ...], dict[int, str], "text", complex])
def test_a_type_that_json_cannot_carry_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="is not a type for a parameter"):
        kind_of(annotation)


def test_a_note_beside_a_type_becomes_its_description() -> None:
    assert kind_of(Annotated[str, "whom to greet"]).schema == {"type": "string", "description": "whom to greet"}


@pytest.mark.parametrize("value", ["", "x", "a\0b", "A=B", "ftp://x", "http://x", "a\r\n"])
@pytest.mark.parametrize("format", ["re-text", "re-script", "re-variable", "re-path", "re-url"])
def test_a_format_means_the_same_where_a_playbook_is_stored(format: str, value: str) -> None:
    kind = kind_of(Annotated[str, fits(format)])
    try:
        kind.read(value, "")
        fitting = True
    except Mismatch:
        fitting = False
    assert fitting == (json_schema.parameters_problems({"properties": {"p": kind.schema}}, {"p": value}, "") == [])


def test_a_format_that_is_not_there_is_the_authors_mistake() -> None:
    with pytest.raises(TypeError, match="there is no format 're-txt'"):
        fits("re-txt")
