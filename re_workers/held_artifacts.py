"""Artifacts that are in memory: for tests of steps. Must not know the bus."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from re_core.artifacts.archive import Member, unpack
from re_core.artifacts.content import ARCHIVE, ARCHIVE_CATEGORY, ARCHIVE_PATH, FILES, digest_of
from re_core.artifacts.packing import pack
from re_core.rows import ArtifactFile
from re_workers.artifacts import Claimed, Listed, Wanted
from re_workers.outcomes import Failed

#: a tar.gz, or `category/path` -> bytes of the file
Held = bytes | Mapping[str, bytes]


class HeldArtifacts:
    """See artifacts.Shelf."""

    def __init__(self, artifacts: Mapping[str, Held]) -> None:
        """By their names."""
        self.held = dict(artifacts)

    def look(self, claimed: Claimed, name: str) -> Listed:
        """As of Shelf."""
        held = self.held.get(name)
        if held is None:
            raise Failed(f"the group {claimed.group!r} has no artifact {name!r}")
        kind = ARCHIVE if isinstance(held, bytes) else FILES
        files = tuple(_listed(path, data) for path, data in sorted(_files(held).items()))
        return Listed(name, digest_of(kind, files), kind, files)

    @contextmanager
    def open(self, claimed: Claimed, wanted: Wanted) -> Iterator[BinaryIO]:
        """As of Shelf."""
        files = _files(self.held[wanted.artifact.name])
        if wanted.file is None:
            named = ((name, len(data), (data,)) for name, data in sorted(files.items()))
            yield io.BytesIO(b"".join(pack(named, 0)))
        else:
            yield io.BytesIO(files[f"{wanted.file.category}/{wanted.file.path}"])

    def store(self, claimed: Claimed, name: str, kind: str, archive: BinaryIO) -> Listed:
        """As of Shelf. Raises Failed for other bytes under a name that is there."""
        data = archive.read()
        held: Held = data if kind == ARCHIVE else _unpacked(data)
        if self.held.setdefault(name, held) != held:
            raise Failed(f"artifact {claimed.group}/{name} exists with another content")
        return self.look(claimed, name)


def _unpacked(data: bytes) -> Mapping[str, bytes]:
    files: dict[str, bytes] = {}
    name = ""
    for item in unpack((data,), len(data) * 1000):
        if isinstance(item, Member):
            name = f"{item.category}/{item.path}"
            files[name] = b""
        else:
            files[name] += item
    return files


def _files(held: Held) -> Mapping[str, bytes]:
    return {f"{ARCHIVE_CATEGORY}/{ARCHIVE_PATH}": held} if isinstance(held, bytes) else held


def _listed(name: str, data: bytes) -> ArtifactFile:
    category, _, path = name.partition("/")
    return ArtifactFile(category, path, len(data), hashlib.sha256(data).hexdigest(), 0)
