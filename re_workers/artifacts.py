"""Artifacts, as a step sees them: files of its deployment's group that never change. Must not know the bus.

What is read is compared with the artifact's digest, so that a step never has half of one, or another one's bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, NamedTuple, Protocol

from re_core.artifacts.content import ARCHIVE
from re_core.rows import ArtifactFile
from re_workers.outcomes import Failed

#: files that a message names
_NAMED = 10


class Claimed(NamedTuple):
    """The attempt that wants one: granted, and begun by this worker."""

    #: `<deployment>/<step>/<attempt>`
    attempt: str
    #: of its claim
    token: str
    group: str
    #: raises Cancelled once the step shall stop
    check: Callable[[], None] = lambda: None


class Listed(NamedTuple):
    """An artifact, and what it has."""

    name: str
    #: SHA-256 of its content, as `rectl artifacts show` prints it
    digest: str
    #: `files`, or `archive`: one tar.gz
    kind: str
    files: tuple[ArtifactFile, ...]
    #: milliseconds since the epoch
    created: int = 0

    @property
    def is_archive(self) -> bool:
        """It is one tar.gz, as it was pushed."""
        return self.kind == ARCHIVE

    @property
    def whole(self) -> Wanted:
        """All of it, as a tar.gz."""
        file = self.files[0] if self.is_archive else None
        return Wanted(self, file, file.digest if file is not None else self.digest)

    def member(self, path: str) -> Wanted:
        """One file, `category/path`; empty: the only one. Raises Failed where there is none."""
        if not path and len(self.files) == 1:
            return Wanted(self, self.files[0], self.files[0].digest)
        found = [file for file in self.files if f"{file.category}/{file.path}" == path]
        if found:
            return Wanted(self, found[0], found[0].digest)
        names = ", ".join(f"{file.category}/{file.path}" for file in self.files[:_NAMED])
        what = f"has no file {path[:200]!r}" if path else f"has {len(self.files)} files, of which member names one"
        raise Failed(f"the artifact {self.name} {what}; it has {names}{' …' if len(self.files) > _NAMED else ''}")


class Wanted(NamedTuple):
    """What is wanted of an artifact."""

    artifact: Listed
    #: None: all files, packed as a tar.gz
    file: ArtifactFile | None
    #: by which it is known: SHA-256 of the file, or of the artifact's content
    digest: str


class Shelf(Protocol):
    """Where a worker process has artifacts from. Any thread."""

    def look(self, claimed: Claimed, name: str) -> Listed:
        """The artifact of that name in the group. Raises Failed."""
        ...

    def open(self, claimed: Claimed, wanted: Wanted) -> AbstractContextManager[BinaryIO]:
        """Its bytes, all of them there and compared. Raises Failed."""
        ...

    def store(self, claimed: Claimed, name: str, kind: str, archive: BinaryIO) -> Listed:
        """Store a tar.gz: its files, or (kind `archive`) itself; without the list of its files. The same once more changes nothing.
        Raises Failed."""
        ...


_NO_ENGINE = "artifacts are the engine's, and this step was started without one"


class NoArtifacts(Failed):
    """Artifacts cannot be had here."""


class NoShelf:
    """Of a process that has none."""

    def __init__(self, why: str = _NO_ENGINE) -> None:
        """`why`: for people."""
        self._why = why

    def look(self, claimed: Claimed, name: str) -> Listed:
        """Raises NoArtifacts, always."""
        raise NoArtifacts(self._why)

    def open(self, claimed: Claimed, wanted: Wanted) -> AbstractContextManager[BinaryIO]:
        """As `look`."""
        raise NoArtifacts(self._why)

    def store(self, claimed: Claimed, name: str, kind: str, archive: BinaryIO) -> Listed:
        """As `look`."""
        raise NoArtifacts(self._why)


def checked_name(name: str) -> str:
    """The name of an artifact, which is always of the deployment's group. Raises Failed."""
    if "/" in name:
        raise Failed(f"an artifact is one of the deployment's group: say its name alone, found {name[:200]!r}")
    return name
