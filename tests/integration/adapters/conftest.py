"""What the tests of the adapters share."""

from __future__ import annotations

from collections.abc import Iterator
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
    harness = AmqpHarness(rabbitmq)
    yield harness
    harness.close()


@pytest.fixture
def mongo_store(mongo_url: str) -> Iterator[MongoStore]:
    """A store in it."""
    store = MongoStore(mongo_url)
    yield store
    store.close()


@pytest.fixture
def mongo_database(mongo_url: str) -> Iterator[Database]:
    """The same database as the adapter sees it, to look at what it stored and to spoil it."""
    database = Database(mongo_url)
    yield database
    database.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of today's layout with one entry, closed."""
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.append([append("d-1")])
    store.close()
    return path
