"""MongoStore: what cannot be used is refused clearly, what is not there is waited for, and no message holds a password."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from re_core.adapters.mongo import MongoStore
from re_core.adapters.mongo.database import Database
from re_core.adapters.mongo.failures import translate_error
from re_core.errors import BadSettings, NotStorable, ReleaseEngineError, StoreRefused, StoreUnavailable
from tests.contract.samples import append, entry

WHERE = "mongodb://one:27017/re"


def _with(url: str, **changes: str) -> str:
    return urlunsplit(urlsplit(url)._replace(**changes))


# -- the URL -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://user:s3cret@x@host/re",
        "mongodb://user:s3cret@host:port/re",
        "mongodb://user:s3cret@host:99999999/re",
        "mongodb://user:s3cret@[::1/re",
        "mongodb://user:s3cret/@host/re",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        Database(url)
    assert "RE_STORE_URL" in str(caught.value) and "percent-encoded" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_database_of_the_url_is_used_and_re_where_it_names_none(mongo_url: str) -> None:
    database = Database(mongo_url)
    assert database.raw.name == urlsplit(mongo_url).path[1:]
    database.close()
    database = Database(_with(mongo_url, path="/"))
    assert database.raw.name == "re"
    database.close()


def test_the_url_cannot_weaken_what_is_promised(mongo_url: str) -> None:
    weak = "w=0&journal=false&readPreference=secondary&readConcernLevel=available"
    database = Database(_with(mongo_url, query=f"{urlsplit(mongo_url).query}&{weak}"))
    concern = database.journal.write_concern.document
    assert (concern["w"], concern["j"]) == ("majority", True)
    assert database.journal.read_preference.name == "Primary"
    assert database.journal.read_concern.level in ("local", "majority")
    database.close()


# -- the server --------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_not_told(mongo_url: str) -> None:
    parts = urlsplit(mongo_url)
    if not parts.username:
        pytest.skip("the server of these tests lets everybody in")
    with pytest.raises(StoreRefused) as caught:
        MongoStore(_with(mongo_url, netloc=f"{parts.username}:s3cret@{parts.hostname}:{parts.port}"))
    assert "user or password is wrong" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_waited_for_and_then_unavailable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    url = f"mongodb://user:s3cret@127.0.0.1:{port}/re?serverSelectionTimeoutMS=200"
    with pytest.raises(StoreUnavailable) as caught:
        MongoStore(url)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_too_old_is_refused(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_core.adapters.mongo.database._WIRE", 1000)
    with pytest.raises(StoreRefused, match="older than MongoDB 6"):
        MongoStore(mongo_url)


def test_a_set_that_is_not_this_one_is_unavailable(mongo_url: str) -> None:
    query = f"{urlsplit(mongo_url).query}&replicaSet=nosuchset&serverSelectionTimeoutMS=200"
    with pytest.raises(StoreUnavailable, match="nosuchset"):
        MongoStore(_with(mongo_url, query=query))


# -- the database ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["playbooks", "journal", "tokens"])
def test_a_database_that_another_program_has_filled_is_refused_and_left_as_it_was(
    mongo_database: Database, mongo_url: str, name: str
) -> None:
    mongo_database.raw[name].insert_one({"_id": 1, "group": "of 2014"})
    with pytest.raises(StoreRefused) as caught:
        MongoStore(mongo_url)
    assert f"its collection {name} was filled by another program" in str(caught.value)
    assert mongo_database.raw.list_collection_names() == [name]


def test_a_database_that_another_program_has_marked_is_refused(mongo_database: Database, mongo_url: str) -> None:
    mongo_database.meta.insert_one({"_id": "layout", "application": "other", "layout": 1})
    with pytest.raises(StoreRefused, match="database of another program"):
        MongoStore(mongo_url)


def test_collections_of_others_beside_ours_are_left_alone(mongo_database: Database, mongo_url: str) -> None:
    mongo_database.raw["others"].insert_one({"_id": 1})
    store = MongoStore(mongo_url)
    store.append([append("d-1")])
    assert store.entries("d-1") == [entry("d-1")]
    assert store.survey().problems == ()
    store.close()
    assert mongo_database.raw["others"].count_documents({}) == 1


# -- what the driver and the server say --------------------------------------------------------------


def _server(code: int, words: str = "words of the server") -> OperationFailure:
    return OperationFailure(words, code)


def _bulk(**errors: list[dict[str, Any]]) -> BulkWriteError:
    return BulkWriteError({"writeErrors": [], "writeConcernErrors": [], **errors})


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (_server(18), StoreRefused, "user or password is wrong"),
        (_server(13), StoreRefused, "give it the role readWrite"),
        (_server(8000), StoreRefused, "user or password is wrong"),
        (_server(121), StoreRefused, "validator"),
        (_server(14031), StoreUnavailable, "free space"),
        (_server(1, "could not extend file: No space left on device"), StoreUnavailable, "free space"),
        (_server(1, "unexpected EOF"), StoreUnavailable, "unexpected EOF"),
        (_server(100), StoreUnavailable, "majority"),
        (_server(134), StoreUnavailable, "primary"),
        (_server(10107), StoreUnavailable, "code 10107"),
        (NotPrimaryError("not primary"), StoreUnavailable, "not primary"),
        (AutoReconnect("connection closed"), StoreUnavailable, "the connection was lost"),
        (NetworkTimeout("timed out"), StoreUnavailable, "timed out"),
        (ServerSelectionTimeoutError("one:27017: refused"), StoreUnavailable, "no server that accepts writes"),
        (WTimeoutError("waiting", 64, {}), StoreUnavailable, "did not confirm the write"),
        (WriteConcernError("no", 100, {}), StoreUnavailable, "majority"),
        (
            _bulk(writeConcernErrors=[{"code": 64, "errmsg": "waiting"}]),
            StoreUnavailable,
            "did not confirm the write",
        ),
        (_bulk(writeErrors=[{"index": 0, "code": 11000}, {"index": 1, "code": 13}]), StoreRefused, "readWrite"),
        (_bulk(writeErrors=[{"index": 0, "code": 1, "errmsg": "disk full"}]), StoreUnavailable, "free space"),
        (DocumentTooLarge("17 MiB"), NotStorable, "cannot be stored"),
        (InvalidOperation("Cannot use MongoClient after close"), StoreUnavailable, "it was closed"),
        (OverflowError("8-byte ints"), NotStorable, "cannot be stored"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_says_where_what_and_who_must_act(
    error: Exception, kind: type[ReleaseEngineError], words: str
) -> None:
    told = translate_error(WHERE, error)
    assert type(told) is kind
    assert str(told).startswith(f"store {WHERE}: ")
    assert words in str(told)


def test_a_password_in_the_words_of_a_server_is_not_repeated() -> None:
    told = translate_error(WHERE, _server(1, "cannot reach mongodb://user:s3cret@two:27017/re, full error: {}"))
    assert "s3cret" not in str(told)
