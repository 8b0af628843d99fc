"""MongoStore: places in the feed when answers are lost, when a process sleeps, and when others are always faster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from re_core.adapters.mongo import MongoStore, feed
from re_core.adapters.mongo.database import Database
from re_core.errors import StoreUnavailable
from re_core.ports import EntryRef
from tests.contract.samples import append, entry
from tests.integration.adapters.lossy_wire import LossyWire


def _ref(name: str, number: int = 1) -> EntryRef:
    return EntryRef(name, number, entry(name, number).at)


def _add(store: MongoStore, name: str, number: int = 1) -> None:
    store.append([append(name, number)])
    store.add_to_feed([_ref(name, number)])


def _keys(store: MongoStore) -> list[str]:
    return [one.id for _, one in store.feed(0, 1000).entries]


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it, and more time has passed than a process may trust what it knows for."""
    real, slept = feed._now, [0.0]
    monkeypatch.setattr(feed, "_now", lambda: real() + slept[0])

    def sleep() -> None:
        slept[0] += feed.FRESH + 1

    return sleep


def test_a_place_whose_answer_was_lost_is_not_given_twice(mongo_url: str) -> None:
    with closing(LossyWire(mongo_url)) as wire:
        store = MongoStore(wire.url)
        try:
            store.append([append("d-1"), append("d-2")])
            wire.lose_answer_to(b"insert\x00\x05\x00\x00\x00feed")
            with pytest.raises(StoreUnavailable):
                store.add_to_feed([_ref("d-1")])
            store.add_to_feed([], [_ref("d-1"), _ref("d-2")])
            assert _keys(store) == ["d-1:000001", "d-2:000001"]
        finally:
            store.close()


@pytest.fixture
def sleeper(mongo_url: str, mongo_store: MongoStore) -> Iterator[MongoStore]:
    """A second process's store: it has an entry to add, and others have filled and trimmed the feed since it looked."""
    with closing(MongoStore(mongo_url)) as store:
        store.append([append("late")])
        for number in range(1, 6):
            _add(mongo_store, "d", number)
        mongo_store.trim_feed(1)
        yield store


def test_a_store_that_slept_while_others_filled_and_trimmed_the_feed_adds_at_its_end(
    mongo_store: MongoStore, sleeper: MongoStore, asleep: Any
) -> None:
    asleep()
    sleeper.add_to_feed([_ref("late")])
    assert _keys(mongo_store) == ["d:000005", "late:000001"]


def test_a_store_that_falls_asleep_in_the_middle_of_an_insert_takes_it_back_and_adds_at_the_end(
    mongo_store: MongoStore, sleeper: MongoStore, asleep: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = Database.add, [False]

    def slow(self: Database, collection: Any, documents: list[Any]) -> list[int]:
        if collection.name == "feed" and not done[0]:
            done[0] = True
            asleep()
        return real(self, collection, documents)

    monkeypatch.setattr(Database, "add", slow)
    sleeper.add_to_feed([_ref("late")])
    assert done == [True]
    assert _keys(mongo_store) == ["d:000005", "late:000001"]


def test_who_finds_every_number_taken_says_so_and_loses_nothing(
    mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongo_store.append([append("d-1")])
    with monkeypatch.context() as patch:
        patch.setattr(feed.FeedPart, "_insert_chunk", lambda self, chunk: False)
        patch.setattr(feed, "SEEN", 0.0)
        with pytest.raises(StoreUnavailable):
            mongo_store.add_to_feed([_ref("d-1")])
    mongo_store.add_to_feed([], [_ref("d-1")])
    assert _keys(mongo_store) == ["d-1:000001"]


def test_a_turn_of_a_core_alone_is_one_insert(mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    mongo_store.append([append(f"d-{number}") for number in range(100)])
    inserted: list[tuple[str, int]] = []
    real = Database.add

    def counted(self: Database, collection: Any, documents: list[Any]) -> list[int]:
        inserted.append((collection.name, len(documents)))
        return real(self, collection, documents)

    monkeypatch.setattr(Database, "add", counted)
    mongo_store.add_to_feed([_ref(f"d-{number}") for number in range(100)])
    assert inserted == [("feed", 1)]


def test_a_damaged_entry_is_passed_over_and_the_others_come(mongo_store: MongoStore) -> None:
    _add(mongo_store, "d-1")
    _add(mongo_store, "d-2")
    mongo_store._database.journal.update_one({"_id": "d-1:000001"}, {"$set": {"records": "{"}})
    assert _keys(mongo_store) == ["d-2:000001"]
