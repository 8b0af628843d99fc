"""What steps declare that they return: published, converted, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, NotRequired, TypedDict

import jsonschema
import pytest

from re_workers import Context, Worker, step
from re_workers.kinds import Mismatch, kind_of
from re_workers.results import plain, returned_of
from re_workers.testing import run


class Row(TypedDict):
    name: str
    size: NotRequired[int]


class Page(NamedTuple):
    rows: list[Row]
    more: bool = False


@dataclass
class Report:
    pages: dict[str, Page]
    by: str | None = None


class Reports(Worker):
    @step
    def Make(self, ctx: Context, rows: int) -> Report:
        """Makes a report."""
        return Report({"first": Page([{"name": f"{number}"} for number in range(rows)])})

    @step
    def Wrong(self, ctx: Context) -> Row:
        return {"nam": "x"}  # type: ignore[typeddict-item,typeddict-unknown-key]  # the mistake that is looked for

    @step
    def Silent(self, ctx: Context) -> object:
        return {"anything": 1}


MADE = {"pages": {"first": {"rows": [{"name": "0"}], "more": False}}, "by": None}


def test_a_declared_result_is_published_as_json_schema() -> None:
    offer = Reports().offers()["reports:Make"]
    assert offer["returns"]["properties"]["pages"]["additionalProperties"]["required"] == ["rows"]
    assert "returns" not in Reports().offers()["reports:Silent"]


def test_named_tuples_and_dataclasses_travel_as_objects() -> None:
    assert run(Reports(), "reports:Make", {"rows": 1}).data == MADE


def test_what_travels_fits_the_published_schema() -> None:
    jsonschema.validate(MADE, Reports().offers()["reports:Make"]["returns"])


def test_the_test_kit_refuses_data_that_is_not_what_was_declared() -> None:
    with pytest.raises(AssertionError, match="expected an object with name"):
        run(Reports(), "reports:Wrong")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"rows": [], "more": False, "next": 1}, "unknown key 'next'; known are rows, more"),
        ({"more": True}, "expected an object with rows"),
        ({"rows": [{"name": 1}]}, "expected a string, found a number"),
        ([], "expected an object, found a list"),
    ],
)
def test_a_value_that_is_no_such_record_says_why(value: Any, message: str) -> None:
    with pytest.raises(Mismatch, match=message.replace("(", r"\(")):
        kind_of(Page).read(value, "")


def test_a_record_is_a_parameter_too() -> None:
    assert kind_of(Page).read({"rows": [{"name": "a", "size": 3}]}, "") == Page([{"name": "a", "size": 3}])


@pytest.mark.parametrize("annotation", [None, object, Any, complex, type(None)])
def test_an_annotation_that_says_nothing_declares_nothing(annotation: Any) -> None:
    assert returned_of(annotation) is None


def test_plain_values_stay_what_they_are() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {}}
    assert plain(value) == value
