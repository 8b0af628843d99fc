"""Credentials of workers. Must not know what is signed with them."""

from __future__ import annotations

import json
from typing import Any

from re_core.adapters.sqlite.database import Database
from re_core.rows import WorkerCredential
from re_core.wire import strict_json

_COLUMNS = "name, public, commands, pool, environments, created, user, revoked"
_SELECT = f"SELECT {_COLUMNS} FROM credentials"


class CredentialsPart:
    """See ports.credentials.CredentialRows."""

    _database: Database

    def add_credential(self, row: WorkerCredential) -> bool:
        """See ports.credentials.CredentialRows."""
        commands, environments = map(strict_json.dumps, (row.commands, row.environments))
        values = (row.name, row.public, commands, row.pool, environments, row.created, row.user, row.revoked)
        with self._database.writing() as connection:
            connection.execute(f"INSERT OR IGNORE INTO credentials ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)", values)
            (public,) = connection.execute("SELECT public FROM credentials WHERE name = ?", (row.name,)).fetchone()
        return bool(public == row.public)

    def credential(self, name: str) -> WorkerCredential | None:
        """See ports.credentials.CredentialRows."""
        row = self._database.row(f"{_SELECT} WHERE name = ?", (name,))
        return None if row is None else _credential(*row)

    def credentials(self) -> list[WorkerCredential]:
        """See ports.credentials.CredentialRows."""
        return [_credential(*row) for row in self._database.rows(f"{_SELECT} ORDER BY name")]

    def revoke_credential(self, name: str, at: int) -> bool:
        """See ports.credentials.CredentialRows."""
        return self._changed("UPDATE credentials SET revoked = ? WHERE name = ? AND revoked IS NULL", (at, name))

    def remove_credential(self, name: str) -> bool:
        """See ports.credentials.CredentialRows."""
        return self._changed("DELETE FROM credentials WHERE name = ? AND revoked IS NOT NULL", (name,))

    def _changed(self, statement: str, values: tuple[Any, ...]) -> bool:
        with self._database.writing() as connection:
            return connection.execute(statement, values).rowcount == 1


def _credential(name: str, public: str, commands: str, pool: str, environments: str, *more: Any) -> WorkerCredential:
    return WorkerCredential(name, public, tuple(json.loads(commands)), pool, tuple(json.loads(environments)), *more)
