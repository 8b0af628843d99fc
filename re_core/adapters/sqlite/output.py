"""What steps printed, as the chunks that it came in. Must not know which worker printed it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from re_core.adapters.paging import behind, clamp_int64, lines_of
from re_core.adapters.sqlite.database import Database, insert
from re_core.rows import OutputChunk, OutputLine
from re_core.wire import strict_json

_INTO = "INSERT OR IGNORE INTO output (id, deployment, first, last, step, at, lines)"
_SELECT = "SELECT id, first, step, at, lines FROM output WHERE deployment = ? AND last > ?"

#: chunks of one read, each of up to 64 KiB
_CHUNKS = 16


class OutputPart:
    """See ports.Output."""

    _database: Database

    def add_output(self, chunks: Sequence[OutputChunk]) -> None:
        """See ports.Output."""
        rows = [_row(chunk) for chunk in chunks]
        with self._database.writing() as connection:
            insert(connection, _INTO, rows)

    def stored_output(self, ids: Sequence[str]) -> set[str]:
        """See ports.Output."""
        query = "SELECT id FROM output WHERE id IN (SELECT value FROM json_each(?))"
        return {id for (id,) in self._database.rows(query, (strict_json.dumps(ids),))}

    def output_ids(self, beginning: str) -> list[str]:
        """See ports.Output."""
        query = "SELECT id FROM output WHERE id >= ? AND id < ?"
        return [id for (id,) in self._database.rows(query, (beginning, behind(beginning)))]

    def last_line(self, deployment: str) -> int:
        """See ports.Output."""
        (last,) = self._database.row("SELECT max(last) FROM output WHERE deployment = ?", (deployment,))
        return last or 0

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        """See ports.Output."""
        query, asked = _SELECT, [deployment, clamp_int64(after)]
        if step is not None:
            query, asked = f"{_SELECT} AND step = ?", [*asked, clamp_int64(step)]
        with self._database.reading() as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"{query} ORDER BY last", asked)
            return lines_of(_chunks(cursor, deployment), after, limit)


def _chunks(cursor: sqlite3.Cursor, deployment: str) -> Iterator[OutputChunk]:
    """As they are asked for."""
    while rows := cursor.fetchmany(_CHUNKS):
        for id, first, step, at, lines in rows:
            yield OutputChunk(id, deployment, first, step, at, tuple(json.loads(lines)))


def _row(chunk: OutputChunk) -> tuple[Any, ...]:
    last = chunk.first + len(chunk.lines) - 1
    lines = strict_json.dumps(chunk.lines)
    return chunk.id, chunk.deployment, chunk.first, last, chunk.step, chunk.at, lines
