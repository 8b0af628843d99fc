"""The journal: an entry is a document, its records one text of JSON. Must not know what a record means.

The key `<deployment>:<ordinal of the entry>` decides between two writers, and one range of it is one journal, so that the
collection needs no index of its own. Text, because BSON has no exact form for all that JSON can say, and is slower.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import islice

from pymongo.errors import AutoReconnect, NetworkTimeout, ServerSelectionTimeoutError

from re_core.adapters.mongo import parts
from re_core.adapters.mongo.database import SEEN, Database, Document
from re_core.adapters.mongo.views import document_of
from re_core.deployment.numbering import MAX_ORDINAL, read_ordinal
from re_core.deployment.records import (
    Entry,
    entry_id,
)
from re_core.errors import StoreRefused, StoreUnavailable
from re_core.ports import Append, Appended, EntryCodec
from re_core.wire import strict_json

#: how often an insert whose connection broke is tried again at once; its own documents are recognised
_TRIES = 3

#: documents of one answer of the server
_BATCH = 10_000


class JournalPart:
    """See ports.Journal."""

    transactional = False

    _database: Database
    _codec: EntryCodec

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        """See ports.Journal. New rows of the list, then all entries: two round trips, one without new deployments."""
        database = self._database
        new = [one.view for one in batch if one.entry.number == 1 and one.view is not None]
        database.add(database.views, [document_of(view) for view in new])
        documents = [self._document(one.entry) for one in batch]
        there = self._insert(documents)
        outcomes = [Appended.STORED] * len(documents)
        if there:
            mine = self._read_back([documents[place] for place in there])
            for place, own in zip(there, mine, strict=True):
                outcomes[place] = Appended.STORED if own else Appended.LOST
        return outcomes

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        """See ports.Journal."""
        last = entry_id(deployment, min(max(0, after), MAX_ORDINAL))
        query = {"_id": {"$gt": last, "$lt": deployment + parts.AFTER_COLON}}
        cursor = self._database.journal.find(query).sort("_id", 1).batch_size(min(_BATCH, limit or _BATCH))
        with self._database.translating_errors(), cursor as found:
            mine = (one for one in found if one["_id"].rpartition(":")[0] == deployment)
            documents = list(islice(mine, limit))
        return [self._entry(one) for one in documents]

    def _insert(self, documents: list[Document]) -> list[int]:
        """Places of those whose key was there. An insert whose answer was lost is repeated: its own are recognised."""
        for _ in range(_TRIES - 1):
            try:
                return self._database.add(self._database.journal, documents)
            except StoreUnavailable as error:
                if not _was_cut(error.__cause__):
                    raise
        return self._database.add(self._database.journal, documents)

    def _read_back(self, documents: list[Document]) -> list[bool]:
        """Whether the entry that has the number is one's own to the letter, of each."""
        wanted = list({document["_id"]: None for document in documents})
        end = time.monotonic() + SEEN
        while True:
            with self._database.translating_errors():
                found = self._database.journal.find({"_id": {"$in": wanted}}).batch_size(_BATCH)
                stand = {one["_id"]: one for one in found}
            if len(stand) == len(wanted):
                return [stand[document["_id"]] == document for document in documents]
            self._database.wait_until_seen(end)

    def _document(self, entry: Entry) -> Document:
        document = self._codec.to_document(entry)
        records = _text(document["records"])
        if len(records) * 4 > parts.WHOLE and len(body := records.encode()) > parts.WHOLE:
            del document["records"]
            document["parts"] = parts.keep(self._database, entry.id, body)
        else:
            document["records"] = records
        return {"_id": entry.id, **document}

    def _entry(self, document: Document) -> Entry:
        deployment, number = split(document["_id"])
        try:
            if "parts" in document:
                records = parts.fetch(self._database, document["_id"], document["parts"]).decode()
            else:
                records = document["records"]
            whole = {**document, "at": int(document["at"]), "records": json.loads(records)}
        except (KeyError, TypeError, ValueError, AttributeError):
            whole = {
                name: document[name] for name in ("v", "kind") if name in document
            }  # a newer one may look otherwise; one of ours is reported as damaged
        return self._codec.from_document(deployment, number, whole)


def _was_cut(error: BaseException | None) -> bool:
    """Whether the connection broke, so that only the answer may be missing. Of a wait that was in vain there is no second."""
    return isinstance(error, AutoReconnect) and not isinstance(error, (NetworkTimeout, ServerSelectionTimeoutError))


def split(id: str) -> tuple[str, int]:
    """Deployment and number of an entry's key. Raises StoreRefused for a key that is none of ours."""
    deployment, _, text = id.rpartition(":")
    number = read_ordinal(text)
    if number is None:
        raise StoreRefused(f"the document {id!r} in the journal was not written by the engine; remove it")
    return deployment, number


def _text(records: list[Document]) -> str:
    text = strict_json.dumps(records)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which UTF-8 cannot hold and an escape can
        return json.dumps(records, separators=(",", ":"))
    return text
