"""Idempotency keys. Must not know what they are made of."""

from __future__ import annotations

from re_core.adapters.sqlite.database import Database
from re_core.ports import Claim


class RequestsPart:
    """See ports.Requests."""

    _database: Database

    def claim(self, claim: Claim) -> Claim:
        """See ports.Requests."""
        with self._database.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO requests (key, deployment, digest) VALUES (?, ?, ?)", claim)
            row = connection.execute("SELECT key, deployment, digest FROM requests WHERE key = ?", (claim.key,))
            return Claim._make(row.fetchone())
