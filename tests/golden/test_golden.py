"""Journals of every format so far are read, folded, shown and continued as when they were taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient

from re_core.deployment import records as r
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import advance
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.ports import Append, Appended, Store, read_state
from re_core.wire import strict_json
from tests.contract.conftest import store_place  # noqa: F401
from tests.contract.places import MongoPlace, SqlitePlace, StorePlace
from tests.factories import slots_of
from tests.golden.journals import (
    Journal,
    brief,
    continuations,
    entries_of,
    event_time,
    files,
    is_void,
    possible_events,
    read,
    row_of,
    shown_of,
)

ALL = [pytest.param(path, id=path.stem) for path in files()]


def _standing(journals: list[Journal]) -> Iterator[Journal]:
    return (one for one in journals if not is_void(one))


def test_there_is_a_golden_file_of_every_format() -> None:
    assert [path.stem for path in files()] == [f"format-{number}" for number in range(1, r.FORMAT + 1)]


def test_every_kind_of_record_is_in_a_golden_journal() -> None:
    stored = [one for path in files() for one in read(path)]
    kinds = {record["kind"] for one in stored for entry in one["entries"] for record in entry["records"]}
    assert kinds == set(r.KINDS)


def test_an_entry_holds_nothing_that_is_newer_than_its_format() -> None:
    """An engine that reads the format of an entry understands all of it."""
    for one in (one for path in files() for one in read(path)):
        for entry in one["entries"]:
            for record in entry["records"]:
                since = r.SINCE.get(r.KINDS[record["kind"]], {})
                assert max([1, *(since.get(name, 1) for name in ["", *record])]) <= entry["v"], one["played"]


@pytest.mark.parametrize("path", ALL)
def test_the_fold_after_each_entry_is_the_one_of_its_time(path: Any) -> None:
    for one in _standing(read(path)):
        folds = [brief(fold(entries_of(one, count))) for count in range(1, len(one["entries"]) + 1)]
        assert folds == one["folds"], one["played"]


@pytest.mark.parametrize("path", ALL)
def test_its_row_and_its_description_are_those_of_its_time(path: Any) -> None:
    """What was shown then is shown now; fields that came since are no matter of old journals."""
    for one in _standing(read(path)):
        state = fold(entries_of(one))
        row, shown = row_of(state), shown_of(state)
        assert {**row, **one["row"]} == row, one["played"]
        _assert_shown(one["shown"], shown, one["played"])


def _assert_shown(then: Any, now: Any, played: str) -> None:
    steps = [{**new, **old} for old, new in zip(then["steps"], now["steps"], strict=True)]
    assert {**now, **then, "steps": steps} == now, played


@pytest.mark.parametrize("path", ALL)
def test_what_follows_each_entry_is_what_followed_in_its_time(path: Any) -> None:
    for one in _standing(read(path)):
        for count, follows in enumerate(one["next"], 1):
            now = continuations(one, count) if follows else {}
            then = {name: what for name, what in follows.items() if name not in _decided_since(path, one, count)}
            assert {**now, **then} == now, f"{one['played']}, entry {count}"


def _decided_since(path: Any, journal: Journal, count: int) -> set[str]:
    """What is answered otherwise since, on purpose: from format 6 on the outcome of a lost step settles it while an operator is asked."""
    if int(path.stem.removeprefix("format-")) >= 6:
        return set()
    return {f"completed {number}" for number in fold(entries_of(journal, count)).asked}


@pytest.mark.parametrize("path", ALL)
def test_what_is_appended_to_it_is_read_back_as_it_was_decided(path: Any) -> None:
    """The state that goes on in memory is the one that the next core reads, old entries and new ones in one journal."""
    for one in _standing(read(path)):
        entries = entries_of(one)
        for name, event in possible_events(fold(entries)):
            state = fold(entries)
            now = event_time(state, event)
            decision = advance(state, event, now)
            if decision.records:
                new = r.Entry(state.deployment, state.entry + 1, now, "now", decision.records)
                stored = strict_json.loads(strict_json.dumps(r.entry_to_document(new)))
                again = fold([*entries, r.entry_from_document(new.deployment, new.number, stored)])
                state.entry, state.entry_at = new.number, now
                assert slots_of(again) == slots_of(state), f"{one['played']}: {name}"


@pytest.mark.parametrize("path", ALL)
def test_a_store_that_holds_it_reads_it_shows_it_and_goes_on(path: Any, store_place: StorePlace) -> None:  # noqa: F811
    """As its time has stored it: the documents are put there as they are, beside the engine."""
    store, journals = store_place.open(), read(path)
    for place, one in enumerate(journals):
        one["deployment"] = f"golden-{place}"
        _put(store_place, one)
    for one in journals:
        state = read_state(store, one["deployment"])
        if state is None:
            assert is_void(one)
            continue
        assert brief(state) == one["folds"][-1], one["played"]
        _go_on(store, one)


def _go_on(store: Store, journal: Journal) -> None:
    """Append what the first event leads to that leads to anything."""
    for _, event in possible_events(fold(store.entries(journal["deployment"]))):
        state = fold(store.entries(journal["deployment"]))
        now = event_time(state, event)
        decision = advance(state, event, now)
        if decision.records:
            state.entry, state.entry_at = state.entry + 1, now
            new = r.Entry(state.deployment, state.entry, now, "now", decision.records)
            assert store.append([Append(new, view_of(state, due_at(state, now)))]) == [Appended.STORED]
            again = read_state(store, state.deployment)
            assert again is not None
            assert slots_of(again) == slots_of(state), journal["played"]
            return


def _put(place: StorePlace, journal: Journal) -> None:
    """The stored entries, in the form that each store has had since the first format."""
    bodies = [(number, one) for number, one in enumerate(journal["entries"], 1)]
    if isinstance(place, SqlitePlace):
        with place.open()._database.writing() as connection:
            into = "INSERT INTO journal (deployment, number, body) VALUES (?, ?, ?)"
            connection.executemany(into, [(journal["deployment"], n, strict_json.dumps(one)) for n, one in bodies])
        return
    assert isinstance(place, MongoPlace)
    client: MongoClient[Any] = MongoClient(place._url)
    with client:
        client.get_default_database()["journal"].insert_many(
            {"_id": r.entry_id(journal["deployment"], n), **one, "records": strict_json.dumps(one["records"])}
            for n, one in bodies
        )
