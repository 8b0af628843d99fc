"""Undeliverable messages, byte for byte. Must not know why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.rows import DeadLetter
from re_core.wire import strict_json

_COLUMNS = 'id, queue, reason, detail, "by", at, body, properties'
_SELECT = f"SELECT {_COLUMNS} FROM dead_letters"
#: above every id
_LAST = "\U0010ffff"

_PLACES = ",".join("?" * len(DeadLetter._fields))


class DeadLettersPart:
    """See ports.DeadLetters."""

    _database: Database

    def store_letter(self, letter: DeadLetter) -> None:
        """See ports.DeadLetters."""
        row = (*letter[:-1], strict_json.dumps(letter.properties))
        with self._database.writing() as connection:
            connection.execute(f"INSERT OR IGNORE INTO dead_letters ({_COLUMNS}) VALUES ({_PLACES})", row)

    def dead_letters(self, limit: int, before: str = "") -> list[DeadLetter]:
        """See ports.DeadLetters."""
        query = f"{_SELECT} WHERE id < ? ORDER BY id DESC LIMIT ?"
        return [_letter(row) for row in self._database.rows(query, (before or _LAST, clamp_int64(limit)))]

    def count_dead_letters(self) -> int:
        """See ports.DeadLetters."""
        row = self._database.row("SELECT count(*) FROM dead_letters", ())
        return 0 if row is None else int(row[0])

    def dead_letter(self, id: str) -> DeadLetter | None:
        """See ports.DeadLetters."""
        row = self._database.row(f"{_SELECT} WHERE id = ?", (id,))
        return None if row is None else _letter(row)

    def drop_dead_letter(self, id: str) -> bool:
        """See ports.DeadLetters."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM dead_letters WHERE id = ?", (id,)).rowcount == 1

    def drop_oldest_dead_letters(self, most: int) -> int:
        """See ports.DeadLetters."""
        old = "SELECT id FROM dead_letters ORDER BY id DESC LIMIT -1 OFFSET ?"
        with self._database.writing() as connection:
            return connection.execute(f"DELETE FROM dead_letters WHERE id IN ({old})", (clamp_int64(most),)).rowcount


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter._make((*row[:-1], json.loads(row[-1])))
