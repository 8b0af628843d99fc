"""What steps printed, as the chunks that it came in. Must not know which worker printed it.

The lines of a chunk are one text of JSON: a list of BSON spends fourteen bytes on an empty line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from re_core.adapters.mongo.database import Database, Document
from re_core.adapters.paging import behind, clamp_int64, lines_of
from re_core.rows import OutputChunk, OutputLine
from re_core.wire import strict_json

#: chunks of one read, each of up to 64 KiB
_CHUNKS = 16


class OutputPart:
    """See ports.Output."""

    _database: Database

    def add_output(self, chunks: Sequence[OutputChunk]) -> None:
        """See ports.Output."""
        self._database.add(self._database.output, [_document(chunk) for chunk in chunks])

    def stored_output(self, ids: Sequence[str]) -> set[str]:
        """See ports.Output."""
        if not ids:
            return set()
        with self._database.translating_errors():
            return {one["_id"] for one in self._database.output.find({"_id": {"$in": list(ids)}}, {"_id": 1})}

    def output_ids(self, beginning: str) -> list[str]:
        """See ports.Output."""
        wanted = {"_id": {"$gte": beginning, "$lt": behind(beginning)}}
        with self._database.translating_errors():
            return [one["_id"] for one in self._database.output.find(wanted, {"_id": 1})]

    def last_line(self, deployment: str) -> int:
        """See ports.Output."""
        with self._database.translating_errors():
            found = self._database.output.find({"deployment": deployment}, {"last": 1}).sort("last", -1).limit(1)
            return max((int(one["last"]) for one in found), default=0)

    def output(self, deployment: str, after: int = 0, limit: int = 1000, step: int | None = None) -> list[OutputLine]:
        """See ports.Output."""
        query: Document = {"deployment": deployment, "last": {"$gt": clamp_int64(after)}}
        if step is not None:
            query["step"] = clamp_int64(step)
        with (
            self._database.translating_errors(),
            self._database.output.find(query).sort("last", 1).batch_size(_CHUNKS) as found,
        ):
            chunks = (chunk for _, chunk in self._database.readable("output", found, chunk_of))
            return lines_of(chunks, after, limit)


def _document(chunk: OutputChunk) -> Document:
    return {
        "_id": chunk.id,
        "deployment": chunk.deployment,
        "first": chunk.first,
        "last": chunk.first + len(chunk.lines) - 1,
        "step": chunk.step,
        "at": chunk.at,
        "lines": strict_json.dumps(chunk.lines),
    }


def chunk_of(document: Document) -> OutputChunk:
    """What it says. Raises KeyError, TypeError or ValueError for a document that is none of ours."""
    step = None if document["step"] is None else int(document["step"])
    first, at, last = int(document["first"]), int(document["at"]), int(document["last"])
    chunk = OutputChunk(document["_id"], document["deployment"], first, step, at, tuple(json.loads(document["lines"])))
    if last != first + len(chunk.lines) - 1:
        raise ValueError("the count of its numbers and of its lines differ")
    return chunk
