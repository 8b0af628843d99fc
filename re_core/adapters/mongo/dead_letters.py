"""Undeliverable messages, byte for byte. Must not know why."""

from __future__ import annotations

import json

from re_core.adapters.mongo import parts
from re_core.adapters.mongo.database import Database, Document
from re_core.rows import DeadLetter
from re_core.wire import strict_json


class DeadLettersPart:
    """See ports.DeadLetters."""

    _database: Database

    def store_letter(self, letter: DeadLetter) -> None:
        """See ports.DeadLetters."""
        document = {"_id": letter.id, **letter._asdict(), "properties": strict_json.dumps(letter.properties)}
        del document["id"]
        if len(letter.body) > parts.WHOLE:
            document["parts"] = parts.keep(self._database, _owner(letter.id), letter.body)
            document["body"] = b""
        self._database.add(self._database.dead_letters, [document])

    def dead_letters(self, limit: int, before: str = "") -> list[DeadLetter]:
        """See ports.DeadLetters."""
        if limit <= 0:
            return []
        with self._database.translating_errors():
            found = self._database.dead_letters.find({"_id": {"$lt": before}} if before else {})
            documents = list(found.sort("_id", -1).limit(min(limit, 2**31 - 1)))
        return [letter for _, letter in self._database.readable("dead_letters", documents, self._letter)]

    def count_dead_letters(self) -> int:
        """See ports.DeadLetters."""
        with self._database.translating_errors():
            return self._database.dead_letters.count_documents({})

    def dead_letter(self, id: str) -> DeadLetter | None:
        """See ports.DeadLetters."""
        with self._database.translating_errors():
            found = self._database.dead_letters.find_one({"_id": id})
        return None if found is None else self._letter(found)

    def drop_dead_letter(self, id: str) -> bool:
        """See ports.DeadLetters."""
        with self._database.translating_errors():
            there = self._database.dead_letters.delete_one({"_id": id}).deleted_count == 1
        parts.drop(self._database, _owner(id))
        return there

    def drop_oldest_dead_letters(self, most: int) -> int:
        """See ports.DeadLetters."""
        with self._database.translating_errors():
            found = self._database.dead_letters.find({}, {"_id": 1}).sort("_id", -1).skip(most)
            old = [one["_id"] for one in found]
        return sum(self.drop_dead_letter(id) for id in old)

    def _letter(self, document: Document) -> DeadLetter:
        body = bytes(document["body"])
        if "parts" in document:
            body = parts.fetch(self._database, _owner(document["_id"]), document["parts"])
        return letter_of(document, body)


def letter_of(document: Document, body: bytes = b"") -> DeadLetter:
    """What the document says, with this body. Raises KeyError, TypeError or ValueError for what is none of ours."""
    properties = json.loads(document["properties"])
    queue, reason, detail, by = (document[name] for name in ("queue", "reason", "detail", "by"))
    return DeadLetter(document["_id"], queue, reason, detail, by, int(document["at"]), body, properties)


def _owner(id: str) -> str:
    return f"dead letter:{id}"
