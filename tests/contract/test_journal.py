"""Journal: entries whole or not at all, one winner, nothing acknowledged is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment.records import (
    Accepted,
    BlockDraining,
    CancelRequested,
    Completed,
    Dispatched,
    Ended,
    Entry,
    Failed,
    Fenced,
    Late,
    Lost,
    Record,
    Skipped,
    Started,
    TimedOut,
    Withdrawn,
    entry_from_document,
    entry_to_document,
)
from re_core.ports import Append, Appended, Store, ViewFilter, every_entry
from re_core.ports.reading import PAGE
from tests.contract.places import StorePlace
from tests.contract.racing import at_once
from tests.contract.samples import append, entry, view

STORED, LOST = Appended.STORED, Appended.LOST

EVERY_KIND: tuple[Record, ...] = (
    Accepted("team", "p", "release", 3, "ada", "rest", "digest", {"cart": "ä\x00"}, {"steps": [1, 2.5, None]}),
    Dispatched(0, 1),
    Started(0, 1, "w-1", "token", "re.control.w-1"),
    Completed(0, 1, {"lines": ["x"]}, "fine", True),
    Failed(1, 2, [1], "broken"),
    TimedOut(2, 1, "too slow"),
    Lost(3, 1, "gone"),
    Fenced(3, 1, "again"),
    Withdrawn(4),
    Late(3, 1, "completed", {"x": 1}),
    BlockDraining(0, "a step failed"),
    CancelRequested("ada", "wrong version"),
    Skipped(((5, 7), (9, 9))),
    Ended("failed", "a step failed"),
)


def test_every_kind_of_record_comes_back_as_it_was_appended(store: Store) -> None:
    whole = Entry("d-1", 1, 5, "core-1", EVERY_KIND)
    assert store.append([Append(whole)]) == [STORED]
    assert store.entries("d-1") == [whole]


def test_entries_come_in_order_and_from_a_number_on(store: Store) -> None:
    store.append([append("d-1", number) for number in (2, 1, 3)] + [append("d-2", 1)])
    store.append([append("d-1", number) for number in range(4, 13)])
    assert [one.number for one in store.entries("d-1")] == list(range(1, 13))
    assert [one.number for one in store.entries("d-1", 9)] == [10, 11, 12]
    assert store.entries("d-1", 12) == []
    assert store.entries("d-1", 10**30) == []


def test_a_journal_comes_page_by_page(store: Store) -> None:
    for number in range(1, 3 * PAGE):
        store.append([append("d-1", number)])
    store.append([append("d-1:000001"), append("d-2")])
    assert [one.number for one in store.entries("d-1", 2, 3)] == [3, 4, 5]
    assert store.entries("d-1", 0, 0) == []
    assert [one.number for one in every_entry(store, "d-1")] == list(range(1, 3 * PAGE))
    assert [one.number for one in every_entry(store, "d-1", 2 * PAGE)] == list(range(2 * PAGE + 1, 3 * PAGE))
    assert list(every_entry(store, "d-9")) == []


def test_entries_past_a_million_come_in_order_too(store: Store) -> None:
    numbers = [1, 100_000, 999_999, 1_000_000, 1_000_001, 10_000_000]
    for number in reversed(numbers):
        assert store.append([append("d-1", number)]) == [STORED]
    assert [one.number for one in store.entries("d-1")] == numbers
    for after in (*numbers, 1_000_002, 2**53):
        assert [one.number for one in store.entries("d-1", after)] == [one for one in numbers if one > after]
    rival = entry("d-1", 1_000_000, "rival")
    assert store.append([Append(rival)]) == [LOST]
    assert store.journals(10).ids == ["d-1"] and store.survey().problems == ()
    store.forget(["d-1"])
    assert store.entries("d-1") == []


def test_an_unknown_deployment_has_no_entries(store: Store) -> None:
    assert store.entries("nobody") == []


def test_the_ids_of_deployments_may_have_any_shape(store: Store) -> None:
    ids = ["a", "a:000001", "a%", "A", "a b", "ä", "", "a\x00b", "'; DROP TABLE journal"]
    assert store.append([append(id) for id in ids]) == [STORED] * len(ids)
    assert [store.entries(id) for id in ids] == [[entry(id)] for id in ids]


def test_an_empty_batch_is_no_work(store: Store) -> None:
    assert store.append([]) == []


def test_a_large_batch_is_stored_whole(store: Store) -> None:
    batch = [append(f"d-{number}") for number in range(517)]
    assert store.append(batch) == [STORED] * 517
    assert all(store.entries(one.entry.deployment) == [one.entry] for one in batch)


def test_a_rivals_entry_of_that_number_stays(store: Store) -> None:
    store.append([append("d-1", writer="core-1")])
    assert store.append([append("d-1", writer="core-2")]) == [LOST]
    assert store.entries("d-1") == [entry("d-1", writer="core-1")]


def test_ones_own_entry_whose_answer_was_lost_counts_as_stored(store: Store) -> None:
    store.append([append("d-1")])
    assert store.append([append("d-1")]) == [STORED]
    assert len(store.entries("d-1")) == 1


def test_other_content_of_the_same_writer_is_lost(store: Store) -> None:
    store.append([append("d-1", step=0)])
    assert store.append([append("d-1", step=7)]) == [LOST]
    assert store.entries("d-1") == [entry("d-1", step=0)]


def test_a_lost_entry_disturbs_no_other(store: Store) -> None:
    store.append([append("d-2", writer="rival")])
    assert store.append([append("d-1"), append("d-2"), append("d-3")]) == [STORED, LOST, STORED]
    assert store.entries("d-3") == [entry("d-3")]


def test_one_batch_with_the_same_number_twice_has_one_winner(store: Store) -> None:
    assert store.append([append("d-1", writer="a"), append("d-1", writer="b")]) == [STORED, LOST]
    assert store.entries("d-1") == [entry("d-1", writer="a")]


def test_the_view_of_a_lost_entry_is_not_written(store: Store) -> None:
    store.append([append("d-1", writer="rival")._replace(view=view("d-1", user="rival"))])
    lost = append("d-1")._replace(view=view("d-1", entry=9, step="lost:Lost"))
    other = append("d-2")._replace(view=view("d-2"))
    assert store.append([lost, other]) == [LOST, STORED]
    assert {one.id: one.step for one in store.views(ViewFilter(), 10).rows} == {"d-1": "noop:Noop", "d-2": "noop:Noop"}


def test_the_view_of_a_new_deployment_is_there_with_its_entry(store: Store) -> None:
    store.append([append("d-1")._replace(view=view("d-1"))])
    assert store.views(ViewFilter(), 10).rows == [view("d-1")]


def test_racing_appends_of_one_number_have_one_winner(store_place: StorePlace) -> None:
    """Two cores, each with its own door to the store, append the same numbers at the same time."""
    stores = [store_place.open(), store_place.open()]
    outcomes: dict[str, list[Appended]] = {}

    def run(core: int) -> None:
        name = f"core-{core}"
        outcomes[name] = [stores[core].append([append("d-1", number, name)])[0] for number in range(1, 61)]

    at_once(run)
    winners = [one.writer for one in stores[0].entries("d-1")]
    assert len(winners) == 60
    for number, winner in enumerate(winners):
        assert {name: outcome[number] for name, outcome in outcomes.items() if name == winner} == {winner: STORED}
        assert [outcome[number] for name, outcome in outcomes.items() if name != winner] == [LOST]


def test_what_was_answered_stored_is_there_after_a_reopening(store_place: StorePlace) -> None:
    first = store_place.open()
    first.append([append("d-1"), append("d-1", 2)])
    first.close()
    assert store_place.open().entries("d-1") == [entry("d-1"), entry("d-1", 2)]


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(_TEXTS, _DATA), min_size=1, max_size=5), _TEXTS)
def test_the_stored_form_of_an_entry_says_all_of_it(said: list[tuple[str, object]], writer: str) -> None:
    """Pure half of the suite: every adapter stores this form."""
    records = tuple(Completed(number, 1, data, text) for number, (text, data) in enumerate(said))
    original = Entry("d-1", 1, 5, writer, records)
    assert entry_from_document("d-1", 1, entry_to_document(original)) == original
