"""Idempotency keys. Must not know what they are made of."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.adapters.sqlite.database import Database, insert
from re_core.ports import KeyRecord

_INTO = "INSERT OR IGNORE INTO requests (key, deployment, digest)"
_FIND = "SELECT key, deployment, digest FROM requests WHERE key = ?"


class RequestsPart:
    """See ports.Requests."""

    _database: Database

    def claim(self, claim: KeyRecord) -> KeyRecord:
        """See ports.Requests."""
        return self.claim_all([claim])[0]

    def standing_claim(self, key: str) -> KeyRecord | None:
        """See ports.Requests."""
        found = self._database.row(_FIND, (key,))
        return None if found is None else KeyRecord._make(found)

    def claim_all(self, claims: Sequence[KeyRecord]) -> list[KeyRecord]:
        """See ports.Requests. Not synced: the log is written in order, so the sync of the append takes the claims along."""
        if not claims:
            return []
        with self._database.writing(synced=False) as connection:
            if insert(connection, _INTO, claims) == len(claims):
                return list(claims)
            return [KeyRecord._make(connection.execute(_FIND, (claim.key,)).fetchone()) for claim in claims]
