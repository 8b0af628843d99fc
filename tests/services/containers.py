"""A container engine as a place for servers. Must not know any server's configuration."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from tests.services.recipe import Recipe
from tests.services.service_root import DATA_INSIDE, SUITE
from tests.services.signals import dying_with_parent
from tests.services.unavailable import Unavailable

#: Container engines in the order they are asked; the first that answers is used.
ENGINES = ("docker", "podman")
#: Seconds an engine may take to say that it is there.
ENGINE_TIMEOUT = 10
#: Opens the option that names a container.
_NAME = "--name=release-engine-tests-"


def answering_engines() -> list[str]:
    """The engines of this machine that can start a container now."""
    return [engine for engine in ENGINES if shutil.which(engine) and _answers(engine)]


def _answers(engine: str) -> bool:
    try:
        return subprocess.run([engine, "info"], capture_output=True, timeout=ENGINE_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        return False


class InContainer:
    """A container of `engine` on the host's network, from an image with the recipe's packages."""

    def __init__(self, engine: str) -> None:
        self._engine = engine

    def prepare(self, recipe: Recipe) -> None:
        """Pull or build the image; the engine's own cache makes a repetition quick. Raises Unavailable."""
        packages = " ".join(recipe.packages)
        content = (
            f"FROM debian:{SUITE}-slim\n"
            f"RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends {packages}\n"
        )
        build = [self._engine, "build", "--tag", _image(recipe), "-"]
        fetch = [self._engine, "pull", "--quiet", recipe.image] if recipe.image else build
        done = subprocess.run(fetch, input=content, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{' '.join(fetch)} ended with {done.returncode}: {done.stderr[-500:]}")

    def seen(self, data: Path) -> str:
        """Where the directory is mounted."""
        return DATA_INSIDE

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """`run` in the foreground: it hands signals on, and the container goes with it."""
        name = f"{_NAME}{uuid4().hex}"
        options = [
            "--rm",
            "--init",
            "--network=host",
            f"--user={recipe.image_user or recipe.user}",
            f"--volume={data}:{DATA_INSIDE}",
        ]
        run = [self._engine, "run", name, *options, _image(recipe), *command]
        return dying_with_parent(run, recipe.ends_by)

    def deliver(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """By the engine: the process here is only its client, and a frozen one would freeze nothing."""
        words = {signal.SIGSTOP: ["pause"], signal.SIGCONT: ["unpause"]}
        order = words.get(number, ["kill", f"--signal={number.name}"])
        subprocess.run([self._engine, *order, _container(process)], capture_output=True, check=False)


def _container(process: subprocess.Popen[bytes]) -> str:
    words = process.args if isinstance(process.args, list) else []
    [name] = [str(word) for word in words if str(word).startswith(_NAME)]
    return name.partition("=")[2]


def _image(recipe: Recipe) -> str:
    return recipe.image or f"release-engine-tests-{recipe.name}"
