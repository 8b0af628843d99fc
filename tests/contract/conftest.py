"""Which adapters the suites run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from re_core.ports import Bus, Store
from tests.contract.places import AmqpPlace, BusPlace, EmbeddedPlace, MongoPlace, SqlitePlace, StorePlace

#: a virtual host of a real broker, of whose queues all but a few are of that type
_AMQP = [pytest.param(f"amqp {kind}", marks=pytest.mark.service("rabbitmq")) for kind in ("quorum", "classic")]


def _bus_place(request: pytest.FixtureRequest, directory: Path) -> BusPlace:
    kind = str(request.param)
    if kind.startswith("amqp"):
        return AmqpPlace(request.getfixturevalue("rabbitmq"), kind.removeprefix("amqp "))
    return EmbeddedPlace(SqlitePlace(directory) if kind == "embedded on sqlite" else None)


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.service("mongodb"))])
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePlace]:
    """Every store."""
    place: StorePlace
    if request.param == "sqlite":
        place = SqlitePlace(tmp_path)
        yield place
        place.close()
        return
    with request.getfixturevalue("mongodb").emptied_database() as url:
        place = MongoPlace(url)
        yield place
        place.close()


@pytest.fixture
def store(store_place: StorePlace) -> Store:
    """An empty store."""
    return store_place.open()


@pytest.fixture(params=["embedded", "embedded on sqlite", *_AMQP])
def bus_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BusPlace]:
    """Every bus."""
    with closing(_bus_place(request, tmp_path)) as place:
        yield place


@pytest.fixture
def bus(bus_place: BusPlace) -> Bus:
    """A bus with nothing on it."""
    return bus_place.open()


@pytest.fixture(params=["embedded on sqlite"])
def lasting_bus_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BusPlace]:
    """Every bus that has somewhere to keep what must outlive a process."""
    with closing(_bus_place(request, tmp_path)) as place:
        yield place


@pytest.fixture
def mailbox_place(tmp_path: Path) -> Iterator[SqlitePlace]:
    """The store that is a mailbox too, with a clock that the test moves."""
    with closing(SqlitePlace(tmp_path)) as place:
        yield place
