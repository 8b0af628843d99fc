"""The feed: one row for each append, committed with it. Must not know what an entry says.

The number of a row is given out by AUTOINCREMENT and never twice, also not after the newest row was deleted; there is one
writer at a time, so rows become readable in the order of their numbers.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database
from re_core.deployment.records import Entry
from re_core.errors import NewerFormat, StoreRefused
from re_core.ports import EntryCodec
from re_core.ports.feed import WIDTH, EntryRef, FeedPage, FeedRange, chunk_of, position
from re_core.wire import strict_json

_log = logging.getLogger(__name__)


class FeedPart:
    """See ports.Feed."""

    _database: Database
    _codec: EntryCodec

    def add_to_feed(self, entries: Sequence[EntryRef], repeated: Sequence[EntryRef] = ()) -> None:
        """See ports.Feed. They are there already."""

    def feed(self, after: int, limit: int) -> FeedPage:
        """See ports.Feed."""
        query = "SELECT number, entries FROM feed WHERE number >= ? ORDER BY number LIMIT ?"
        with self._database.reading() as connection:
            chunks = connection.execute(query, (clamp_int64(chunk_of(after)), clamp_int64(limit + 1))).fetchall()
            wanted = list(islice((one for one in _places(chunks) if one[0] > after), limit))
            read = ((at, _entry(connection, self._codec, deployment, number)) for at, deployment, number in wanted)
            found = [(at, entry) for at, entry in read if entry is not None]
        return FeedPage(found, wanted[-1][0] if wanted else after)

    def feed_range(self) -> FeedRange:
        """See ports.Feed."""
        query = "SELECT number, entries FROM feed WHERE number = (SELECT {}(number) FROM feed)"
        with self._database.reading() as connection:
            last = connection.execute(query.format("max")).fetchone()
            first = connection.execute(query.format("min")).fetchone()
        if last is None or first is None:
            return FeedRange(0, 0)
        before = position(first[0], 0) - 1 if first[0] > 1 else 0
        return FeedRange(before, position(last[0], len(json.loads(last[1])) - 1))

    def trim_feed(self, chunks: int) -> None:
        """See ports.Feed."""
        with self._database.writing(synced=False) as connection:
            connection.execute(
                "DELETE FROM feed WHERE number <= (SELECT max(number) FROM feed) - ?", (clamp_int64(max(chunks, 1)),)
            )


def insert_feed(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Within the caller's transaction."""
    keys = [(entry.deployment, entry.number) for entry in entries]
    for first in range(0, len(keys), WIDTH):
        connection.execute("INSERT INTO feed (entries) VALUES (?)", (strict_json.dumps(keys[first : first + WIDTH]),))


def _places(chunks: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, int]]:
    for number, text in chunks:
        for place, (deployment, entry) in enumerate(json.loads(text)):
            yield position(number, place), deployment, entry


def _entry(connection: sqlite3.Connection, codec: EntryCodec, deployment: str, number: int) -> Entry | None:
    """None for one that was deleted."""
    query = "SELECT body FROM journal WHERE deployment = ? AND number = ?"
    row = connection.execute(query, (deployment, number)).fetchone()
    if row is None:
        return None
    try:
        return codec.from_document(deployment, number, json.loads(row[0]))
    except NewerFormat:
        raise
    except StoreRefused as error:  # damage to one must not keep readers from the others
        _log.warning("the feed skips an entry: %s", error, extra={"action": "pass_over"})
        return None
