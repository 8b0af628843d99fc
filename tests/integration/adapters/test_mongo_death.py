"""MongoStore while its server dies under it: what was answered is there, what was not can be asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from re_core.adapters.mongo import MongoStore
from re_core.errors import StoreUnavailable
from re_core.ports import Appended
from tests.contract.samples import append, entry
from tests.services.mongodb import MongoServer

pytestmark = pytest.mark.timeout(300)

#: milliseconds that these stores look for a server, so that an outage is told soon
_SOON = "serverSelectionTimeoutMS=500"


@pytest.fixture
def url(own_mongodb: MongoServer) -> str:
    url = own_mongodb.new_database()
    return f"{url}{'&' if '?' in url else '?'}{_SOON}"


@pytest.fixture
def store(url: str) -> Iterator[MongoStore]:
    store = MongoStore(url)
    yield store
    store.close()


def _append(store: MongoStore, number: int, writer: str) -> None:
    """Until somebody's entry has that number, as a core does that is told to wait."""
    while True:
        try:
            [outcome] = store.append([append("d-1", number, writer)])
            assert outcome is Appended.STORED
            return
        except StoreUnavailable:
            continue


def test_what_was_answered_survives_the_death_of_the_server_and_what_was_not_is_asked_again(
    own_mongodb: MongoServer, store: MongoStore, url: str
) -> None:
    """One goes on appending with one writer, as if each batch were repeated until it is answered, while the server dies twice."""
    answered: list[int] = []
    far = {10: threading.Event(), 60: threading.Event(), 110: threading.Event()}
    stop = threading.Event()

    def core() -> None:
        for number in range(1, 100_000):
            if stop.is_set():
                return
            _append(store, number, "core-1")
            answered.append(number)
            if number in far:
                far[number].set()

    thread = threading.Thread(target=core)
    thread.start()
    for number, reached in far.items():
        assert reached.wait(60)
        if number < 110:
            own_mongodb.kill()
            own_mongodb.start()
    stop.set()
    thread.join()
    assert store.entries("d-1") == [entry("d-1", number) for number in answered]
    again = MongoStore(url)
    assert len(again.entries("d-1")) == len(answered)
    again.close()


def test_a_server_that_is_away_is_told_and_comes_back_by_itself(
    own_mongodb: MongoServer, store: MongoStore, url: str
) -> None:
    store.append([append("d-1")])
    own_mongodb.stop()
    for ask in (
        store.ping,
        lambda: store.entries("d-1"),
        lambda: store.append([append("d-1", 2)]),
        lambda: MongoStore(url),
    ):
        with pytest.raises(StoreUnavailable):
            ask()
    own_mongodb.start()
    store.ping()
    assert store.entries("d-1") == [entry("d-1")]
    assert store.append([append("d-1", 2)]) == [Appended.STORED]


def test_a_server_that_is_frozen_is_given_up_in_time(own_mongodb: MongoServer, url: str) -> None:
    MongoStore(url).close()  # which makes the indexes in its own time
    store = MongoStore(f"{url}&socketTimeoutMS=2000")
    own_mongodb.freeze()
    try:
        with pytest.raises(StoreUnavailable):
            store.append([append("d-1")])
    finally:
        own_mongodb.thaw()
    _append(store, 1, "core-1")
    assert store.entries("d-1") == [entry("d-1")]
    store.close()
