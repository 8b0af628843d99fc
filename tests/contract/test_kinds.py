"""Journals and rows of other kinds than deployments: kept whole by every store, and refused by who does not know the kind."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment.records import Entry, Void
from re_core.errors import NewerFormat, StoreRefused
from re_core.model import DeploymentStatus
from re_core.ports import Append, Appended, EntryCodec, Store, ViewFilter, read_state
from re_core.usecases.inspection import Rebuilt, check, rebuild_views
from tests.contract.samples import append, view
from tests.counter import Counted, Counter, Held, Released

KEY = "counter/a"


def _entry(number: int, *records: Any) -> Entry:
    return Entry(KEY, number, 4 + number, "w", records, "counter")


ENTRIES = (_entry(1, Void("nothing")), _entry(2, Counted("r1"), Counted("ä\x00")), _entry(3, Held(1), Released(1)))


class _Shorter(Counter):
    """An engine that does not know one of its records."""

    records = {name: type for name, type in Counter.records.items() if type is not Counted}


@pytest.fixture
def counting(store: Store) -> Store:
    """A store that knows counters, and has one."""
    unsealed: Any = store
    unsealed._codec = EntryCodec(Counter)
    row = view(KEY, group="", status=DeploymentStatus.RUNNING, due=10)
    assert store.append([Append(ENTRIES[0], row), *map(Append, ENTRIES[1:])]) == [Appended.STORED] * 3
    return store


def test_entries_of_another_kind_come_back_as_they_were(counting: Store) -> None:
    assert counting.entries(KEY) == list(ENTRIES)
    assert counting.append([Append(ENTRIES[0])]) == [Appended.STORED], "one's own is recognised"
    assert counting.append([Append(ENTRIES[0]._replace(writer="rival"))]) == [Appended.LOST]


def test_who_does_not_know_the_kind_refuses_its_entries_and_reads_all_others(counting: Store) -> None:
    unsealed: Any = counting
    unsealed._codec = EntryCodec()
    counting.append([append("d-1")])
    with pytest.raises(NewerFormat, match="of the kind 'counter', which this engine does not know; upgrade"):
        counting.entries(KEY)
    with pytest.raises(StoreRefused, match="not registered"):
        counting.append([Append(ENTRIES[0]._replace(deployment="counter/b"))])
    assert [one.number for one in counting.entries("d-1")] == [1]


def test_its_row_is_due_and_in_no_list(counting: Store) -> None:
    counting.write_views([view("d-1")])
    assert counting.due(10, 5) == [KEY]
    assert [one.id for one in counting.views(ViewFilter(), 5).rows] == ["d-1"]
    assert [one.id for one in counting.rows([KEY])] == [KEY]


def test_who_looks_after_the_store_finds_nothing_wrong_with_it_and_leaves_it_alone(counting: Store) -> None:
    with pytest.raises(NewerFormat, match="is that of a counter"):
        read_state(counting, KEY)
    assert _findings(counting) == []
    assert rebuild_views(counting, 10**13) == Rebuilt(0, 0, ())
    assert counting.due(10, 5) == [KEY] and counting.entries(KEY) == list(ENTRIES)


def test_an_entry_of_it_that_cannot_be_read_is_found(counting: Store) -> None:
    unsealed: Any = counting
    counting.append([Append(_entry(4, Counted("r2")))])
    unsealed._codec = EntryCodec(_Shorter)
    (finding,) = _findings(counting)
    assert (finding.what, finding.deployment) == ("journal", KEY)
    assert "unknown kind 'counted'" in finding.message
    assert rebuild_views(counting, 10**13).unreadable == (KEY,)


def test_rows_of_it_that_have_ended_do_not_stand_in_the_way_of_a_prune(counting: Store) -> None:
    others = [view(f"counter/{number}", group="", status=DeploymentStatus.COMPLETED, ended=1) for number in range(60)]
    counting.write_views(others)
    counting.append([append("d-1")._replace(view=view("d-1", status=DeploymentStatus.COMPLETED, ended=2))])
    assert counting.ended(10, 50) == ["d-1"]


def _findings(store: Store) -> list[Any]:
    return list(check(store, 10**13))


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"v": 5}, NewerFormat, "has format 5"),
        ({"records": [{"kind": "reset"}]}, NewerFormat, "unknown kind 'reset'"),
        ({"records": [{"kind": "held", "turn": 1, "until": 2}]}, NewerFormat, "an unknown 'until'"),
        ({"records": [{"kind": "held"}]}, StoreRefused, "is damaged"),
        ({"records": None}, StoreRefused, "is damaged"),
        ({"v": "x"}, StoreRefused, "is damaged"),
        ({"kind": ["counter"]}, StoreRefused, "is damaged"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    change: dict[str, Any], error: type[Exception], says: str
) -> None:
    codec = EntryCodec(Counter)
    document = {**codec.to_document(ENTRIES[2]), **change}
    with pytest.raises(error, match=says) as raised:
        codec.from_document(KEY, 3, document)
    assert "counter/a:000003" in str(raised.value)
