"""MongoStore: documents among runners, releases and gateways that the engine did not write."""

from __future__ import annotations

import logging

import pytest

from re_core.adapters.mongo import MongoStore
from re_core.adapters.mongo.database import Database
from re_core.errors import StoreRefused
from re_core.rows import Release, Runner

#: of the deployment `d`, open, with a token and an owner that a query finds
_FOREIGN = {"_id": "d/1/1", "deployment": "d", "open": True, "owner": "gateway", "token": "t", "created": 1}


def test_documents_that_are_not_ours_are_passed_over_in_lists_and_reported(
    mongo_store: MongoStore, mongo_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for name in ("runners", "releases", "gateways"):
        mongo_database.raw[name].insert_one(dict(_FOREIGN))
    assert (mongo_store.runners(), mongo_store.gateways(), mongo_store.open_versions()) == ([], {}, {})
    assert (mongo_store.open_releases("gateway"), mongo_store.releases_of("d")) == ([], [])
    problems = "\n".join(mongo_store.survey().problems)
    for name in ("runners", "releases", "gateways"):
        assert f"the document 'd/1/1' in {name} was not written by the engine" in caplog.text
        assert f"the document 'd/1/1' in {name} was not written by the engine, or is damaged; remove it" in problems


def test_what_is_asked_for_by_its_key_and_is_not_ours_is_refused(
    mongo_store: MongoStore, mongo_database: Database
) -> None:
    for name in ("runners", "releases"):
        mongo_database.raw[name].insert_one(dict(_FOREIGN))
    with pytest.raises(StoreRefused, match="the document 'd/1/1' in releases was not written by the engine"):
        mongo_store.find_release("d/1/1")
    with pytest.raises(StoreRefused, match="in releases was not written by the engine"):
        mongo_store.release_by_token("t")
    with pytest.raises(StoreRefused, match="the document 'd/1/1' in runners was not written by the engine"):
        mongo_store.runner("d/1/1")
    assert not mongo_store.save_release(Release("d/1/1", 1, "gateway", "waiting", b"", 5))
    assert not mongo_store.enroll_runner(Runner("d/1/1", "digest", 5, "ada"))
