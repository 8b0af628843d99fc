"""Every service that a test can ask for, and what has been found out about them. Must not know pytest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.services import (
    broker,
    documents,
    mongodb,
    nagios,
    nginx,
    ngircd,
    openbao,
    podman,
    prometheus,
    puppet,
    rabbitmq,
    sops,
    sshd,
    systemd_host,
    throwaway,
)
from tests.services.places import choose
from tests.services.postgresql import RECIPE as POSTGRESQL
from tests.services.postgresql import named as named_postgresql
from tests.services.postgresql import running as running_postgresql
from tests.services.recipe import Place, Recipe
from tests.services.shared import workplace
from tests.services.unavailable import Unavailable


class Kind(NamedTuple):
    """A service that a test can ask for by the name of its recipe."""

    recipe: Recipe
    #: The server of a URL in the environment.
    named: Callable[[str], object]
    #: Runs a server of our own, and gives what tells the tests where it is.
    running: Callable[[Place, Path], AbstractContextManager[object]]
    #: Whether all processes of a run share one.
    shared: bool = True


#: By the name of the fixture.
KINDS = {
    kind.recipe.name: kind
    for kind in (
        Kind(ngircd.RECIPE, ngircd.named, ngircd.running, shared=False),
        Kind(mongodb.RECIPE, documents.named, mongodb.running),
        Kind(POSTGRESQL, named_postgresql, running_postgresql),
        Kind(rabbitmq.RECIPE, broker.named, rabbitmq.running),
    )
}

#: Programs that a test starts itself, with a configuration of its own: a URL in the environment could not stand for them.
PROGRAMS = {
    recipe.name: recipe
    for recipe in (
        nagios.RECIPE,
        nginx.RECIPE,
        openbao.RECIPE,
        podman.RECIPE,
        prometheus.RECIPE,
        puppet.RECIPE,
        sops.RECIPE,
        sshd.RECIPE,
        systemd_host.RECIPE,
        throwaway.RECIPE,
    )
}


def recipe_of(name: str) -> Recipe:
    """Of a service or a program."""
    return PROGRAMS.get(name) or KINDS[name].recipe


class Services:
    """What has been found out about the services in this process: each place is looked for once."""

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

    @contextmanager
    def start(self, name: str) -> Iterator[object]:
        """A server of that service, its files in a directory that goes with it. Raises Unavailable."""
        kind = KINDS[name]
        place = self.place(kind.recipe)
        with workplace(name) as data, kind.running(place, data) as server:
            yield server
