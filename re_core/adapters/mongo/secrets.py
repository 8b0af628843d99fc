"""Sealed secrets. Must not know what they are for."""

from __future__ import annotations

from re_core.adapters.mongo.database import Database, Document, foreign
from re_core.errors import StoreRefused
from re_core.rows import SecretRow


class SecretsPart:
    """See ports.secrets.SecretRows."""

    _database: Database

    def save_secret(self, row: SecretRow) -> bool:
        """See ports.secrets.SecretRows."""
        document = _document(row)
        if row.version == 1:
            return self._database.add_or_find(self._database.secrets, document) == document
        with self._database.translating_errors():
            which = {"_id": row.name, "version": row.version - 1}
            if self._database.secrets.replace_one(which, document).matched_count == 1:
                return True
        return self.secret(row.name) == row

    def secret(self, name: str) -> SecretRow | None:
        """See ports.secrets.SecretRows. Raises StoreRefused for a document that is none of ours: its name is not free."""
        with self._database.translating_errors():
            found = self._database.secrets.find_one({"_id": name})
        if found is None:
            return None
        try:
            return secret_of(found)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreRefused(f"store {self._database.where}: {foreign('secrets', found)}; remove it") from error

    def secrets(self, after: str = "", limit: int = 1000) -> list[SecretRow]:
        """See ports.secrets.SecretRows."""
        with self._database.translating_errors():
            found = list(self._database.secrets.find({"_id": {"$gt": after}}).sort("_id", 1).limit(limit))
        return [row for _, row in self._database.readable("secrets", found, secret_of)]

    def count_secrets(self) -> int:
        """See ports.secrets.SecretRows."""
        with self._database.translating_errors():
            return self._database.secrets.count_documents({})

    def remove_secret(self, name: str) -> bool:
        """See ports.secrets.SecretRows."""
        with self._database.translating_errors():
            return self._database.secrets.delete_one({"_id": name}).deleted_count == 1


def secret_of(document: Document) -> SecretRow:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    name, sealed, user = document["_id"], document["sealed"], document["user"]
    if not isinstance(name, str) or not isinstance(sealed, bytes) or not isinstance(user, str):
        raise TypeError("no secret")
    return SecretRow(
        name, bytes(sealed), int(document["version"]), int(document["created"]), int(document["updated"]), user
    )


def _document(row: SecretRow) -> Document:
    document = {"_id": row.name, **row._asdict()}
    del document["name"]
    return document
