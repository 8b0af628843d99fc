"""One harness per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from re_core.adapters.sqlite import SqliteStore
from re_core.playbook.command_rules import CommandRules
from re_rest.app import close_streams
from tests.integration.front_end.app_harness import AppHarness
from tests.integration.front_end.front_end_harness import EVERYTHING, FrontEndHarness


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application whose services every test replaces by its own."""
    store = SqliteStore(str(tmp_path_factory.mktemp("routes") / "release-engine.db"))
    app = FrontEndHarness(store).app
    store.close()
    return app


@pytest.fixture
def harness(tmp_path: Path, routes: Flask) -> Iterator[FrontEndHarness]:
    """A front end on a store and a bus of its own."""
    yield from _opened(tmp_path, routes)


@pytest.fixture
def apps_here(tmp_path: Path, routes: Flask) -> Iterator[AppHarness]:
    """A front end with a core behind it that releases apps."""
    made = AppHarness(tmp_path, routes)
    yield made
    made.close()


@pytest.fixture
def strict(tmp_path: Path, routes: Flask) -> Iterator[FrontEndHarness]:
    """A front end whose settings say nothing of commands; groups have tokens."""
    yield from _opened(tmp_path, routes, CommandRules())


@pytest.fixture
def listing(tmp_path: Path, routes: Flask) -> Iterator[FrontEndHarness]:
    """A front end whose settings list `command` for the group `ours`."""
    yield from _opened(tmp_path, routes, CommandRules({"ours": ("command",)}))


def _opened(directory: Path, routes: Flask, commands: CommandRules = EVERYTHING) -> Iterator[FrontEndHarness]:
    store = SqliteStore(str(directory / "release-engine.db"))
    made = FrontEndHarness(store, routes, commands=commands)
    yield made
    close_streams(made.app)
    made.bus.close()
    store.close()
