"""Playbooks: every revision is a row, a deletion is a revision without a document. Must not know what is in one.

So one unique key, (id, revision), decides between two saves, and between a save and a deletion.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.ports import MOST_REVISIONS
from re_core.rows import PlaybookHead, StoredPlaybook
from re_core.wire import strict_json

_COLUMNS = 'id, "group", name, revision, document, created, updated, user'
_SELECT = f"SELECT {_COLUMNS} FROM playbooks"
_PLACES = ",".join("?" * len(StoredPlaybook._fields))

_DELETE = f"""
INSERT OR IGNORE INTO playbooks ({_COLUMNS})
SELECT id, "group", name, revision + 1, NULL, created, updated, user
FROM playbooks WHERE id = ? AND revision = ? AND document IS NOT NULL
"""


_HEAD = 'id, "group", name, revision, created, updated, user'

_ANY = """
SELECT 1 FROM playbooks AS one WHERE "group" = ? AND document IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM playbooks WHERE id = one.id AND revision > one.revision) LIMIT 1
"""


class PlaybooksPart:
    """See ports.Playbooks."""

    _database: Database

    def playbook(self, id: str, revision: int | None = None) -> StoredPlaybook | None:
        """See ports.Playbooks."""
        if revision is None:
            row = self._database.row(f"{_SELECT} WHERE id = ? ORDER BY revision DESC LIMIT 1", (id,))
        else:
            row = self._database.row(f"{_SELECT} WHERE id = ? AND revision = ?", (id, clamp_int64(revision)))
        return None if row is None or row[4] is None else _playbook(row)

    def playbooks(self, group: str | None = None, name: str | None = None) -> list[StoredPlaybook]:
        """See ports.Playbooks."""
        where, parameters = _newest(group, name)
        places = "SELECT rowid FROM playbooks INDEXED BY playbooks_heads"
        rows = self._database.rows(
            f"{_SELECT} WHERE rowid IN ({places} WHERE {where}) ORDER BY created DESC, id DESC", parameters
        )
        return [_playbook(row) for row in rows]

    def playbook_heads(self, group: str | None = None, name: str | None = None) -> list[PlaybookHead]:
        """See ports.Playbooks."""
        where, parameters = _newest(group, name)
        query = f"SELECT {_HEAD} FROM playbooks INDEXED BY playbooks_heads WHERE {where} ORDER BY created DESC, id DESC"
        return [PlaybookHead._make(row) for row in self._database.rows(query, parameters)]

    def has_playbooks(self, group: str) -> bool:
        """See ports.Playbooks."""
        return self._database.row(_ANY, (group,)) is not None

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
            return connection.execute(_DELETE, (id, clamp_int64(revision))).rowcount == 1


def _newest(group: str | None, name: str | None) -> tuple[str, list[str]]:
    """Newest revisions of what is not deleted, of this group and name."""
    where = "(id, revision) IN (SELECT id, max(revision) FROM playbooks GROUP BY id) AND document IS NOT NULL"
    wanted = [(column, value) for column, value in (("group", group), ("name", name)) if value is not None]
    return where + "".join(f' AND "{column}" = ?' for column, _ in wanted), [value for _, value in wanted]


def _playbook(row: Sequence[Any]) -> StoredPlaybook:
    stored = StoredPlaybook._make(row)
    return stored._replace(document=json.loads(row[4]))
