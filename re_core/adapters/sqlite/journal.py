"""The journal: entries as text, and the one transaction that appends them with their views and mail.

Must not know what a record means.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database, insert
from re_core.adapters.sqlite.feed import insert_feed
from re_core.adapters.sqlite.mailbox import insert_mail
from re_core.adapters.sqlite.views import upsert_views
from re_core.deployment.records import Entry
from re_core.ports import Append, Appended, Clock, EntryCodec
from re_core.wire import strict_json

_INTO = "INSERT OR IGNORE INTO journal (deployment, number, body)"

# All bodies in one row: a step costs more than the text that it yields (docstring of database). Each is JSON, so a list
# of them is JSON too.
_ENTRIES = """
SELECT group_concat('[' || number || ',' || body || ']') FROM (
    SELECT number, body FROM journal WHERE deployment = ? AND number > ? ORDER BY number LIMIT ?
)
"""

_Row = tuple[str, int, str]


class JournalPart:
    """See ports.Journal."""

    transactional = True

    _database: Database
    _clock: Clock
    _codec: EntryCodec

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        """See ports.Journal."""
        if not batch:
            return []
        rows = [self._row(one.entry) for one in batch]
        now = self._clock.now()
        with self._database.writing() as connection:
            if insert(connection, _INTO, rows) == len(rows):
                _insert_rest(connection, batch, now)
                return [Appended.STORED] * len(rows)
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            return [_append_one(connection, one, row, now) for one, row in zip(batch, rows, strict=True)]

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        """See ports.Journal."""
        most = -1 if limit is None else max(limit, 0)  # a negative limit is none
        (found,) = self._database.row(_ENTRIES, (deployment, clamp_int64(after), most))
        if found is None:
            return []
        documents = sorted(json.loads(f"[{found}]"), key=lambda pair: pair[0])
        return [self._codec.from_document(deployment, number, document) for number, document in documents]

    def _row(self, entry: Entry) -> _Row:
        return entry.deployment, entry.number, strict_json.dumps(self._codec.to_document(entry))


def _append_one(connection: sqlite3.Connection, one: Append, row: _Row, now: int) -> Appended:
    if insert(connection, _INTO, [row]):
        _insert_rest(connection, [one], now)
        return Appended.STORED
    (body,) = connection.execute(
        "SELECT body FROM journal WHERE deployment = ? AND number = ?", (row[0], row[1])
    ).fetchone()
    # The body holds the writer's token: the caller's own, whose answer was lost, is the same to the letter.
    return Appended.STORED if body == row[2] else Appended.LOST


def _insert_rest(connection: sqlite3.Connection, batch: Sequence[Append], now: int) -> None:
    upsert_views(connection, [one.view for one in batch if one.view is not None])
    insert_mail(connection, [pair for one in batch for pair in one.mail], now)
    insert_feed(connection, [one.entry for one in batch if one.fed])
