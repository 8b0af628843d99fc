"""Feed: every entry that was marked has one place, places only rise, and nothing appears before where somebody has read."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from re_core.deployment.records import Entry
from re_core.ports import Append, EntryRef, Store
from re_core.ports.feed import FeedRange
from tests.contract.places import StorePlace
from tests.contract.samples import entry


def _store(store: Store, *entries: Entry, repeated: bool = False) -> None:
    """As a sequencer does it: append, then what no transaction has brought into the feed."""
    store.append([Append(one, fed=True) for one in entries])
    if not store.transactional:
        refs = [EntryRef(one.deployment, one.number, one.at) for one in entries]
        store.add_to_feed(*([], refs) if repeated else (refs, []))


def _all(store: Store, after: int = 0, page: int = 100) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    while (some := store.feed(after, page)).after != after:
        found += [(at, one.id) for at, one in some.entries]
        after = some.after
    return found


def _keys(found: Sequence[tuple[int, str]]) -> list[str]:
    return [key for _, key in found]


def test_an_empty_feed_begins_and_ends_at_nothing(store: Store) -> None:
    assert store.feed_range() == FeedRange(0, 0)
    assert store.feed(0, 10) == ([], 0)


def test_entries_come_in_the_order_of_their_appends_and_whole(store: Store) -> None:
    _store(store, entry("b"), entry("a"))
    _store(store, entry("b", 2))
    assert _keys(_all(store)) == ["b:000001", "a:000001", "b:000002"]
    assert [one for _, one in store.feed(0, 10).entries] == [entry("b"), entry("a"), entry("b", 2)]


def test_who_goes_on_from_any_position_misses_nothing_and_gets_nothing_twice(store: Store) -> None:
    for number in range(1, 8):
        _store(store, *(entry(name, number) for name in "abc"))
    everything = _all(store)
    assert len(everything) == 21
    for page in (1, 2, 5, 100):
        assert _all(store, page=page) == everything
    for place, (position, _) in enumerate(everything):
        assert _all(store, position) == everything[place + 1 :]
    assert store.feed_range().newest == everything[-1][0]


def test_an_entry_that_is_not_marked_is_not_in_the_feed(store: Store) -> None:
    store.append([Append(entry("a")), Append(entry("b"), fed=store.transactional)])
    assert _keys(_all(store)) == (["b:000001"] if store.transactional else [])


def test_of_an_append_that_was_lost_nothing_is_in_the_feed(store: Store) -> None:
    _store(store, entry("a", writer="core-1"))
    store.append([Append(entry("a", writer="core-2"), fed=True), Append(entry("b", writer="core-2"), fed=True)])
    if not store.transactional:
        store.add_to_feed([EntryRef("b", 1, 0)])
    assert _keys(_all(store)) == ["a:000001", "b:000001"]


def test_an_entry_that_is_added_once_more_keeps_its_place(store_place: StorePlace) -> None:
    first, second = store_place.open(), store_place.open()
    _store(first, entry("a"), entry("b"))
    before = _all(first)
    for store in (first, second):
        _store(store, entry("b"), entry("a"), repeated=True)
    assert _all(first) == before


def test_what_another_core_has_added_while_this_one_stood_still_is_not_added_again(store_place: StorePlace) -> None:
    frozen, other = store_place.open(), store_place.open()
    frozen.append([Append(entry("a"), fed=True)])
    _store(other, entry("x"))
    if not other.transactional:
        other.add_to_feed([], [EntryRef("a", 1, entry("a").at)])
        frozen.add_to_feed([EntryRef("a", 1, entry("a").at)])
    assert sorted(_keys(_all(other))) == ["a:000001", "x:000001"]


def test_a_core_that_adds_what_others_began_does_not_add_its_own_twice(store_place: StorePlace) -> None:
    """Another core has loaded the deployment meanwhile, and has added the entry too."""
    slow, other = store_place.open(), store_place.open()
    slow.append([Append(entry("mine"), fed=True), Append(entry("theirs"), fed=True)])
    if not slow.transactional:
        mine, theirs = (EntryRef(one, 1, entry(one).at) for one in ("mine", "theirs"))
        other.add_to_feed([], [mine])
        slow.add_to_feed([mine], [theirs])
    assert sorted(_keys(_all(other))) == ["mine:000001", "theirs:000001"]


def test_of_many_entries_at_once_each_has_a_place(store: Store) -> None:
    _store(store, *(entry("many", number) for number in range(1, 2500)))
    found = _all(store, page=700)
    assert _keys(found) == [f"many:{number:06d}" for number in range(1, 2500)]
    assert [at for at, _ in found] == sorted({at for at, _ in found})


def test_what_was_deleted_from_a_journal_is_left_out_and_the_others_come(store: Store) -> None:
    _store(store, entry("a"), entry("b"))
    _store(store, entry("a", 2))
    store.forget(["a"])
    page = store.feed(0, 10)
    assert [one.id for _, one in page.entries] == ["b:000001"]
    assert page.after == store.feed_range().newest


def test_a_trimmed_feed_says_where_it_begins_and_goes_on_rising(store: Store) -> None:
    for number in range(1, 6):
        _store(store, entry("a", number))
    everything = _all(store)
    store.trim_feed(2)
    before, newest = store.feed_range()
    assert everything[2][0] <= before < everything[3][0] and newest == everything[-1][0]
    assert _all(store, before) == _all(store) == everything[3:]
    store.trim_feed(0)
    _store(store, entry("b"))
    assert _all(store)[-1] > everything[-1]


def test_positions_go_on_after_the_store_was_closed(store_place: StorePlace) -> None:
    _store(store_place.open(), entry("a"))
    again = store_place.open()
    _store(again, entry("b"))
    assert _keys(_all(again)) == ["a:000001", "b:000001"]


def test_a_reader_beside_many_writers_sees_each_entry_once_and_nothing_behind_itself(store_place: StorePlace) -> None:
    writers, each = 3, 25
    stores = [store_place.open() for _ in range(writers)]
    reader = store_place.open()

    def write(store: Store, name: str) -> None:
        for number in range(1, each + 1):
            _store(store, entry(name, number))

    seen: list[tuple[int, str]] = []
    after = 0
    with ThreadPoolExecutor(writers) as pool:
        written = [pool.submit(write, one, f"w{place}") for place, one in enumerate(stores)]
        while not all(one.done() for one in written):
            page = reader.feed(after, 7)
            seen += [(at, one.id) for at, one in page.entries]
            after = page.after
        for one in written:
            one.result()
    seen += _all(reader, after)
    assert seen == _all(reader)
    assert len({key for _, key in seen}) == writers * each
