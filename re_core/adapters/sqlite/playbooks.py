"""Playbooks: every revision is a row, a deletion is a revision without a document. Must not know what is in one.

So one unique key, (id, revision), decides between two who save, and between one who saves and one who deletes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core import strict_json
from re_core.adapters.paging import whole
from re_core.adapters.sqlite.database import Database
from re_core.model import StoredPlaybook
from re_core.ports import MOST_REVISIONS

_COLUMNS = 'id, "group", name, revision, document, created, updated, user'
_SELECT = f"SELECT {_COLUMNS} FROM playbooks"
_PLACES = ",".join("?" * len(StoredPlaybook._fields))

_DELETE = f"""
INSERT OR IGNORE INTO playbooks ({_COLUMNS})
SELECT id, "group", name, revision + 1, NULL, created, updated, user
FROM playbooks WHERE id = ? AND revision = ? AND document IS NOT NULL
"""


class PlaybooksPart:
    """See ports.Playbooks."""

    _database: Database

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """See ports.Playbooks."""
        if revision is None:
            row = self._database.row(f"{_SELECT} WHERE id = ? ORDER BY revision DESC LIMIT 1", (id,))
        else:
            row = self._database.row(f"{_SELECT} WHERE id = ? AND revision = ?", (id, whole(revision)))
        return None if row is None or row[4] is None else _playbook(row)

    def playbooks(self, group: str | None = None, name: str | None = None) -> list[StoredPlaybook]:
        """See ports.Playbooks."""
        where = "(id, revision) IN (SELECT id, max(revision) FROM playbooks GROUP BY id) AND document IS NOT NULL"
        parameters = []
        for column, value in (("group", group), ("name", name)):
            if value is not None:
                where += f' AND "{column}" = ?'
                parameters.append(value)
        rows = self._database.rows(f"{_SELECT} WHERE {where} ORDER BY created DESC, id DESC", parameters)
        return [_playbook(row) for row in rows]

    def revisions(self, id: str) -> list[StoredPlaybook]:
        """See ports.Playbooks."""
        query = f"{_SELECT} WHERE id = ? AND document IS NOT NULL ORDER BY revision DESC"
        return [_playbook(row) for row in self._database.rows(query, (id,))]

    def save_playbook(self, playbook: StoredPlaybook) -> bool:
        """See ports.Playbooks."""
        row = playbook._replace(document=strict_json.dumps(playbook.document))  # type: ignore[arg-type]
        with self._database.writing() as connection:
            cursor = connection.execute(f"INSERT OR IGNORE INTO playbooks ({_COLUMNS}) VALUES ({_PLACES})", row)
            if stored := cursor.rowcount == 1:
                old = playbook.id, playbook.revision - MOST_REVISIONS
                connection.execute("DELETE FROM playbooks WHERE id = ? AND revision <= ?", old)
            return stored

    def delete_playbook(self, id: str, revision: int) -> bool:
        """See ports.Playbooks."""
        with self._database.writing() as connection:
            return connection.execute(_DELETE, (id, whole(revision))).rowcount == 1


def _playbook(row: Sequence[Any]) -> StoredPlaybook:
    stored = StoredPlaybook._make(row)
    return stored._replace(document=json.loads(row[4]))
