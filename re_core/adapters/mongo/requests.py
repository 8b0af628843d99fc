"""Idempotency keys. Must not know what they are made of."""

from __future__ import annotations

from re_core.adapters.mongo.database import Database, foreign
from re_core.errors import StoreRefused
from re_core.ports import Claim


class RequestsPart:
    """See ports.Requests."""

    _database: Database

    def claim(self, claim: Claim) -> Claim:
        """See ports.Requests."""
        database = self._database
        document = {"_id": claim.key, "deployment": claim.deployment, "digest": claim.digest}
        found = database.add_or_find(database.requests, document)
        if isinstance(found.get("deployment"), str) and isinstance(found.get("digest"), str):
            return Claim(claim.key, found["deployment"], found["digest"])
        raise StoreRefused(f"store {database.where}: {foreign('requests', found)}; remove it")
