"""Credentials of workers. Must not know what is signed with them."""

from __future__ import annotations

from re_core.adapters.mongo.database import Database, Document, foreign
from re_core.errors import StoreRefused
from re_core.rows import WorkerCredential

_TEXTS = ("_id", "public", "pool", "user")
_LISTS = ("commands", "environments")


class CredentialsPart:
    """See ports.credentials.CredentialRows."""

    _database: Database

    def add_credential(self, row: WorkerCredential) -> bool:
        """See ports.credentials.CredentialRows."""
        document: Document = {"_id": row.name, **row._asdict(), **{name: list(getattr(row, name)) for name in _LISTS}}
        del document["name"]
        stands = self._database.add_or_find(self._database.credentials, document)
        return bool(stands.get("public") == row.public)

    def credential(self, name: str) -> WorkerCredential | None:
        """See ports.credentials.CredentialRows. Raises StoreRefused for a document that is none of ours: its name is not free."""
        with self._database.translating_errors():
            found = self._database.credentials.find_one({"_id": name})
        if found is None:
            return None
        try:
            return credential_of(found)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreRefused(f"store {self._database.where}: {foreign('credentials', found)}; remove it") from error

    def credentials(self) -> list[WorkerCredential]:
        """See ports.credentials.CredentialRows."""
        with self._database.translating_errors():
            found = list(self._database.credentials.find().sort("_id", 1))
        return [one for _, one in self._database.readable("credentials", found, credential_of)]

    def revoke_credential(self, name: str, at: int) -> bool:
        """See ports.credentials.CredentialRows."""
        with self._database.translating_errors():
            which: Document = {"_id": name, "revoked": None}
            return self._database.credentials.update_one(which, {"$set": {"revoked": at}}).matched_count == 1

    def remove_credential(self, name: str) -> bool:
        """See ports.credentials.CredentialRows."""
        with self._database.translating_errors():
            which: Document = {"_id": name, "revoked": {"$ne": None}}
            return self._database.credentials.delete_one(which).deleted_count == 1


def credential_of(document: Document) -> WorkerCredential:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    lists = [document[name] for name in _LISTS]
    texts = [document[name] for name in _TEXTS]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("no credential")
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise TypeError("no credential")
    name, public, pool, user = texts
    revoked = document["revoked"]
    return WorkerCredential(
        name,
        public,
        tuple(lists[0]),
        pool,
        tuple(lists[1]),
        int(document["created"]),
        user,
        None if revoked is None else int(revoked),
    )
