"""Where a server of the tests runs: on this machine, in a container, in the service root; and the choice among them.

A new server needs a Recipe and a start of its own; nothing here changes. Must not know any server's configuration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.services.service_root import DATA_INSIDE, SUITE, ServiceRoot
from tests.services.unavailable import Unavailable

#: Container engines in the order they are asked; the first that answers is used.
ENGINES = ("docker", "podman")
#: Seconds an engine may take to say that it is there.
ENGINE_TIMEOUT = 10


class Recipe(NamedTuple):
    """What a server is called wherever it may be found."""

    #: The service's name: that of its fixture and of its marker.
    name: str
    #: Environment variable with the URL of a server to use as it is.
    variable: str
    #: Program to look for on the PATH.
    program: str
    #: Debian packages that bring it, for a container and for the service root.
    packages: tuple[str, ...]
    #: User that runs it in a container or in the service root.
    user: str


class Place(Protocol):
    """Where a server's program is, and how to start it there."""

    def prepare(self, recipe: Recipe) -> None:
        """Have the program there. May take minutes the first time. Raises Unavailable."""
        ...

    def seen(self, data: Path) -> str:
        """The data directory as the server sees it."""
        ...

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """The command line that runs `command` there; ends with the process that it starts."""
        ...


class OnPath:
    """The machine's own program."""

    def prepare(self, recipe: Recipe) -> None:
        """Nothing to do: the program was found."""

    def seen(self, data: Path) -> str:
        """The directory itself."""
        return str(data)

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """The command itself."""
        return list(command)


class InContainer:
    """A container of `engine` on the host's network, from an image with the recipe's packages."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def prepare(self, recipe: Recipe) -> None:
        """Build the image; the engine's own cache makes a repetition quick."""
        packages = " ".join(recipe.packages)
        image = (
            f"FROM debian:{SUITE}-slim\n"
            f"RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}\n"
        )
        build = [self._engine, "build", "--tag", self._tag(recipe), "-"]
        done = subprocess.run(build, input=image, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{self._engine} build ended with {done.returncode}: {done.stderr[-500:]}")

    def seen(self, data: Path) -> str:
        """Where the directory is mounted."""
        return DATA_INSIDE

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """`run` in the foreground: it hands SIGTERM on, and the container goes with it."""
        options = ["--rm", "--init", "--network=host", f"--user={recipe.user}", f"--volume={data}:{DATA_INSIDE}"]
        return [self._engine, "run", *options, self._tag(recipe), *command]

    @staticmethod
    def _tag(recipe: Recipe) -> str:
        return f"release-engine-tests-{recipe.name}"


class InServiceRoot:
    """The service root of this machine."""

    def __init__(self, root: ServiceRoot) -> None:
        self._root = root

    def prepare(self, recipe: Recipe) -> None:
        """Build the tree and install the packages, where that was not done before."""
        self._root.ensure(recipe.packages)

    def seen(self, data: Path) -> str:
        """Where the directory is mounted."""
        return DATA_INSIDE

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """Through the tree's chroot."""
        return self._root.argv(command, data, recipe.user)


def choose(recipe: Recipe, cache: Path) -> Place:
    """The first place that can run the recipe's program, prepared. Raises Unavailable with what to install."""
    place = _first(recipe, cache)
    place.prepare(recipe)
    return place


def _first(recipe: Recipe, cache: Path) -> Place:
    if shutil.which(recipe.program):
        return OnPath()
    for engine in ENGINES:
        if shutil.which(engine) and _answers(engine):
            return InContainer(engine)
    refusal = ServiceRoot.refusal()
    if refusal is None:
        return InServiceRoot(ServiceRoot(cache))
    raise Unavailable(
        f"no {recipe.name}: install {recipe.program} or start a container engine, or set {recipe.variable} ({refusal})"
    )


def _answers(engine: str) -> bool:
    try:
        return subprocess.run([engine, "info"], capture_output=True, timeout=ENGINE_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def cache_directory() -> Path:
    """Where what is costly to build is kept between runs: RE_TEST_CACHE, else the user's cache directory."""
    named = os.environ.get("RE_TEST_CACHE")
    if named:
        return Path(named).absolute()
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user_cache) / "release-engine-tests"
