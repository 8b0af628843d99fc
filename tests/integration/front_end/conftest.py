"""One house per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from re_core.adapters.sqlite import SqliteStore
from re_rest.app import close_streams
from tests.integration.front_end.house import House


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application whose services every test replaces by its own."""
    store = SqliteStore(str(tmp_path_factory.mktemp("routes") / "release-engine.db"))
    app = House(store).app
    store.close()
    return app


@pytest.fixture
def house(tmp_path: Path, routes: Flask) -> Iterator[House]:
    """A front end on a store and a bus of its own."""
    store = SqliteStore(str(tmp_path / "release-engine.db"))
    made = House(store, routes)
    yield made
    close_streams(made.app)
    made.bus.close()
    store.close()
