"""Where a server of the tests runs: on this machine, in a container, in the service root; and the choice among them.

A new server needs a Recipe and a start of its own; nothing here changes. Must not know any server's configuration.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.services.containers import InContainer, answering_engines
from tests.services.recipe import Place, Recipe
from tests.services.service_root import DATA_INSIDE, ServiceRoot
from tests.services.signals import dying_with_parent, to_the_tree
from tests.services.unavailable import Unavailable
from tests.services.wheels import FromWheel


class OnPath:
    """The machine's own program."""

    def prepare(self, recipe: Recipe) -> None:
        """Nothing to do: the program was found."""

    def seen(self, data: Path) -> str:
        """The directory itself."""
        return str(data)

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """The command itself."""
        return dying_with_parent(command, recipe.ends_by)

    def deliver(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """The process is the server."""
        to_the_tree(process, number)


class InServiceRoot:
    """The service root of this machine."""

    def __init__(self, root: ServiceRoot) -> None:
        self._root = root

    def prepare(self, recipe: Recipe) -> None:
        """Build the tree and install what the recipe needs, where that was not done before."""
        self._root.ensure(recipe.packages)
        if recipe.build is not None:
            recipe.build(self._root)

    def seen(self, data: Path) -> str:
        """Where the directory is mounted."""
        return DATA_INSIDE

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """Through the tree's chroot."""
        return self._root.argv(command, data, recipe.user, recipe.ends_by)

    def deliver(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """The process became the server."""
        to_the_tree(process, number)


def choose(recipe: Recipe, cache: Path) -> Place:
    """The first place that can run the recipe's program, prepared. Raises Unavailable with what to install."""
    reasons = []
    for place in _places(recipe, cache):
        try:
            place.prepare(recipe)
        except Unavailable as reason:
            reasons.append(str(reason))
            continue
        return place
    named = f", or set {recipe.variable}" if recipe.variable else ""
    if not recipe.program:
        raise Unavailable(f"no {recipe.name}: {'; '.join(reasons) or ServiceRoot.refusal()}")
    raise Unavailable(
        f"no {recipe.name}: install {recipe.program} or start a container engine{named} "
        f"({'; '.join(reasons) or ServiceRoot.refusal()})"
    )


def _places(recipe: Recipe, cache: Path) -> Iterator[Place]:
    if recipe.program and shutil.which(recipe.program):
        yield OnPath()
        return
    if recipe.wheel[0]:
        yield FromWheel(cache)
        return
    if recipe.program:
        yield from map(InContainer, answering_engines())
    if ServiceRoot.refusal() is None:
        yield InServiceRoot(ServiceRoot(cache))


def cache_directory() -> Path:
    """Where what is costly to build is kept between runs: RE_TEST_CACHE, else the user's cache directory."""
    named = os.environ.get("RE_TEST_CACHE")
    if named:
        return Path(named).absolute()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "release-engine-tests"
