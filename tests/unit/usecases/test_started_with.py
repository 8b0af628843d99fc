"""What people see of the values that a deployment was started with: in its document, and in the list."""

from __future__ import annotations

import re
from typing import Any

from re_core.api.answers import Links
from re_core.deployment.state import State
from re_core.deployment.summary import MAX_TEXT, MAX_VALUES, view_of
from re_core.usecases.describe import deployment_document, view_document
from re_core.wire.redaction import Redaction
from tests.factories import Run, simple

REDACTION = Redaction([re.compile("hunter2")])
GIVEN = {"version": "1.4.2", "password": "x", "note": "a hunter2"}
LINKS: Links = {"self": "/d1", "journal": "", "output": "", "events": "", "cancel": ""}
SHOWN = {"version": "1.4.2", "password": "[redacted]", "note": "a [redacted]"}


def _state(dynamic: dict[str, Any]) -> State:
    state = Run(simple("noop:A")).state
    state.accepted = state.accepted._replace(revision=7, dynamic=dynamic)
    return state


def test_neither_the_document_nor_the_list_shows_a_secret() -> None:
    state = _state(GIVEN)
    assert deployment_document(state, "d1", 1, REDACTION, LINKS)["dynamic"] == SHOWN
    row = view_document(view_of(state, None), REDACTION)
    assert (row["revision"], row["dynamic"]) == (7, SHOWN)


def test_many_or_long_values_are_left_out_of_the_list_whole() -> None:
    for dynamic in ({"text": "x" * MAX_TEXT}, {f"v{n}": n for n in range(MAX_VALUES + 1)}):
        row = view_of(_state(dynamic), None)
        assert row.dynamic == ""
        assert view_document(row, REDACTION)["dynamic"] is None


def test_a_row_of_an_older_engine_does_not_say() -> None:
    row = view_document(view_of(_state({}), None)._replace(revision=0, dynamic=""), REDACTION)
    assert (row["revision"], row["dynamic"]) == (None, None)
