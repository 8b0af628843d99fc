"""The list of notifications. Must not know why one failed."""

from __future__ import annotations

from collections.abc import Sequence

from re_core.adapters.mongo.database import Database, Document
from re_core.adapters.paging import clamp_int64
from re_core.ports.notifications import NotifiedFilter
from re_core.wire.notified import Notified

#: documents of one deletion, and of one answer of the server at most
_SOME, _MOST = 1000, 2**31 - 1


class NotificationsPart:
    """See ports.Notifications."""

    _database: Database

    def add_notified(self, rows: Sequence[Notified]) -> None:
        """See ports.Notifications."""
        documents: list[Document] = [{"_id": row.id, **row._asdict(), "target": list(row.target)} for row in rows]
        for document in documents:
            del document["id"]
        self._database.add(self._database.notified, documents)

    def notified(self, wanted: NotifiedFilter, limit: int, before: str = "") -> list[Notified]:
        """See ports.Notifications."""
        if limit <= 0:
            return []
        query: Document = {"_id": {"$lt": before}} if before else {}
        if wanted.groups is not None:
            query["group"] = {"$in": list(wanted.groups)}
        for name in ("deployment", "outcome", "transport"):
            if value := getattr(wanted, name):
                query[name] = value
        with self._database.translating_errors():
            found = list(self._database.notified.find(query).sort("_id", -1).limit(min(limit, _MOST)))
        return [row for _, row in self._database.readable("notified", found, notified_of)]

    def trim_notified(self, before: int, most: int) -> int:
        """See ports.Notifications."""
        rows = self._database.notified
        with self._database.translating_errors():
            dropped = rows.delete_many({"at": {"$lt": clamp_int64(before)}}).deleted_count
            newest = list(rows.find({}, {"_id": 1}).sort("_id", -1).skip(min(most, _MOST)).limit(1))
            if newest:
                dropped += rows.delete_many({"_id": {"$lte": newest[0]["_id"]}}).deleted_count
        return int(dropped)


def notified_of(document: Document) -> Notified:
    """The row of a document. Raises KeyError, TypeError or ValueError for what is none of ours."""
    values = {name: document[name] for name in Notified._fields if name != "id"}
    numbers = {name: int(values[name]) for name in ("at", "tries", "together")}
    return Notified(id=document["_id"], **{**values, **numbers, "target": tuple(map(str, values["target"]))})
