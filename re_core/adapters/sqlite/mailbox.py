"""Queues that outlive the process. Must not know their consumers.

A settled message leaves its id behind for a day, so that a copy is recognised, unless its queue's consumer knows copies
by itself. Each settling deletes more of the old ids than it adds, so that their number follows the rate of one day.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from re_core.adapters.paging import clamp_int64
from re_core.adapters.sqlite.database import Database, insert
from re_core.ports import Clock
from re_core.wire import strict_json
from re_core.wire.messages import Message

#: milliseconds that the id of a settled message is remembered
REMEMBERED = 24 * 3600 * 1000

#: old ids that one settling deletes at most: so many for each that it adds, and some
_FORGOTTEN, _FORGOTTEN_TOO = 2, 64

_INTO = "INSERT OR IGNORE INTO mailbox (queue, id, key, body, properties, expires)"

_SETTLE = """
UPDATE mailbox SET settled = ?, body = x'', properties = ''
WHERE queue = ? AND settled IS NULL AND id IN (SELECT value FROM json_each(?))
"""

_DELETE = "DELETE FROM mailbox WHERE queue = ? AND settled IS NULL AND id IN (SELECT value FROM json_each(?))"

_FORGET = """
DELETE FROM mailbox WHERE number IN (
    SELECT number FROM mailbox WHERE settled IS NOT NULL AND settled < ? ORDER BY settled LIMIT ?
)
"""

_Pair = tuple[str, Message]


class MailboxPart:
    """See ports.Mailbox."""

    _database: Database
    _clock: Clock

    def keep(self, messages: Sequence[_Pair]) -> list[bool]:
        """See ports.Mailbox. What an append kept already costs only a look."""
        known = self._states(messages)
        if None in known:
            now = self._clock.now()
            with self._database.writing() as connection:
                insert_mail(connection, messages, now)
            known = self._states(messages)
        return [state == 1 for state in known]

    def kept(self, queue: str) -> list[Message]:
        """See ports.Mailbox. Those that expired meanwhile are not among them."""
        now = self._clock.now()
        query = (
            "SELECT key, body, id, properties, expires FROM mailbox "
            "WHERE queue = ? AND settled IS NULL AND (expires IS NULL OR expires > ?) ORDER BY number"
        )
        return [_message(row, now) for row in self._database.rows(query, (queue, now))]

    def settle(self, queue: str, ids: Sequence[str], remember: bool = True) -> None:
        """See ports.Mailbox."""
        now = self._clock.now()
        with self._database.writing() as connection:
            if remember:
                connection.execute(_SETTLE, (now, queue, strict_json.dumps(ids)))
            else:
                connection.execute(_DELETE, (queue, strict_json.dumps(ids)))
            connection.execute(_FORGET, (now - REMEMBERED, len(ids) * _FORGOTTEN + _FORGOTTEN_TOO))

    def _states(self, messages: Sequence[_Pair]) -> list[int | None]:
        """Of each: 1 kept, 0 settled, None unknown."""
        query = "SELECT settled IS NULL FROM mailbox WHERE queue = ? AND id = ?"
        with self._database.reading() as connection:
            found = [connection.execute(query, (queue, message.id)).fetchone() for queue, message in messages]
        return [None if row is None else row[0] for row in found]


def insert_mail(connection: sqlite3.Connection, messages: Sequence[_Pair], now: int) -> None:
    """Keep them, within the caller's transaction."""
    if messages:
        insert(connection, _INTO, [_row(queue, message, now) for queue, message in messages])


def _row(queue: str, message: Message, now: int) -> tuple[Any, ...]:
    properties = strict_json.dumps(
        [message.correlation_id, message.reply_to, message.headers, message.app_id, message.direct]
    )
    expires = None if message.expires is None else clamp_int64(now + message.expires)
    return queue, message.id, message.key, message.body, properties, expires


def _message(row: Sequence[Any], now: int) -> Message:
    key, body, id, properties, expires = row
    correlation_id, reply_to, headers, app_id, direct = json.loads(properties)
    remaining = None if expires is None else expires - now
    return Message(key, body, id, correlation_id, reply_to, headers, app_id, direct, remaining)
