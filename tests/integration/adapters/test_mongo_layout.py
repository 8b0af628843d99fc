"""MongoStore: a database of an older layout is led to the newest one, by however many start at once; a newer is refused."""

from __future__ import annotations

import threading

import pytest

from re_core.adapters.mongo import MongoStore, layout
from re_core.adapters.mongo.database import Database
from re_core.errors import StoreRefused
from re_core.rows import Token
from tests.contract.samples import append, entry, view


def _version(database: Database) -> object:
    found = database.meta.find_one({"_id": "layout"})
    return found and found["layout"]


def _indexes(database: Database, name: str) -> dict[str, object]:
    return {one["name"]: dict(one["key"]) for one in database.raw[name].list_indexes()}


def test_an_empty_database_becomes_a_store(mongo_store: MongoStore, mongo_database: Database) -> None:
    assert _version(mongo_database) == len(layout.STEPS)
    for name, indexes in layout.INDEXES.items():
        assert set(_indexes(mongo_database, name)) == {"_id_", *indexes}


def test_a_newer_layout_is_refused_and_left_as_it_was(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str
) -> None:
    mongo_database.meta.update_one({"_id": "layout"}, {"$set": {"layout": len(layout.STEPS) + 1}})
    with pytest.raises(StoreRefused, match="upgrade this engine"):
        MongoStore(mongo_url)
    assert _version(mongo_database) == len(layout.STEPS) + 1


def test_an_older_layout_is_led_on_and_keeps_what_it_holds(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mongo_store.append([append("d-1")])

    def later(database: Database) -> None:
        database.journal.update_many({}, {"$set": {"noted": True}})

    monkeypatch.setattr(layout, "STEPS", (*layout.STEPS, later))
    MongoStore(mongo_url).close()
    assert _version(mongo_database) == len(layout.STEPS)
    assert mongo_database.journal.count_documents({"noted": True}) == 1
    assert mongo_store.entries("d-1") == [entry("d-1")]


def test_a_step_that_was_cut_off_is_done_again(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def later(database: Database) -> None:
        done.append(1)
        if len(done) == 1:
            raise StoreRefused("cut off")

    before = len(layout.STEPS)
    monkeypatch.setattr(layout, "STEPS", (*layout.STEPS, later))
    with pytest.raises(StoreRefused, match="cut off"):
        MongoStore(mongo_url)
    assert _version(mongo_database) == before
    MongoStore(mongo_url).close()
    assert (len(done), _version(mongo_database)) == (2, before + 1)


def test_many_that_start_at_once_make_one_store(mongo_url: str, mongo_database: Database) -> None:
    stores: list[MongoStore] = []
    errors: list[Exception] = []
    start = threading.Barrier(4)

    def begin() -> None:
        start.wait()
        try:
            stores.append(MongoStore(mongo_url))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert errors == []
    assert _version(mongo_database) == len(layout.STEPS)
    assert set(_indexes(mongo_database, "views")) == {"_id_", *layout.INDEXES["views"]}


def test_indexes_that_are_missing_or_others_are_made_anew(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str
) -> None:
    views = mongo_database.views
    views.drop_index("re_due")
    views.drop_index("re_user")
    views.create_index([("user", 1)], name="re_user")
    assert sorted(problem.split()[3] for problem in mongo_store.survey().problems) == ["re_due", "re_user"]
    MongoStore(mongo_url).close()
    assert _indexes(mongo_database, "views")["re_user"] == {"user": 1, "created": -1, "_id": -1}
    assert mongo_store.survey().problems == ()


def test_an_index_of_others_that_changes_what_is_kept_is_told_and_left_alone(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str
) -> None:
    mongo_database.views.create_index([("reason", 1)], name="harmless")
    mongo_database.views.create_index([("step", 1)], name="mean", unique=True)
    [problem] = mongo_store.survey().problems
    assert problem == "views: the index mean was not created by the engine and changes what is stored (unique); drop it"
    MongoStore(mongo_url).close()
    assert {"harmless", "mean"} <= set(_indexes(mongo_database, "views"))


def test_the_lists_are_found_by_indexes(mongo_store: MongoStore, mongo_database: Database) -> None:
    """What is due and what is active is asked for all the time, and must not read what has ended."""
    mongo_store.write_views([view(f"d-{number}", number, ended=number, due=None) for number in range(2000)])
    mongo_store.write_views([view("open", 5, due=7)])
    mongo_store.append([append(f"d-{number}") for number in range(2000)])
    for query, index in (({"due": {"$lte": 9}}, "re_due"), ({"ended": None}, "re_active")):
        assert index in str(mongo_database.views.find(query).explain())
    assert "_id_" in str(mongo_database.journal.find({"_id": {"$gt": "d-1:000000", "$lt": "d-1;"}}).explain())


def test_tokens_of_an_older_layout_go_on_without_an_end_and_without_new_rights(
    mongo_store: MongoStore, mongo_database: Database, mongo_url: str
) -> None:
    old = {"_id": "1" * 64, "user": "ada", "groups": ["red"], "admin": False, "created": 1}
    mongo_database.tokens.insert_one(old)
    mongo_database.meta.update_one({"_id": "layout"}, {"$set": {"layout": 1}})
    MongoStore(mongo_url).close()
    assert mongo_store.tokens() == [Token("1" * 64, "ada", ("red",), False, 1, expires=None, used=None, notify=False)]
