"""The list of deployments: its rows, filters, order and pages. Must not know the journal.

A row is replaced only by one of the same or a later entry: the update names the entry that it may replace, and where a
newer row stands, the upsert finds no row to update, tries to insert one, and gets the answer that the key exists.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from re_core.adapters.mongo.database import Database, Document
from re_core.adapters.mongo.failures import duplicates
from re_core.adapters.paging import clamp_int64, cursor_of, read_cursor
from re_core.model import DeploymentStatus
from re_core.ports import Page, ViewFilter
from re_core.rows import View

_NEWER = ("published", "revision", "dynamic", "claimants")
_NUMBERS = ("created", "ended", "done", "total", "due", "entry")


class ViewsPart:
    """See ports.Views."""

    _database: Database

    def write_views(self, views: Sequence[View]) -> None:
        """See ports.Views. One round trip."""
        newest: dict[str, View] = {}
        for view in views:
            if view.id not in newest or view.entry >= newest[view.id].entry:
                newest[view.id] = view
        if not newest:
            return
        updates = [_update(view) for view in newest.values()]
        with self._database.translating_errors():
            try:
                self._database.views.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                if duplicates(error) is None:
                    raise

    def views(self, wanted: ViewFilter, limit: int, cursor: str = "") -> Page:
        """See ports.Views. Rows that are not ours are left out."""
        query = _query(wanted)
        if cursor:
            created, id = read_cursor(cursor)
            query["$or"] = [{"created": {"$lt": created}}, {"created": created, "_id": {"$lt": id}}]
        if wanted.groups == () or limit <= 0:
            return Page([], None)
        with self._database.translating_errors():
            found = self._database.views.find(query).sort([("created", -1), ("_id", -1)])
            documents = list(found.limit(min(clamp_int64(limit), 2**31 - 2) + 1))
        rows = [row for _, row in self._database.readable("views", documents[:limit], view_of)]
        more = len(documents) > limit
        return Page(rows, cursor_of(rows[-1].created, rows[-1].id) if more and rows else None)

    def active(self) -> list[str]:
        """See ports.Views."""
        with self._database.translating_errors():
            found = self._database.views.find({"ended": None}, {"_id": 1}).sort([("created", 1), ("_id", 1)])
            return [one["_id"] for one in found]

    def claimed(self, workers: Collection[str]) -> dict[str, list[str]]:
        """See ports.Views."""
        wanted = sorted(set(workers))
        if not wanted:
            return {}
        # null finds what an older engine wrote, and has no such field
        query = {"claimants": {"$in": [*wanted, None]}, "ended": None}
        with self._database.translating_errors():
            found = list(self._database.views.find(query, {"_id": 1, "claimants": 1}))
        return {one["_id"]: _among(wanted, one.get("claimants")) for one in found}

    def due(self, now: int, limit: int) -> list[str]:
        """See ports.Views."""
        with self._database.translating_errors():
            found = self._database.views.find({"due": {"$lte": clamp_int64(now)}}, {"_id": 1})
            return [one["_id"] for one in found.sort([("due", 1), ("_id", 1)]).limit(limit)]


def document_of(view: View) -> Document:
    """The stored form of a row."""
    id, *values = view
    return {"_id": id, **dict(zip(View._fields[1:], values, strict=True)), "status": str(view.status)}


def view_of(document: Document) -> View:
    """The row. Raises KeyError, TypeError or ValueError for a document that is none."""
    fields = {name: document["_id" if name == "id" else name] for name in View._fields if name not in _NEWER}
    # rows of an older engine lack them
    fields["published"], fields["revision"] = int(document.get("published", 0)), int(document.get("revision", 0))
    fields["dynamic"] = str(document.get("dynamic", ""))
    claimants = document.get("claimants")
    fields["claimants"] = None if claimants is None else tuple(claimants)
    for name in _NUMBERS:
        fields[name] = None if fields[name] is None else int(fields[name])
    return View(**{**fields, "status": DeploymentStatus(fields["status"])})


def _among(wanted: Sequence[str], claimants: object) -> list[str]:
    """All of them where the row does not say."""
    return [worker for worker in wanted if not isinstance(claimants, list) or worker in claimants]


def _update(view: View) -> UpdateOne:
    document = document_of(view)
    id = document.pop("_id")
    # all of it, also what never changes in a deployment's life: a core that died before its entry has left a row of its own
    return UpdateOne({"_id": id, "entry": {"$lte": view.entry}}, {"$set": document}, upsert=True)


def _query(wanted: ViewFilter) -> dict[str, Any]:
    query: dict[str, Any] = {}
    if wanted.groups is not None:
        query["group"] = {"$in": list(wanted.groups)}
    else:
        query["group"] = {"$ne": ""}  # of other kinds than deployments
    if wanted.playbook_id:
        query["playbook_id"] = wanted.playbook_id
    if wanted.statuses:
        query["status"] = {"$in": [str(status) for status in wanted.statuses]}
    if wanted.user:
        query["user"] = wanted.user
    if wanted.since:
        query["created"] = {"$gte": clamp_int64(wanted.since)}
    return query
