"""Idempotency keys. Must not know what they are made of."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.adapters.mongo.database import Database, Document, foreign
from re_core.errors import StoreRefused
from re_core.ports import KeyRecord


class RequestsPart:
    """See ports.Requests."""

    _database: Database

    def claim(self, claim: KeyRecord) -> KeyRecord:
        """See ports.Requests."""
        return self.claim_all([claim])[0]

    def standing_claim(self, key: str) -> KeyRecord | None:
        """See ports.Requests."""
        with self._database.translating_errors():
            found = self._database.requests.find_one({"_id": key})
        return None if found is None else self._read(found)

    def claim_all(self, claims: Sequence[KeyRecord]) -> list[KeyRecord]:
        """See ports.Requests."""
        database = self._database
        first: dict[str, Document] = {}
        for key, deployment, digest in claims:
            first.setdefault(key, {"_id": key, "deployment": deployment, "digest": digest})
        standing = database.add_or_find_all(database.requests, list(first.values()))
        return [self._read(standing[claim.key]) for claim in claims]

    def _read(self, found: Document) -> KeyRecord:
        if isinstance(found.get("deployment"), str) and isinstance(found.get("digest"), str):
            return KeyRecord(found["_id"], found["deployment"], found["digest"])
        raise StoreRefused(f"store {self._database.where}: {foreign('requests', found)}; remove it")
