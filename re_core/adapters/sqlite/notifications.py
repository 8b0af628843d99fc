"""The list of notifications. Must not know why one failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.ports.notifications import NotifiedFilter
from re_core.wire import strict_json
from re_core.wire.notified import Notified

#: columns that are looked for; all of the row stands in `document`
_COLUMNS = 'id, at, "group", deployment, outcome, transport, document'

#: above every id
_LAST = "\U0010ffff"


class NotificationsPart:
    """See ports.Notifications."""

    _database: Database

    def add_notified(self, rows: Sequence[Notified]) -> None:
        """See ports.Notifications."""
        values = [
            (row.id, row.at, row.group, row.deployment, row.outcome, row.transport, strict_json.dumps(row._asdict()))
            for row in rows
        ]
        with self._database.writing() as connection:
            connection.executemany(f"INSERT OR IGNORE INTO notified ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def notified(self, wanted: NotifiedFilter, limit: int, before: str = "") -> list[Notified]:
        """See ports.Notifications."""
        if wanted.groups is not None and not wanted.groups:
            return []
        terms, values = ["id < ?"], [before or _LAST]
        if wanted.groups is not None:
            terms.append(f'"group" IN ({", ".join("?" * len(wanted.groups))})')
            values += wanted.groups
        for column in ("deployment", "outcome", "transport"):
            if value := getattr(wanted, column):
                terms.append(f"{column} = ?")
                values.append(value)
        query = f"SELECT document FROM notified WHERE {' AND '.join(terms)} ORDER BY id DESC LIMIT ?"
        return [_row(document) for (document,) in self._database.rows(query, (*values, clamp_int64(limit)))]

    def trim_notified(self, before: int, most: int) -> int:
        """See ports.Notifications."""
        old = "SELECT id FROM notified ORDER BY id DESC LIMIT -1 OFFSET ?"
        with self._database.writing() as connection:
            dropped = connection.execute("DELETE FROM notified WHERE at < ?", (clamp_int64(before),)).rowcount
            over = connection.execute(f"DELETE FROM notified WHERE id IN ({old})", (clamp_int64(most),)).rowcount
            return int(dropped + over)


def _row(document: str) -> Notified:
    values: dict[str, Any] = json.loads(document)
    return Notified(**{**values, "target": tuple(values["target"])})
