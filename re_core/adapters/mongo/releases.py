"""Releases that forest gateways work at: a document each. Must not know how a release goes on.

Two callers that replace the same version race by that number: the update that names it finds it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from re_core.adapters.mongo.database import Database, Document, attempted, foreign
from re_core.adapters.paging import clamp_int64
from re_core.errors import StoreRefused
from re_core.rows import OVER, Release
from re_core.wire import strict_json

#: the order of lists
_OLDEST = [("created", 1), ("_id", 1)]

#: the fields that are text
_TEXTS = ("_id", "owner", "status", "runner", "token")


class ReleasesPart:
    """See ports.Releases."""

    _database: Database

    def save_release(self, release: Release) -> bool:
        """See ports.Releases."""
        document, database = _document(release), self._database
        if release.version == 1:
            stands: Document | None = database.add_or_find(database.releases, document)
        else:
            which = {"_id": release.id, "version": release.version - 1}
            with database.translating_errors():
                if database.releases.update_one(which, {"$set": document}).matched_count:
                    return True
                stands = database.releases.find_one({"_id": release.id})
        # What is there already and equal is the caller's own, whose answer was lost.
        return stands is not None and attempted(stands, release_of) == release_of(document)

    def find_release(self, id: str) -> Release | None:
        """See ports.Releases. Raises StoreRefused for a document that is none of ours: no other can take its place."""
        return self._one({"_id": id})

    def release_by_token(self, digest: str) -> Release | None:
        """See ports.Releases. Raises StoreRefused for a document that is none of ours."""
        return self._one({"token": digest}) if digest else None

    def releases_of(self, deployment: str) -> list[Release]:
        """See ports.Releases."""
        return self._all({"deployment": deployment})

    def open_releases(self, owner: str | None = None) -> list[Release]:
        """See ports.Releases."""
        return self._all(_owned(owner))

    def open_versions(self, owner: str | None = None) -> dict[str, int]:
        """See ports.Releases."""
        with self._database.translating_errors():
            found = list(self._database.releases.find(_owned(owner), {"version": 1}))
        read = self._database.readable("releases", found, lambda one: (str(one["_id"]), int(one["version"])))
        return dict(pair for _, pair in read)

    def old_releases(self, before: int) -> int:
        """See ports.Releases."""
        with self._database.translating_errors():
            return self._database.releases.count_documents(_old(before))

    def forget_releases(self, before: int, limit: int) -> int:
        """See ports.Releases."""
        with self._database.translating_errors():
            found = self._database.releases.find(_old(before), {"_id": 1}).sort("created", 1).limit(limit)
            ids = [one["_id"] for one in found]
            return self._database.releases.delete_many({"_id": {"$in": ids}, "open": False}).deleted_count

    def beat_gateway(self, id: str, count: int) -> None:
        """See ports.Releases."""
        with self._database.translating_errors():
            try:
                self._database.gateways.update_one({"_id": id}, {"$set": {"count": count}}, upsert=True)
            except DuplicateKeyError:  # the same beat again, whose answer was lost
                self._database.gateways.update_one({"_id": id}, {"$set": {"count": count}})

    def gateways(self) -> Mapping[str, int]:
        """See ports.Releases."""
        with self._database.translating_errors():
            found = list(self._database.gateways.find())
        return dict(pair for _, pair in self._database.readable("gateways", found, gateway_of))

    def forget_gateway(self, id: str) -> None:
        """See ports.Releases."""
        with self._database.translating_errors():
            self._database.gateways.delete_one({"_id": id})

    def _one(self, which: Document) -> Release | None:
        with self._database.translating_errors():
            found = next(iter(self._database.releases.find(which).limit(1)), None)
        if found is None:
            return None
        release = attempted(found, release_of)
        if release is None:
            raise StoreRefused(f"store {self._database.where}: {foreign('releases', found)}; remove it")
        return release

    def _all(self, which: Document) -> list[Release]:
        with self._database.translating_errors():
            found = list(self._database.releases.find(which).sort(_OLDEST))
        return [release for _, release in self._database.readable("releases", found, release_of)]


def release_of(document: Document) -> Release:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    if not all(isinstance(document[name], str) for name in _TEXTS):
        raise TypeError("no release")
    end, late = (None if document[name] is None else json.loads(document[name]) for name in ("end", "late"))
    assigned, called, expires = (_time(document[name]) for name in ("assigned", "called", "expires"))
    return Release(
        id=document["_id"],
        version=int(document["version"]),
        owner=document["owner"],
        status=document["status"],
        saved=bytes(document["saved"]),
        created=int(document["created"]),
        runner=document["runner"],
        runner_since=int(document["runner_since"]),
        token=document["token"],
        excluded=tuple(map(str, document["excluded"])),
        assigned=assigned,
        called=called,
        expires=expires,
        end=end,
        late=late,
        document=json.loads(document["document"]),
    )


def gateway_of(document: Document) -> tuple[str, int]:
    """Id and last number. Raises KeyError, TypeError or ValueError for what is none of ours."""
    return str(document["_id"]), int(document["count"])


def _time(value: Any) -> int | None:
    if not isinstance(value, int | None):
        raise TypeError("no time")
    return value


def _document(release: Release) -> Document:
    """What comes from the outside is JSON text: its keys may be anything, also what the server gives a meaning."""
    document: Document = {"_id": release.id, "deployment": release.deployment, **release._asdict()}
    del document["id"]
    end, late = (None if one is None else strict_json.dumps(dict(one)) for one in (release.end, release.late))
    texts = {"end": end, "late": late, "document": strict_json.dumps(dict(release.document))}
    return {**document, **texts, "excluded": list(release.excluded), "open": release.status != OVER}


def _owned(owner: str | None) -> Document:
    return {"open": True} if owner is None else {"open": True, "owner": owner}


def _old(before: int) -> Document:
    return {"open": False, "created": {"$lt": clamp_int64(before)}}
