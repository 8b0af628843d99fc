"""Reads artifacts: every read compares what it found with the digests. Must not know who asks, nor any store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from re_core import ports
from re_core.artifacts import content as forms
from re_core.artifacts.packing import pack
from re_core.errors import BadDocument, DamagedArtifact, NotFound, Problem
from re_core.ports import PIECE
from re_core.rows import Artifact, ArtifactContent, ArtifactFile


class Loaded(NamedTuple):
    """An artifact with all its bytes, as they were pushed."""

    artifact: Artifact
    #: category -> path -> bytes
    files: Mapping[str, Mapping[str, bytes]]

    def texts(self, category: str) -> dict[str, str]:
        """Path -> text of the files of a category; none for one that is not there. Raises BadDocument where one is no UTF-8."""
        texts = {}
        for path, data in self.files.get(category, {}).items():
            try:
                texts[path] = data.decode()
            except UnicodeDecodeError as error:
                text = f"{label(self.artifact)}: byte {error.start} of {category}/{path[:200]} is not UTF-8"
                raise BadDocument("", [Problem(f"/{category}", text)]) from None
        return texts


def label(artifact: Artifact) -> str:
    """For messages."""
    return f"artifact {artifact.group[:100]}/{artifact.name}"


def load(store: ports.Artifacts, group: str, name: str) -> Loaded:
    """An artifact of that group, whole; it needs as much memory as it has bytes. Raises NotFound, DamagedArtifact."""
    artifact = store.artifact(group, name)
    if artifact is None:
        raise missing(group, name)
    files: dict[str, dict[str, bytes]] = {}
    content = content_of(store, artifact)
    for file in content.files:
        data = b"".join(read_file(store, artifact, content, file))
        files.setdefault(file.category, {})[file.path] = data
    return Loaded(artifact, files)


def missing(group: str, name: str) -> NotFound:
    """The error for an artifact that is not there."""
    return NotFound(f"the group {group[:100]!r} has no artifact {name[:128]!r}; store it with rectl artifacts push")


def content_of(store: ports.Artifacts, artifact: Artifact) -> ArtifactContent:
    """Its content, whose list of files fits its digest. Raises NotFound where it was deleted meanwhile, DamagedArtifact."""
    content = store.content(artifact.digest)
    if content is None:
        raise _lost(store, artifact, "its list of files is missing")
    if forms.digest_of(content.kind, content.files) != artifact.digest:
        raise _lost(store, artifact, "its list of files does not fit its digest")
    return content


def read_file(
    store: ports.Artifacts, artifact: Artifact, content: ArtifactContent, file: ArtifactFile
) -> Iterator[bytes]:
    """Its bytes in pieces. Raises NotFound where the artifact was deleted meanwhile, DamagedArtifact.

    Damage is certain at the end only, so a caller that acts before it verifies the artifact first.
    """
    digest = hashlib.sha256()
    place, left = file.offset, file.size
    while left:
        piece = store.piece(content.holder, place // PIECE)
        begin = place % PIECE
        data = b"" if piece is None else piece[begin : begin + left]
        if not data:
            raise _lost(store, artifact, f"bytes of {file.category}/{file.path} are missing")
        digest.update(data)
        place, left = place + len(data), left - len(data)
        yield data
    if digest.hexdigest() != file.digest:
        raise _lost(store, artifact, f"{file.category}/{file.path} does not fit its digest")


def verify(store: ports.Artifacts, artifact: Artifact) -> ArtifactContent:
    """Read all of it once; its content. Raises NotFound where it was deleted meanwhile, DamagedArtifact."""
    content = content_of(store, artifact)
    for file in content.files:
        verify_file(store, artifact, content, file)
    return content


def verify_file(store: ports.Artifacts, artifact: Artifact, content: ArtifactContent, file: ArtifactFile) -> None:
    """Read one file of it once. Raises as `verify`."""
    for _ in read_file(store, artifact, content, file):
        pass


def archive(store: ports.Artifacts, artifact: Artifact, content: ArtifactContent) -> Iterator[bytes]:
    """A tar.gz of its files; of an archive its own bytes. Raises as `read_file`, also after some pieces."""
    if content.kind == forms.ARCHIVE:
        return read_file(store, artifact, content, content.files[0])
    files = (
        (f"{file.category}/{file.path}", file.size, read_file(store, artifact, content, file)) for file in content.files
    )
    return pack(files, artifact.created // 1000)


def _lost(store: ports.Artifacts, artifact: Artifact, what: str) -> NotFound | DamagedArtifact:
    """What is missing of an artifact that is there is damage."""
    there = store.artifact(artifact.group, artifact.name)
    if there is None or there.id != artifact.id:
        return missing(artifact.group, artifact.name)
    return DamagedArtifact(
        f"{label(artifact)} is damaged: {what}; push the same files again, which repairs it, or restore a backup"
    )
