"""Notes on a disk of which attempts run a program now. Must not know when they are read, or by what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote


class RunningAttempts:
    """Which attempts run a program now: one empty file each, in a directory. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    @contextmanager
    def noted(self, attempt: str) -> Iterator[None]:
        """While the block lasts."""
        file = self._directory / quote(attempt, safe="")
        file.touch(mode=0o600)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def attempts(self) -> set[str]:
        """All that are noted."""
        return {unquote(file.name) for file in self._directory.iterdir()}

    def clear(self) -> None:
        """Delete them."""
        for file in self._directory.iterdir():
            file.unlink(missing_ok=True)
