"""Sealed secrets. Must not know what they are for."""

from __future__ import annotations

from re_core.adapters.sqlite.database import Database
from re_core.rows import SecretRow

_COLUMNS = "name, sealed, version, created, updated, user"


class SecretsPart:
    """See ports.secrets.SecretRows."""

    _database: Database

    def save_secret(self, row: SecretRow) -> bool:
        """See ports.secrets.SecretRows."""
        with self._database.writing() as connection:
            if row.version == 1:
                connection.execute(f"INSERT OR IGNORE INTO secrets ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)
            else:
                connection.execute(
                    "UPDATE secrets SET sealed = ?, version = ?, created = ?, updated = ?, user = ? WHERE name = ? AND version = ?",
                    (row.sealed, row.version, row.created, row.updated, row.user, row.name, row.version - 1),
                )
            stands = connection.execute(f"SELECT {_COLUMNS} FROM secrets WHERE name = ?", (row.name,)).fetchone()
        return stands is not None and SecretRow(*stands) == row

    def secret(self, name: str) -> SecretRow | None:
        """See ports.secrets.SecretRows."""
        row = self._database.row(f"SELECT {_COLUMNS} FROM secrets WHERE name = ?", (name,))
        return None if row is None else SecretRow(*row)

    def secrets(self, after: str = "", limit: int = 1000) -> list[SecretRow]:
        """See ports.secrets.SecretRows."""
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM secrets WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [SecretRow(*row) for row in rows]

    def count_secrets(self) -> int:
        """See ports.secrets.SecretRows."""
        row = self._database.row("SELECT count(*) FROM secrets")
        return 0 if row is None else int(row[0])

    def remove_secret(self, name: str) -> bool:
        """See ports.secrets.SecretRows."""
        with self._database.writing() as connection:
            return connection.execute("DELETE FROM secrets WHERE name = ?", (name,)).rowcount == 1
