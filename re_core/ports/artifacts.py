"""The part of the store that keeps artifacts: their bytes, and what is known of each. Must not know any technology.

Bytes come first, under an id of their own (`holder`, from `usecases.ids.new_id`), and the row of the artifact last. So a push that
dies leaves bytes that no row names, which `sweep_artifacts` drops a day later; a push takes an hour at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core.rows import Artifact, ArtifactContent, ArtifactUse

#: bytes of a piece: what is written and read at a time
PIECE = 1024 * 1024

#: bytes that each file of an artifact counts beside its own: for its path and its digest in the list of the content
LISTED = 1024


class StoredArtifact(NamedTuple):
    """What became of an artifact that was to be stored."""

    #: the one that stands: the caller's, or the one that had its group and name already
    artifact: Artifact
    #: whether the caller's bytes are in use; else it drops them
    kept: bool


class ArtifactFilter(NamedTuple):
    """Which artifacts to list. Empty means all."""

    #: None means all; an empty tuple is no group, and finds nothing
    groups: tuple[str, ...] | None = None
    #: how the name begins
    prefix: str = ""
    #: the whole name
    name: str = ""
    #: digest of the content
    digest: str = ""


class Artifacts(Protocol):
    """Artifacts, and the contents that they share. A content is there as long as an artifact has it."""

    def add_piece(self, holder: str, number: int, piece: bytes) -> None:
        """Store the next piece, from 0 on; all but the last have PIECE bytes. No write holds up an append of the journal for long."""
        ...

    def seal_pieces(self, holder: str) -> None:
        """All pieces are there: when this returns they survive the death of the machine."""
        ...

    def piece(self, holder: str, number: int) -> bytes | None:
        """None where it is not there."""
        ...

    def drop_pieces(self, holder: str) -> None:
        """All of them, those of a push that was cut off too."""
        ...

    def add_artifact(self, artifact: Artifact, content: ArtifactContent) -> StoredArtifact:
        """Store it with this content, unless its group and name are taken; of several callers one wins.

        Where a content with that digest is there, the artifact gets that one. An artifact that is there has its content, whatever
        is deleted at the same moment.
        """
        ...

    def artifact(self, group: str, name: str) -> Artifact | None:
        """One, without its files."""
        ...

    def artifacts(self, wanted: ArtifactFilter, limit: int, before: str = "") -> list[Artifact]:
        """Newest first, ids below `before`."""
        ...

    def content(self, digest: str) -> ArtifactContent | None:
        """The content with this digest."""
        ...

    def replace_content(self, damaged: ArtifactContent, whole: ArtifactContent) -> bool:
        """Give the content the bytes and the list of `whole`, if it still has those of `damaged`; their digest is the same.

        The caller drops the bytes that are not in use after it.
        """
        ...

    def annotate_artifact(self, artifact: Artifact) -> bool:
        """Store its annotation where that artifact (by its id) has none; False where it has one, or is gone."""
        ...

    def delete_artifact(self, artifact: Artifact) -> bool:
        """Delete exactly this one: False where it is gone or its `version` is another one. Its content goes with its last artifact."""
        ...

    def add_use(self, group: str, name: str, deployment: str, at: int) -> Artifact | None:
        """Note the use, in the artifact too; the artifact as it was before or after that, None where it is not there.

        A deletion of an artifact that was read before this use does not succeed.
        """
        ...

    def uses(self, artifact: str) -> list[ArtifactUse]:
        """Of this artifact (its id), the newest first."""
        ...

    def old_uses(self, before: int, limit: int, after: ArtifactUse | None = None) -> list[ArtifactUse]:
        """Those before that time, by time, artifact and deployment; those behind `after`."""
        ...

    def drop_uses(self, uses: Sequence[ArtifactUse]) -> None:
        """Delete those that still have the same time."""
        ...

    def artifact_bytes(self) -> int:
        """Bytes of all artifacts, LISTED for each file among them; a content that artifacts of one group share counts once.

        It counts once for each group that has it.

        So no group sees by what is left whether another one has a content.
        """
        ...

    def sweep_artifacts(self, before: str) -> int:
        """Drop what pushes and deletions that were cut off left, of ids below `before`; how many were dropped."""
        ...
