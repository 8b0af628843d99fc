"""What the tests of the adapters share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_core.adapters.mongo import MongoStore
from re_core.adapters.mongo.database import Database
from re_core.adapters.sqlite import SqliteStore
from tests.contract.samples import append
from tests.integration.adapters.amqp_harness import AmqpHarness
from tests.services.broker import RabbitMQ


@pytest.fixture
def harness(rabbitmq: RabbitMQ) -> Iterator[AmqpHarness]:
    """A virtual host of RabbitMQ with nothing on it."""
    with closing(AmqpHarness(rabbitmq)) as harness:
        yield harness


@pytest.fixture
def mongo_store(mongo_url: str) -> Iterator[MongoStore]:
    """A store in it."""
    with closing(MongoStore(mongo_url)) as store:
        yield store


@pytest.fixture
def mongo_database(mongo_url: str) -> Iterator[Database]:
    """The same database as the adapter sees it, to look at what it stored and to spoil it."""
    with closing(Database(mongo_url)) as database:
        yield database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of today's layout with one entry, closed."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.append([append("d-1")])
    store.close()
    return path
