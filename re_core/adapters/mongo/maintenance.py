"""Maintenance of the store. Must not know what a journal or a row says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from re_core.adapters.mongo import parts
from re_core.adapters.mongo.apps import app_of, config_of, log_of, zone_of
from re_core.adapters.mongo.artifacts import artifact_of, content_of, use_of
from re_core.adapters.mongo.credentials import credential_of
from re_core.adapters.mongo.database import Database, Document, attempted, foreign
from re_core.adapters.mongo.dead_letters import letter_of
from re_core.adapters.mongo.feed import readable_chunk
from re_core.adapters.mongo.hosts import hosts_of
from re_core.adapters.mongo.journal import split
from re_core.adapters.mongo.layout import COLLECTIONS, examine, index_problems
from re_core.adapters.mongo.notifications import notified_of
from re_core.adapters.mongo.output import chunk_of
from re_core.adapters.mongo.pipelines import file_of, key_of, pipeline_of, position_of
from re_core.adapters.mongo.playbooks import playbook_of
from re_core.adapters.mongo.registry import worker_of
from re_core.adapters.mongo.releases import gateway_of, release_of
from re_core.adapters.mongo.runners import runner_of
from re_core.adapters.mongo.tokens import token_of
from re_core.adapters.mongo.views import view_of
from re_core.adapters.paging import clamp_int64
from re_core.deployment.records import entry_id
from re_core.ports import Ids, KeyRecord, Lock, Survey
from re_core.rows import View

#: collection -> how its documents are read. Entries and pieces are not here: readers of journals and of artifacts report them.
_READERS: Mapping[str, Callable[[Document], Any]] = {
    "views": view_of,
    "feed": readable_chunk,
    "requests": lambda document: KeyRecord(document["_id"], document["deployment"], document["digest"]),
    "holds": lambda document: Lock(document["_id"], document["deployment"], int(document["at"])),
    "playbooks": playbook_of,
    "output": chunk_of,
    "workers": worker_of,
    "dead_letters": letter_of,
    "tokens": token_of,
    "runners": runner_of,
    "releases": release_of,
    "gateways": gateway_of,
    "artifacts": artifact_of,
    "artifact_contents": content_of,
    "artifact_uses": use_of,
    "pipelines": pipeline_of,
    "cdpm_positions": position_of,
    "cdpm_keys": key_of,
    "cdpm_files": file_of,
    "apps": app_of,
    "app_configs": config_of,
    "zones": zone_of,
    "app_logs": log_of,
    "notified": notified_of,
    "hosts": hosts_of,
    "credentials": credential_of,
}

#: documents of one collection that a survey names
_NAMED = 20

#: keys that one answer of the server holds
_KEYS = 10_000


class MaintenancePart:
    """See ports.Maintenance."""

    _database: Database

    def journals(self, limit: int, cursor: str = "") -> Ids:
        """See ports.Maintenance. The cursor is a key; keys that are none of ours are passed over, `survey` reports them."""
        found: dict[str, None] = {}
        query = {"_id": {"$gt": cursor}} if cursor else {}
        with self._database.translating_errors():
            for document in self._database.journal.find(query, {"_id": 1}).sort("_id", 1).batch_size(_KEYS):
                deployment = _deployment_of(document)
                if deployment is None:
                    continue
                if len(found) == limit and deployment not in found:
                    return Ids(list(found), cursor)
                found[deployment] = None
                cursor = document["_id"]
        return Ids(list(found), None)

    def rows(self, ids: Sequence[str]) -> list[View]:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            documents = list(self._database.views.find({"_id": {"$in": list(ids)}}))
        return [row for _, row in self._database.readable("views", documents, view_of)]

    def drop_views(self, ids: Sequence[str]) -> None:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            self._database.views.delete_many({"_id": {"$in": list(ids)}})

    def ended(self, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            old = {"ended": {"$lt": clamp_int64(before)}, "group": {"$ne": ""}}
            found = self._database.views.find(old, {"_id": 1})
            return [one["_id"] for one in found.sort([("ended", 1), ("created", 1), ("_id", 1)]).limit(limit)]

    def ended_of(self, kind: str, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            keys = {"$gte": f"{kind}/", "$lt": f"{kind}0"}
            old = {"ended": {"$lt": clamp_int64(before)}, "group": "", "_id": keys}
            found = self._database.views.find(old, {"_id": 1})
            return [one["_id"] for one in found.sort([("ended", 1), ("_id", 1)]).limit(limit)]

    def forget(self, deployments: Sequence[str]) -> None:
        """See ports.Maintenance."""
        database, ids = self._database, list(deployments)
        with database.translating_errors():
            for collection in (database.output, database.requests, database.holds, database.releases):
                collection.delete_many({"deployment": {"$in": ids}})
            database.journal.delete_many({"_id": {"$in": [entry_id(id, 1) for id in ids]}})
            for id in ids:
                self._forget_entries(id)
        self.drop_views(ids)

    def old_claims(self, before: str, limit: int, after: KeyRecord | None = None) -> list[KeyRecord]:
        """See ports.Maintenance."""
        query: Document = {"deployment": {"$lt": before}}
        if after is not None:
            same = {"deployment": after.deployment, "_id": {"$gt": after.key}}
            query = {"$or": [same, {"deployment": {"$gt": after.deployment, "$lt": before}}]}
        with self._database.translating_errors():
            found = list(self._database.requests.find(query).sort([("deployment", 1), ("_id", 1)]).limit(limit))
        return [claim for _, claim in self._database.readable("requests", found, _READERS["requests"])]

    def drop_claims(self, claims: Sequence[KeyRecord]) -> None:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            for one in claims:
                self._database.requests.delete_one({"_id": one.key, "deployment": one.deployment})

    def old_dead_letters(self, before: int, limit: int) -> list[str]:
        """See ports.Maintenance."""
        with self._database.translating_errors():
            found = self._database.dead_letters.find({"at": {"$lt": clamp_int64(before)}}, {"_id": 1})
            return [one["_id"] for one in found.sort([("at", 1), ("_id", 1)]).limit(limit)]

    def survey(self) -> Survey:
        """See ports.Maintenance. Reads every document but the entries, of which it reads the keys."""
        database = self._database
        with database.translating_errors():
            counts = {name: database.raw[name].count_documents({}) for name in COLLECTIONS}
            problems = index_problems(database)
            for name, read in _READERS.items():
                strays = (one for one in database.raw[name].find() if attempted(one, read) is None)
                problems += [f"{foreign(name, one)}; remove it" for one, _ in zip(strays, range(_NAMED), strict=False)]
            keys = database.journal.find({}, {"_id": 1}).batch_size(_KEYS)
            strays = (one for one in keys if _deployment_of(one) is None)
            problems += [f"{foreign('journal', one)}; remove it" for one, _ in zip(strays, range(_NAMED), strict=False)]
        return Survey(f"MongoDB {database.where}", examine(database), counts, tuple(problems))

    def _forget_entries(self, id: str) -> None:
        """All entries of it and their parts: a range of keys, but for those of a deployment whose id continues with a ':'."""
        keys_of = {"_id": {"$gte": f"{id}:", "$lt": id + parts.AFTER_COLON}}
        for collection, words in ((self._database.parts, 3), (self._database.journal, 1)):
            keys = [one["_id"] for one in collection.find(keys_of, {"_id": 1}).batch_size(_KEYS)]
            mine = [key for key in keys if key.rsplit(":", words)[0] == id]
            for start in range(0, len(mine), _KEYS):
                collection.delete_many({"_id": {"$in": mine[start : start + _KEYS]}})


def _deployment_of(document: Document) -> str | None:
    pair = attempted(document, lambda one: split(one["_id"]))
    return None if pair is None else pair[0]
