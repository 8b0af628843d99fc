"""The stored form of records and entries: what comes back is what was written, or it is refused."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment import records as r
from re_core.deployment.numbering import MAX_ORDINAL, read_ordinal
from re_core.errors import NewerFormat, StoreRefused
from re_core.wire import strict_json
from tests.factories import Run, simple
from tests.unit.core.test_strict_json import documents

_whole = st.integers(0, 10_000)
_text = st.text(max_size=8)
_maybe = st.none() | _text
_attempt = {"step": _whole, "attempt": _whole}
_outcome = {**_attempt, "data": documents, "message": _maybe, "cut": st.booleans()}
_follows = {"begun": _whole, "deployment": _text}
_ranges = st.lists(st.tuples(_whole, _whole), max_size=3).map(tuple)
_objects = st.dictionaries(_text, documents, max_size=2)
_FIELDS: dict[type[Any], dict[str, st.SearchStrategy[Any]]] = {
    r.Accepted: {
        **dict.fromkeys(("group", "playbook_id", "playbook", "user", "source", "digest"), _text),
        "revision": _whole,
        "dynamic": _objects,
        "plan": _objects,
        "exclusive": st.booleans(),
    },
    r.Dispatched: {**_attempt, "since": _whole},
    r.Started: {
        **_attempt,
        **_follows,
        **dict.fromkeys(("worker", "token", "control"), _text),
        "recorded": st.booleans(),
    },
    r.Moved: {**_attempt, "worker": _text, "control": _text, "moves": _whole, "message": _maybe},
    r.Orphaned: {**_attempt, "moves": _whole, "message": _text, "deaths": _whole},
    r.Completed: {**_outcome, **_follows},
    r.Failed: {**_outcome, **_follows, "status": _text},
    r.StopRequested: _attempt,
    r.TimedOut: {**_outcome, "message": _text, "said": _text},
    r.Lost: {**_attempt, "message": _text, "begun": _whole},
    r.Fenced: {**_attempt, "message": _text, "begun": _whole},
    r.Handed: _attempt,
    r.ResolutionRequested: {"step": _whole, "deployment": _text},
    r.Settled: {**_attempt, "deployment": _text},
    r.Resolved: {
        "step": _whole,
        **dict.fromkeys(("ruling", "user", "reason", "request", "status", "deployment"), _text),
        "message": _maybe,
    },
    r.Retried: {**dict.fromkeys(("user", "reason", "request", "deployment"), _text), "again": _ranges},
    r.Withdrawn: {"step": _whole, "status": _text},
    r.Late: {**_attempt, "said": _text, "data": documents, "cut": st.booleans()},
    r.Halted: {"reason": _text, "deployment": _text},
    r.BlockDraining: {"node": _whole, "reason": _text, "deployment": _text},
    r.BlockClosed: {"node": _whole, "status": _text},
    r.CancelRequested: {"user": _text, "reason": _text, "deployment": _text},
    r.Skipped: {"ranges": _ranges},
    r.Ended: {"status": _text, "reason": _text},
    r.Void: {"reason": _text},
    r.Adopted: {"request": _text},
    r.TakenBack: {"reason": _text, "deployment": _text},
}
#: those that an engine of today writes
records = st.one_of([st.builds(kind, **fields) for kind, fields in _FIELDS.items() if kind is not r.Halted])


def test_every_kind_of_record_has_a_stored_name() -> None:
    assert set(r.KINDS.values()) == set(get_args(r.Record)) == set(_FIELDS)
    assert {r.kind_of(kind(*kind._fields)) for kind in r.KINDS.values()} == set(r.KINDS)


@given(st.lists(records, min_size=1, max_size=4))
def test_an_entry_comes_back_from_json_as_it_was(some: list[r.Record]) -> None:
    entry = r.Entry("d1", 7, 1_700_000_000_000, "core.1", tuple(some))
    stored = strict_json.loads(strict_json.dumps(r.entry_to_document(entry)))
    assert r.entry_from_document("d1", 7, stored) == entry
    assert [type(record) for record in r.entry_from_document("d1", 7, stored).records] == list(map(type, some))


def test_an_entry_s_id_sorts_like_its_number() -> None:
    assert r.Entry("d1", 7, 0, "", ()).id == "d1:000007"
    numbers = [1, 9, 10, 123_456, 999_999, 1_000_000, 1_000_001, 10_000_000, MAX_ORDINAL]
    ids = [r.entry_id("d1", number) for number in numbers]
    assert sorted(ids) == ids
    assert [read_ordinal(id.partition(":")[2]) for id in ids] == numbers
    assert max(ids) < "d1;"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "~",
        "1",
        "1000000",
        "~000000999999",
        "~1000000",
        "-00001",
        "\u0660\u0660\u0660\u0660\u0660\u0661",
        "0" * 5000,
    ],
)
def test_what_no_engine_has_spelt_is_no_ordinal(text: str) -> None:
    assert read_ordinal(text) is None


def test_what_is_as_always_is_not_stored() -> None:
    assert r.record_to_document(r.Completed(1, 2)) == {"kind": "completed", "step": 1, "attempt": 2}
    assert r.record_to_document(r.Completed(1, 2, data=False))["data"] is False


@pytest.mark.parametrize(
    "document",
    [
        {"step": 1},
        {"kind": []},
        {"kind": "dispatched", "step": 1},
        {"kind": "skipped"},
        {"kind": "skipped", "ranges": [[1]]},
        {"kind": "skipped", "ranges": 3},
        ["kind"],
        None,
        "dispatched",
    ],
)
def test_a_record_that_this_version_cannot_read_is_refused(document: Any) -> None:
    with pytest.raises(StoreRefused):
        r.record_from_document(document)
    with pytest.raises(StoreRefused):
        r.entry_from_document("d1", 1, {"v": 1, "at": 0, "writer": "", "records": [document]})


@pytest.mark.parametrize(
    "document", [{"kind": "exploded", "step": 1}, {"kind": "dispatched", "step": 1, "attempt": 1, "mood": "good"}]
)
def test_a_record_with_something_unknown_is_left_to_a_newer_engine(document: Any) -> None:
    with pytest.raises(NewerFormat, match=r"unknown .*; upgrade this engine"):
        r.entry_from_document("d1", 1, {"v": 1, "at": 0, "writer": "", "records": [document]})


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"v": r.FORMAT + 1}, f"format {r.FORMAT + 1}, this engine reads {r.FORMAT}; upgrade"),
        ({}, "it has no format"),
        ({"v": 0}, "it has no format"),
        ({"v": 1, "at": 0, "records": []}, "damaged"),
        ({"v": 1, "writer": "", "records": []}, "damaged"),
        ({"v": 1, "at": 0, "writer": ""}, "damaged"),
        ({"v": 1, "at": 0, "writer": "", "records": 7}, "damaged"),
    ],
)
def test_an_entry_of_a_newer_engine_or_a_damaged_one_is_refused(document: dict[str, Any], why: str) -> None:
    with pytest.raises(StoreRefused, match=why):
        r.entry_from_document("d1", 1, document)


def test_an_entry_says_the_oldest_format_that_holds_it() -> None:
    def format_of(*records: r.Record) -> int:
        return int(r.entry_to_document(r.Entry("d1", 1, 0, "", records))["v"])

    first = r.Accepted("g", "p", "n", 1, "", "", "", {}, {"on_lost": "fail"})
    assert format_of(first, r.Dispatched(0, 1)) == 1
    assert format_of(first._replace(exclusive=True)) == 2
    assert format_of(first._replace(plan={"on_lost": "ask"})) == 2
    assert format_of(r.Dispatched(0, 1), r.Handed(0, 1)) == 2
    # what follows from it is said, which no core of format 3 reads; a step's first dispatch is alike in all
    assert format_of(r.Dispatched(0, 2)) == format_of(r.Started(0, 1)) == format_of(r.Halted("")) == 4
    # a core of format 4 knows no blocks
    assert format_of(first._replace(plan={"v": 2})) == format_of(r.BlockDraining(0, "")) == 5
    assert format_of(r.Started(0, 1), r.BlockClosed(1, "failed")) == 5


def test_every_field_of_a_record_that_has_a_format_of_its_own_can_be_left_out() -> None:
    """So that what an older engine wrote, which lacks it, is read."""
    for kind, fields in r.SINCE.items():
        assert set(fields) - {""} <= set(kind._field_defaults), kind
        assert all(1 < since <= r.FORMAT for since in fields.values()), kind


def test_an_entry_of_an_older_format_is_stored_again_in_that_format() -> None:
    old = {"v": 1, "at": 5, "writer": "w", "records": [{"kind": "started", "step": 0, "attempt": 1}]}
    assert r.entry_to_document(r.entry_from_document("d1", 2, old)) == old


def test_an_entry_that_says_alike_in_every_format_is_one_of_today() -> None:
    old = {"v": 1, "at": 5, "writer": "w", "records": [{"kind": "dispatched", "step": 0, "attempt": 1}]}
    assert r.entry_from_document("d1", 2, old).format == r.FORMAT


def test_a_halt_of_format_4_is_the_drain_of_the_root() -> None:
    run = Run(simple("noop:A"))
    run.journal.append('{"v":4,"at":5,"writer":"w","records":[{"kind":"halted","reason":"why"}]}')
    assert run.folded().draining == {0: "why"}


def test_an_entry_of_format_4_without_a_halt_is_one_of_today() -> None:
    old = {
        "v": 4,
        "at": 5,
        "writer": "w",
        "records": [{"kind": "started", "step": 0, "attempt": 1, "deployment": "running"}],
    }
    assert r.entry_from_document("d1", 2, old).format == r.FORMAT
