"""What steps printed, as the chunks that it came in. Must not know who printed it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from re_core import strict_json
from re_core.adapters.paging import whole
from re_core.adapters.sqlite.database import Database, insert
from re_core.model import OutputChunk, OutputLine

_INTO = "INSERT OR IGNORE INTO output (id, deployment, first, last, step, at, lines)"
_SELECT = "SELECT first, step, at, lines FROM output WHERE deployment = ? AND last > ?"

#: chunks of one read; a chunk has at least one line, most have more
_CHUNKS = 256


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

    def last_line(self, deployment: str) -> int:
        """See ports.Output."""
        (last,) = self._database.row("SELECT max(last) FROM output WHERE deployment = ?", (deployment,))
        return last or 0

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        """See ports.Output."""
        lines: list[OutputLine] = []
        position = after
        while len(lines) < limit:
            chunks = self._chunks(deployment, position, step)
            for first, of_step, at, texts in chunks:
                numbered = [
                    OutputLine(number, of_step, at, text) for number, text in enumerate(json.loads(texts), first)
                ]
                lines += [line for line in numbered if line.number > position]
                position = max(position, first + len(numbered) - 1)
            if len(chunks) < _CHUNKS:
                break
        return lines[:limit]

    def _chunks(self, deployment: str, after: int, step: int | None) -> list[Any]:
        if step is None:
            return self._database.rows(f"{_SELECT} ORDER BY last LIMIT ?", (deployment, whole(after), _CHUNKS))
        query = f"{_SELECT} AND step = ? ORDER BY last LIMIT ?"
        return self._database.rows(query, (deployment, whole(after), whole(step), _CHUNKS))


def _row(chunk: OutputChunk) -> tuple[Any, ...]:
    last = chunk.first + len(chunk.lines) - 1
    lines = strict_json.dumps(chunk.lines)
    return chunk.id, chunk.deployment, chunk.first, last, chunk.step, chunk.at, lines
