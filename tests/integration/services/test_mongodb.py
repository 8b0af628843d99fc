"""The MongoDB of the tests is a server: databases keep tests apart, and one of one's own can be broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, DuplicateKeyError, ServerSelectionTimeoutError

from tests.services.documents import MongoDB, named
from tests.services.mongodb import MongoServer

#: Milliseconds a test waits for a server that must not answer.
SHORT = 1_000


@contextmanager
def _collection(url: str, **options: Any) -> Iterator[Collection[Mapping[str, Any]]]:
    with MongoClient[Mapping[str, Any]](url, **options) as client:
        yield client.get_default_database()["things"]


def test_a_document_in_one_database_is_in_no_other(mongodb: MongoDB) -> None:
    with mongodb.database() as one, mongodb.database() as other:
        with _collection(one) as things:
            things.insert_one({"_id": "thing"})
            assert things.count_documents({}) == 1
            with pytest.raises(DuplicateKeyError):
                things.insert_one({"_id": "thing"})
        with _collection(other) as things:
            assert things.count_documents({}) == 0


def test_a_database_is_gone_after_its_block(mongodb: MongoDB) -> None:
    with mongodb.database() as url, _collection(url) as things:
        things.insert_one({"_id": "thing"})
        name = things.database.name
    with mongodb.client() as client:
        assert name not in client.list_database_names()


def test_a_database_that_is_lent_again_has_its_indexes_and_no_document(mongodb: MongoDB) -> None:
    server = MongoDB(mongodb.url)
    with server.emptied_database() as first, server.emptied_database() as other, _collection(first) as things:
        things.create_index("size", name="by_size")
        things.insert_many([{"_id": number, "size": number} for number in range(3)])
        names = {urlsplit(url).path[1:] for url in (first, other)}
    with server.emptied_database() as again, _collection(again) as things:
        assert again == first
        assert (things.count_documents({}), "by_size" in things.index_information()) == (0, True)
    server.drop_emptied()
    with mongodb.client() as client:
        assert (len(names), names & set(client.list_database_names())) == (2, set())


def test_a_url_of_the_environment_names_the_server_not_a_database(mongodb: MongoDB) -> None:
    with mongodb.database() as theirs, named(theirs).database() as ours, _collection(ours) as things:
        things.insert_one({"_id": "thing"})
        assert things.database.name not in theirs


def test_a_killed_server_comes_back_with_what_it_acknowledged(own_mongodb: MongoServer) -> None:
    url = own_mongodb.new_database()
    with _collection(url) as things:
        things.insert_many([{"_id": number} for number in range(100)])
    own_mongodb.kill()
    with _collection(url, serverSelectionTimeoutMS=SHORT) as things, pytest.raises(ServerSelectionTimeoutError):
        things.count_documents({})
    own_mongodb.start()
    with _collection(url) as things:
        assert things.count_documents({}) == 100


def test_a_stopped_server_comes_back_with_what_it_acknowledged(own_mongodb: MongoServer) -> None:
    url = own_mongodb.new_database()
    with _collection(url) as things:
        things.insert_one({"_id": "thing"})
    own_mongodb.stop()
    own_mongodb.start()
    with _collection(url) as things:
        assert things.count_documents({}) == 1


def test_a_frozen_server_answers_nothing_until_it_is_thawed(own_mongodb: MongoServer) -> None:
    with _collection(own_mongodb.new_database(), socketTimeoutMS=SHORT, retryReads=False) as things:
        things.insert_one({"_id": "thing"})
        own_mongodb.freeze()
        with pytest.raises(AutoReconnect):
            things.count_documents({})
        own_mongodb.thaw()
    with _collection(own_mongodb.url + "other") as things:
        assert things.count_documents({}) == 0
