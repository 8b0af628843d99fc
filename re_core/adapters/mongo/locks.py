"""Locks: a document is a hold. Must not know what is locked.

Taking over deletes exactly the hold that was seen and then inserts: the insert decides. A crash between the two leaves
the lock free, which is what it then is.
"""

from __future__ import annotations

from re_core.adapters.mongo.database import Database, foreign
from re_core.errors import StoreRefused
from re_core.ports import Lock


class LocksPart:
    """See ports.Locks."""

    _database: Database

    def acquire(self, key: str, deployment: str, at: int) -> Lock:
        """See ports.Locks."""
        database = self._database
        found = database.add_or_find(database.holds, {"_id": key, "deployment": deployment, "at": at})
        if isinstance(found.get("deployment"), str) and isinstance(found.get("at"), int):
            return Lock(key, found["deployment"], int(found["at"]))
        raise StoreRefused(f"store {database.where}: {foreign('holds', found)}; remove it")

    def compare_and_swap(self, key: str, held: Lock, deployment: str, at: int) -> Lock:
        """See ports.Locks."""
        with self._database.translating_errors():
            self._database.holds.delete_one({"_id": key, "deployment": held.deployment, "at": held.at})
        return self.acquire(key, deployment, at)

    def release(self, key: str, deployment: str) -> bool:
        """See ports.Locks."""
        with self._database.translating_errors():
            return self._database.holds.delete_one({"_id": key, "deployment": deployment}).deleted_count == 1
