"""What pipelines have beside their journals. Must not know what their documents say.

The key of a pipeline's document is its source, and that of a position its subscription: what must be there once is a key.
Two callers that replace the same document race by its version: the update that names it finds it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from re_core.adapters.mongo.database import Database, Document, attempted, texts
from re_core.adapters.paging import clamp_int64
from re_core.errors import StoreUnavailable
from re_core.ports.pipelines import MOST_KEYS, MOST_OPENS
from re_core.rows import PeerFile, PipelineKey, PipelineRow, Position
from re_core.wire import strict_json

#: races for one position that are lost before a caller gives up: more than connections are opened by at once
_TRIES = 4 * MOST_OPENS

_ORDER = [("group", 1), ("name", 1), ("_id", 1)]


class PipelinesPart:
    """See ports.Pipelines."""

    _database: Database

    def save_pipeline(self, row: PipelineRow) -> bool:
        """See ports.Pipelines."""
        document, database = _document(row), self._database
        if row.version == 1:
            return database.add_or_find(database.pipelines, document) == document
        which = {name: document[name] for name in ("_id", "id", "group", "name")}
        with database.translating_errors():
            done = database.pipelines.update_one({**which, "version": row.version - 1}, {"$set": document})
            return done.matched_count == 1 or database.pipelines.find_one({"_id": row.source}) == document

    def pipeline(self, id: str) -> PipelineRow | None:
        """See ports.Pipelines."""
        return self._pipeline({"id": id})

    def pipeline_by_source(self, url: str) -> PipelineRow | None:
        """See ports.Pipelines."""
        return self._pipeline({"_id": url})

    def pipelines(self, group: str | None = None) -> list[PipelineRow]:
        """See ports.Pipelines."""
        return self._pipelines({} if group is None else {"group": group})

    def pipelines_of_playbook(self, id: str) -> list[PipelineRow]:
        """See ports.Pipelines."""
        return self._pipelines({"playbooks": id})

    def drop_pipeline(self, id: str) -> bool:
        """See ports.Pipelines. The row goes last: with it, what was cut off is found again."""
        with self._database.translating_errors():
            self._database.cdpm_positions.delete_many({"pipeline": id})
            self._database.cdpm_keys.delete_many({"pipeline": id})
            return self._database.pipelines.delete_one({"id": id}).deleted_count == 1

    def open_position(self, subscription: str, pipeline: str, iat: int, jti: str, since: int) -> bool:
        """See ports.Pipelines."""
        new = _position_document(Position(subscription, pipeline, opens=((iat, jti),)))
        for _ in range(_TRIES):
            stands = self._database.add_or_find(self._database.cdpm_positions, new)
            if stands is new:
                return True
            recent = [one for one in position_of(stands).opens if one[0] >= since]
            if len(recent) >= MOST_OPENS or any(one[1] == jti for one in recent):
                return False
            opens = [list(one) for one in (*recent, (iat, jti))]
            with self._database.translating_errors():
                done = self._database.cdpm_positions.update_one(
                    {"_id": subscription, "opened": stands["opened"]},
                    {"$set": {"opens": opens, "opened": stands["opened"] + 1}},
                )
            if done.matched_count == 1:
                return True
        raise StoreUnavailable(f"store {self._database.where}: the position of {subscription} changes all the time")

    def position(self, subscription: str) -> Position | None:
        """See ports.Pipelines."""
        with self._database.translating_errors():
            found = self._database.cdpm_positions.find_one({"_id": subscription})
        return None if found is None else attempted(found, position_of)

    def save_positions(self, positions: Sequence[Position]) -> None:
        """See ports.Pipelines."""
        if not positions:
            return
        updates = [
            UpdateOne(
                {"_id": one.id},
                {
                    "$set": {
                        "delivered": one.delivered,
                        "delivered_at": one.delivered_at,
                        "acknowledges": one.acknowledges,
                    }
                },
            )
            for one in positions
        ]
        with self._database.translating_errors():
            self._database.cdpm_positions.bulk_write(updates, ordered=False)

    def add_key(self, key: PipelineKey) -> bool:
        """See ports.Pipelines."""
        document: Document = {"_id": f"{key.pipeline}:{key.kid}", **key._asdict()}
        there = self.keys(key.pipeline)
        if len(there) >= MOST_KEYS and key not in there:
            return False
        return attempted(self._database.add_or_find(self._database.cdpm_keys, document), key_of) == key

    def keys(self, pipeline: str) -> list[PipelineKey]:
        """See ports.Pipelines."""
        with self._database.translating_errors():
            found = list(self._database.cdpm_keys.find({"pipeline": pipeline}).sort([("created", 1), ("_id", 1)]))
        return [key for _, key in self._database.readable("cdpm_keys", found, key_of)]

    def drop_key(self, pipeline: str, kid: str) -> bool:
        """See ports.Pipelines."""
        with self._database.translating_errors():
            return self._database.cdpm_keys.delete_one({"_id": f"{pipeline}:{kid}"}).deleted_count == 1

    def peer_file(self, url: str) -> PeerFile | None:
        """See ports.Pipelines. A document that cannot be read is as good as none: the source has the file."""
        with self._database.translating_errors():
            found = self._database.cdpm_files.find_one({"_id": _file_key(url)})
        return None if found is None else attempted(found, file_of)

    def save_peer_file(self, file: PeerFile) -> None:
        """See ports.Pipelines."""
        which, change = {"_id": _file_key(file.url)}, {"$set": file._asdict()}
        with self._database.translating_errors():
            try:
                self._database.cdpm_files.update_one(which, change, upsert=True)
            except DuplicateKeyError:  # another process inserted it at the same moment
                self._database.cdpm_files.update_one(which, change)

    def forget_peer_files(self, read_before: int) -> int:
        """See ports.Pipelines."""
        with self._database.translating_errors():
            return self._database.cdpm_files.delete_many({"read_at": {"$lt": clamp_int64(read_before)}}).deleted_count

    def _pipeline(self, which: Document) -> PipelineRow | None:
        with self._database.translating_errors():
            found = self._database.pipelines.find_one(which)
        return None if found is None else self._database.own("pipelines", found, pipeline_of)

    def _pipelines(self, which: Document) -> list[PipelineRow]:
        with self._database.translating_errors():
            found = list(self._database.pipelines.find(which).sort(_ORDER))
        return [row for _, row in self._database.readable("pipelines", found, pipeline_of)]


def pipeline_of(document: Document) -> PipelineRow:
    """What the document says. Raises KeyError, TypeError or ValueError for what is none of ours."""
    id, group, name, source = texts(document, "id", "group", "name", "_id")
    content = json.loads(document["document"])
    return PipelineRow(
        id, group, name, source, int(document["version"]), content, tuple(map(str, document["playbooks"]))
    )


def position_of(document: Document) -> Position:
    """As `pipeline_of`."""
    id, pipeline, delivered_at = texts(document, "_id", "pipeline", "delivered_at")
    opens = tuple((int(iat), str(jti)) for iat, jti in document["opens"])
    int(document["opened"])
    return Position(id, pipeline, int(document["delivered"]), delivered_at, bool(document["acknowledges"]), opens)


def key_of(document: Document) -> PipelineKey:
    """As `pipeline_of`."""
    pipeline, kid, public = texts(document, "pipeline", "kid", "public")
    return PipelineKey(pipeline, kid, public, bytes(document["sealed"]), int(document["created"]))


def file_of(document: Document) -> PeerFile:
    """As `pipeline_of`."""
    url, etag = texts(document, "url", "etag")
    return PeerFile(url, etag, bytes(document["data"]), int(document["read_at"]), int(document["changed_at"]))


def _document(row: PipelineRow) -> Document:
    document: dict[str, Any] = {"_id": row.source, **row._asdict(), "playbooks": list(row.playbooks)}
    del document["source"]
    return {**document, "document": strict_json.dumps(dict(row.document))}


def _position_document(position: Position) -> Document:
    """`opened` counts the changes of `opens`: updates name it."""
    document: dict[str, Any] = {"_id": position.id, **position._asdict(), "opened": 1}
    del document["id"]
    return {**document, "opens": [list(one) for one in position.opens]}


def _file_key(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
