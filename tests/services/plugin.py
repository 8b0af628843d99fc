"""The pytest side of the services: one session fixture per server, the marker, skip on a laptop and failure in CI.

What a run needs is prepared right after collection, outside of every test's timeout; a run that selects no test with
a service touches nothing. Under xdist every worker starts its own server.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.services import ngircd as irc
from tests.services.places import Place, Recipe, cache_directory, choose
from tests.services.unavailable import Unavailable

#: Every service that a test can ask for, by the name of its fixture.
RECIPES = {recipe.name: recipe for recipe in (irc.RECIPE,)}


class Services:
    """What has been found out about the services in this run: each place is looked for once."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._found: dict[str, Place | Unavailable] = {}

    def place(self, recipe: Recipe) -> Place:
        """Where the service runs, prepared. Raises Unavailable, the same one every time."""
        if recipe.name not in self._found:
            try:
                self._found[recipe.name] = choose(recipe, self.cache)
            except Unavailable as reason:
                self._found[recipe.name] = reason
        found = self._found[recipe.name]
        if isinstance(found, Unavailable):
            raise found
        return found


_SERVICES = pytest.StashKey[Services]()


def pytest_configure(config: pytest.Config) -> None:
    # The cache directory is asked for now: later the tests have a home of their own.
    config.stash[_SERVICES] = Services(cache_directory())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses a service's fixture carries its marker, so that `-m "not service"` leaves it out."""
    for item in items:
        for name in RECIPES.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service(name))


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly:
        return
    services = session.config.stash[_SERVICES]
    for name in sorted({mark.args[0] for item in session.items for mark in item.iter_markers("service")}):
        if os.environ.get(RECIPES[name].variable):
            continue
        try:
            services.place(RECIPES[name])
        except Unavailable:
            continue  # The fixture says it, for every test that needs the service.


@pytest.fixture(scope="session")
def tests_cache(pytestconfig: pytest.Config) -> Path:
    """The directory for what is costly to build and kept between runs."""
    return pytestconfig.stash[_SERVICES].cache


@pytest.fixture(scope="session")
def ngircd(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[irc.IrcServer]:
    """A real IRC server: `host`, `port` (plain), and where it is our own `tls_port` with its `ca_file`."""
    url = os.environ.get(irc.RECIPE.variable)
    if url:
        yield irc.named(url)
        return
    with ExitStack() as stack:
        server: irc.IrcServer | Unavailable
        try:
            place = pytestconfig.stash[_SERVICES].place(irc.RECIPE)
            server = stack.enter_context(irc.running(place, tmp_path_factory.mktemp("ngircd")))
        except Unavailable as reason:
            server = reason
        if isinstance(server, Unavailable):
            _give_up(server)
        yield server


def _give_up(reason: Unavailable) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"a service is missing in CI: {reason}", pytrace=False)
    pytest.skip(str(reason))
