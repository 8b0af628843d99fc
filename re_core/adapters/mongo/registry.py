"""Which workers live. Must not know how they say so."""

from __future__ import annotations

import json

from pymongo.errors import DuplicateKeyError

from re_core.adapters.mongo.database import Database, Document
from re_core.adapters.offers import offers_of
from re_core.adapters.paging import clamp_int64
from re_core.adapters.places import place_of, place_text
from re_core.rows import WorkerRecord
from re_core.wire import strict_json


class RegistryPart:
    """See ports.Registry."""

    _database: Database

    def register(self, worker: WorkerRecord) -> None:
        """See ports.Registry."""
        with self._database.translating_errors():
            try:
                self._database.workers.replace_one({"_id": worker.id}, _document(worker), upsert=True)
            except DuplicateKeyError:  # another core inserted it between the server's look and its insert
                self._database.workers.replace_one({"_id": worker.id}, _document(worker), upsert=True)

    def workers(self, seen_since: int = 0) -> list[WorkerRecord]:
        """See ports.Registry."""
        with self._database.translating_errors():
            found = list(self._database.workers.find({"seen": {"$gte": clamp_int64(seen_since)}}).sort("_id", 1))
        return [worker for _, worker in self._database.readable("workers", found, worker_of)]

    def forget_workers(self, seen_before: int) -> None:
        """See ports.Registry."""
        with self._database.translating_errors():
            self._database.workers.delete_many({"seen": {"$lt": clamp_int64(seen_before)}})


def worker_of(document: Document) -> WorkerRecord:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    offers, running = offers_of(document["offers"]), json.loads(document["running"])
    # older versions write no `beat`, no `degraded`, no `place`, no `credential` and no `fault`
    beat, degraded = int(document.get("beat", 0)), json.loads(document.get("degraded", "{}"))
    slots, seen = int(document["slots"]), int(document["seen"])
    place = place_of(document.get("place", "{}"))
    shown = str(document.get("credential", "")), str(document.get("fault", ""))
    return WorkerRecord(document["_id"], slots, offers, tuple(running), seen, beat, degraded, place, *shown)


def _document(worker: WorkerRecord) -> Document:
    return {
        "_id": worker.id,
        "slots": worker.slots,
        "offers": strict_json.dumps(worker.offers),
        "running": strict_json.dumps(worker.running),
        "seen": worker.seen,
        "beat": worker.beat,
        "degraded": strict_json.dumps(dict(worker.degraded)),
        "place": place_text(worker.place),
        "credential": worker.credential,
        "fault": worker.fault,
    }
