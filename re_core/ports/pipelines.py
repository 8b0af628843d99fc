"""The part of the store that pipelines have beside their journals: an index, positions, keys, files of peers.

Must not know any technology, nor what the documents say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from re_core.rows import PeerFile, PipelineKey, PipelineRow, Position

#: connections of one subscription whose ids are remembered while a repetition of them would be taken
MOST_OPENS = 32

#: key pairs of one pipeline
MOST_KEYS = 16


class Pipelines(Protocol):
    """All four tables."""

    def save_pipeline(self, row: PipelineRow) -> bool:
        """Insert it where its version is 1, or replace exactly the version before; one of several callers succeeds.

        False: another caller was faster, or another pipeline has that source. A row that is there and equal in everything is
        the caller's own, whose answer was lost: True.
        """
        ...

    def pipeline(self, id: str) -> PipelineRow | None:
        """The one with this id."""
        ...

    def pipeline_by_source(self, url: str) -> PipelineRow | None:
        """The one whose own cdpm.yml has this URL."""
        ...

    def pipelines(self, group: str | None = None) -> list[PipelineRow]:
        """All of the group, or all, by group and name."""
        ...

    def pipelines_of_playbook(self, id: str) -> list[PipelineRow]:
        """Those that start this playbook, by group and name."""
        ...

    def drop_pipeline(self, id: str) -> bool:
        """Delete its row, keys and positions; False where there is no row. Where it is cut off, calling it again goes on."""
        ...

    def open_position(self, subscription: str, pipeline: str, iat: int, jti: str, since: int) -> bool:
        """Remember that a connection was opened by this message, and forget those whose iat is before `since`.

        False where it was opened by it before, or MOST_OPENS times by others since; of several callers with one jti one
        succeeds. What was answered True survives the death of the process and of the machine.
        """
        ...

    def position(self, subscription: str) -> Position | None:
        """How far it was served; None where it never connected."""
        ...

    def save_positions(self, positions: Sequence[Position]) -> None:
        """Replace what was delivered, in one commit; `opens` stay, and a row that is not there stays away.

        May reach the disk later than it returns.
        """
        ...

    def add_key(self, key: PipelineKey) -> bool:
        """Store it; False where its pipeline has MOST_KEYS, or the same public key sealed in another way."""
        ...

    def keys(self, pipeline: str) -> list[PipelineKey]:
        """All of the pipeline, oldest first."""
        ...

    def drop_key(self, pipeline: str, kid: str) -> bool:
        """False where it is not there."""
        ...

    def peer_file(self, url: str) -> PeerFile | None:
        """What was read from the URL last."""
        ...

    def save_peer_file(self, file: PeerFile) -> None:
        """Replace it."""
        ...

    def forget_peer_files(self, read_before: int) -> int:
        """Delete those that their source was not found to have since; how many were deleted."""
        ...
