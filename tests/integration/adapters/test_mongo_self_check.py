"""The self-check of MongoStore: a server that loses writes is refused, and told why; a good one has nothing left of it."""

from __future__ import annotations

import pytest

from re_core.adapters.mongo import MongoStore
from re_core.adapters.mongo.database import Database
from re_core.adapters.mongo.self_check import Failed, check, check_server
from re_core.errors import StoreRefused
from tests.integration.adapters.planted import MISTAKES, LeavesOutAnAnswer, LooksAndThenWrites, Planted


def test_a_good_server_passes_and_has_nothing_left_of_it(mongo_database: Database) -> None:
    check(mongo_database.checks)
    assert mongo_database.checks.count_documents({}) == 0


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_every_planted_mistake_is_found(mongo_database: Database, mistake: type[Planted]) -> None:
    with pytest.raises(Failed):
        check(mistake(mongo_database.checks).as_collection())
    assert mongo_database.checks.count_documents({}) == 0


def test_a_collection_without_a_mistake_is_not_suspected(mongo_database: Database) -> None:
    check(Planted(mongo_database.checks).as_collection())


def test_the_refusal_says_what_the_server_does_wrong(mongo_database: Database) -> None:
    mongo_database.checks = LooksAndThenWrites(mongo_database.checks).as_collection()
    with pytest.raises(StoreRefused) as caught:
        check_server(mongo_database)
    assert "racing updates of one document" in str(caught.value)
    assert "Use MongoDB 6 or newer" in str(caught.value)


def test_a_server_that_leaves_out_what_the_driver_expects_is_refused(mongo_database: Database) -> None:
    mongo_database.checks = LeavesOutAnAnswer(mongo_database.checks).as_collection()
    with pytest.raises(StoreRefused, match="does not behave as MongoDB"):
        check_server(mongo_database)


def test_a_store_that_is_opened_asks(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(self: Database, url: str) -> None:
        whole(self, url)
        self.checks = LooksAndThenWrites(self.checks).as_collection()

    whole = Database.__init__
    monkeypatch.setattr(Database, "__init__", planted)
    with pytest.raises(StoreRefused, match="this server cannot be the engine's store"):
        MongoStore(mongo_url)


def test_what_a_check_that_was_cut_off_has_left_is_swept_away(mongo_database: Database) -> None:
    mongo_database.checks.insert_many([{"_id": "old", "at": 5}, {"_id": "of another start", "at": 10**15}])
    check(mongo_database.checks)
    assert [one["_id"] for one in mongo_database.checks.find()] == ["of another start"]
