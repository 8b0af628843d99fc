"""Locks: a row is a hold. Must not know what is locked."""

from __future__ import annotations

import sqlite3

from re_core.adapters.sqlite.database import Database
from re_core.ports import Lock


class LocksPart:
    """See ports.Locks."""

    _database: Database

    def acquire(self, key: str, deployment: str, at: int) -> Lock:
        """See ports.Locks."""
        with self._database.writing() as connection:
            return _hold(connection, Lock(key, deployment, at))

    def compare_and_swap(self, key: str, held: Lock, deployment: str, at: int) -> Lock:
        """See ports.Locks."""
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM holds WHERE key = ? AND deployment = ? AND at = ?", (key, held.deployment, held.at)
            )
            return _hold(connection, Lock(key, deployment, at))

    def release(self, key: str, deployment: str) -> bool:
        """See ports.Locks."""
        with self._database.writing() as connection:
            cursor = connection.execute("DELETE FROM holds WHERE key = ? AND deployment = ?", (key, deployment))
            return cursor.rowcount == 1


def _hold(connection: sqlite3.Connection, wanted: Lock) -> Lock:
    connection.execute("INSERT OR IGNORE INTO holds (key, deployment, at) VALUES (?, ?, ?)", wanted)
    row = connection.execute("SELECT key, deployment, at FROM holds WHERE key = ?", (wanted.key,))
    return Lock._make(row.fetchone())
