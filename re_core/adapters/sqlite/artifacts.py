"""Artifacts: rows in the file, their bytes in files beside it (docs/decisions/0026). Must not know what the bytes are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.artifact_files import ArtifactFiles
from re_core.adapters.sqlite.database import Database
from re_core.artifacts.content import files_of_text, files_to_text
from re_core.errors import StoreRefused
from re_core.ports import LISTED, ArtifactFilter, StoredArtifact
from re_core.rows import Artifact, ArtifactContent, ArtifactUse
from re_core.wire import strict_json

_COLUMNS = 'id, "group", name, digest, kind, size, files, created, user, annotation, used, version'
_SELECT = f"SELECT {_COLUMNS} FROM artifacts"
_PLACES = ",".join("?" * len(Artifact._fields))
#: above every id
_LAST = "\U0010ffff"

_BUMP = 'UPDATE artifacts SET used = max(coalesce(used, 0), ?), version = version + 1 WHERE "group" = ? AND name = ?'
_USE = """
INSERT INTO artifact_uses (artifact, deployment, at) VALUES (?, ?, ?)
ON CONFLICT (artifact, deployment) DO UPDATE SET at = max(at, excluded.at)
"""

#: the content that the last artifact of a digest leaves behind
_UNUSED = """
DELETE FROM artifact_contents
WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM artifacts WHERE digest = ?1) RETURNING holder
"""


class ArtifactsPart:
    """See ports.Artifacts."""

    _database: Database
    _files: ArtifactFiles

    def add_piece(self, holder: str, number: int, piece: bytes) -> None:
        """See ports.Artifacts."""
        self._files.add(holder, number, piece)

    def seal_pieces(self, holder: str) -> None:
        """See ports.Artifacts."""
        self._files.seal(holder)

    def piece(self, holder: str, number: int) -> bytes | None:
        """See ports.Artifacts."""
        return self._files.piece(holder, number)

    def drop_pieces(self, holder: str) -> None:
        """See ports.Artifacts."""
        self._files.drop(holder)

    def add_artifact(self, artifact: Artifact, content: ArtifactContent) -> StoredArtifact:
        """See ports.Artifacts. One transaction."""
        with self._database.writing() as connection:
            row = artifact._replace(annotation=strict_json.dumps(dict(artifact.annotation)))  # type: ignore[arg-type]
            if not connection.execute(f"INSERT OR IGNORE INTO artifacts ({_COLUMNS}) VALUES ({_PLACES})", row).rowcount:
                found = connection.execute(f'{_SELECT} WHERE "group" = ? AND name = ?', artifact[1:3]).fetchone()
                return StoredArtifact(_artifact(found), False)
            kept = connection.execute(
                "INSERT OR IGNORE INTO artifact_contents (digest, holder, kind, size, files) VALUES (?, ?, ?, ?, ?)",
                content._replace(files=files_to_text(content.files)),  # type: ignore[arg-type]
            ).rowcount
            return StoredArtifact(artifact, bool(kept))

    def artifact(self, group: str, name: str) -> Artifact | None:
        """See ports.Artifacts."""
        row = self._database.row(f'{_SELECT} WHERE "group" = ? AND name = ?', (group, name))
        return None if row is None else _artifact(row)

    def artifacts(self, wanted: ArtifactFilter, limit: int, before: str = "") -> list[Artifact]:
        """See ports.Artifacts."""
        where, values = "id < ?", [before or _LAST]
        if wanted.groups is not None:
            where += f' AND "group" IN ({",".join("?" * len(wanted.groups))})'
            values += wanted.groups
        if wanted.prefix:
            where += " AND name >= ? AND name < ?"
            values += [wanted.prefix, wanted.prefix + _LAST]
        if wanted.name:
            where += " AND name = ?"
            values += [wanted.name]
        if wanted.digest:
            where += " AND digest = ?"
            values += [wanted.digest]
        rows = self._database.rows(f"{_SELECT} WHERE {where} ORDER BY id DESC LIMIT ?", (*values, max(0, limit)))
        return [_artifact(row) for row in rows]

    def content(self, digest: str) -> ArtifactContent | None:
        """See ports.Artifacts."""
        query = "SELECT digest, holder, kind, size, files FROM artifact_contents WHERE digest = ?"
        row = self._database.row(query, (digest,))
        if row is None:
            return None
        try:
            return ArtifactContent(row[0], row[1], row[2], row[3], files_of_text(row[4]))
        except (TypeError, ValueError) as error:
            raise StoreRefused(
                f"store {self._database.path}: the content {digest} is damaged; restore the last backup"
            ) from error

    def replace_content(self, damaged: ArtifactContent, whole: ArtifactContent) -> bool:
        """See ports.Artifacts."""
        row = (whole.holder, files_to_text(whole.files), damaged.digest, damaged.holder)
        with self._database.writing() as connection:
            update = "UPDATE artifact_contents SET holder = ?, files = ? WHERE digest = ? AND holder = ?"
            return connection.execute(update, row).rowcount == 1

    def annotate_artifact(self, artifact: Artifact) -> bool:
        """See ports.Artifacts."""
        text = strict_json.dumps(dict(artifact.annotation))
        with self._database.writing() as connection:
            update = "UPDATE artifacts SET annotation = ? WHERE id = ? AND annotation = '{}'"
            return connection.execute(update, (text, artifact.id)).rowcount == 1

    def delete_artifact(self, artifact: Artifact) -> bool:
        """See ports.Artifacts. The bytes go after the rows."""
        with self._database.writing() as connection:
            delete = "DELETE FROM artifacts WHERE id = ? AND version = ?"
            if not connection.execute(delete, (artifact.id, artifact.version)).rowcount:
                return False
            connection.execute("DELETE FROM artifact_uses WHERE artifact = ?", (artifact.id,))
            gone = connection.execute(_UNUSED, (artifact.digest,)).fetchall()
        for (holder,) in gone:
            self._files.drop(holder)
        return True

    def add_use(self, group: str, name: str, deployment: str, at: int) -> Artifact | None:
        """See ports.Artifacts."""
        with self._database.writing() as connection:
            if not connection.execute(_BUMP, (at, group, name)).rowcount:
                return None
            found = _artifact(connection.execute(f'{_SELECT} WHERE "group" = ? AND name = ?', (group, name)).fetchone())
            connection.execute(_USE, (found.id, deployment, at))
            return found

    def uses(self, artifact: str) -> list[ArtifactUse]:
        """See ports.Artifacts."""
        query = (
            "SELECT artifact, deployment, at FROM artifact_uses WHERE artifact = ? ORDER BY at DESC, deployment DESC"
        )
        return [ArtifactUse._make(row) for row in self._database.rows(query, (artifact,))]

    def old_uses(self, before: int, limit: int, after: ArtifactUse | None = None) -> list[ArtifactUse]:
        """See ports.Artifacts."""
        behind = (-1, "", "") if after is None else (after.at, after.artifact, after.deployment)
        query = (
            "SELECT artifact, deployment, at FROM artifact_uses WHERE at < ? AND (at, artifact, deployment) > (?, ?, ?) "
            "ORDER BY at, artifact, deployment LIMIT ?"
        )
        rows = self._database.rows(query, (clamp_int64(before), *behind, clamp_int64(limit)))
        return [ArtifactUse._make(row) for row in rows]

    def drop_uses(self, uses: Sequence[ArtifactUse]) -> None:
        """See ports.Artifacts."""
        with self._database.writing() as connection:
            connection.executemany("DELETE FROM artifact_uses WHERE artifact = ? AND deployment = ? AND at = ?", uses)

    def artifact_bytes(self) -> int:
        """See ports.Artifacts."""
        each = 'SELECT DISTINCT "group", digest, size, files FROM artifacts'
        return int(self._database.row(f"SELECT coalesce(sum(size + files * {LISTED}), 0) FROM ({each})")[0])

    def sweep_artifacts(self, before: str) -> int:
        """See ports.Artifacts. Rows are never left over: they change in one transaction."""
        count = 0
        for holder in self._files.holders():
            if holder < before and self._is_left(holder):
                self._files.drop(holder)
                count += 1
        return count

    def _is_left(self, holder: str) -> bool:
        return self._database.row("SELECT 1 FROM artifact_contents WHERE holder = ?", (holder,)) is None


def _artifact(row: Sequence[Any]) -> Artifact:
    found = Artifact._make(row)
    return found._replace(annotation=json.loads(row[9]))
