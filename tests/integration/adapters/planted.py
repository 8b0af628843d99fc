"""Servers that speak MongoDB's language and lose writes, each in one way. Must not know who finds out.

A collection of a real server, with one mistake planted on the way to it: what FerretDB 1 on SQLite does, and worse.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError
from pymongo.results import DeleteResult, UpdateResult

Documents = Collection[dict[str, Any]]


class Planted:
    """Passes everything on; a mistake is a subclass."""

    def __init__(self, real: Documents) -> None:
        self._real = real
        self._meeting = threading.Barrier(2)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def as_collection(self) -> Documents:
        return cast(Documents, self)


class ReplacesOnInsert(Planted):
    """An insert of a key that is there replaces the document, and nobody is told."""

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        for document in documents:
            self._real.replace_one({"_id": document["_id"]}, document, upsert=True)


class TellsEverybodyThatHeWon(Planted):
    """The first insert stands; those that lost are not told."""

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        try:
            self._real.insert_many(documents, ordered=False)
        except BulkWriteError:
            return


class TellsNobodyThatHeWon(TellsEverybodyThatHeWon):
    """An insert that stands is told to be a duplicate: what a driver that repeats inserts by itself may do."""

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        TellsEverybodyThatHeWon.insert_many(self, documents)
        errors = [{"index": place, "code": 11000} for place, _ in enumerate(documents)]
        raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})


class StopsAtTheFirstDuplicate(Planted):
    """An unordered insert is an ordered one."""

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        self._real.insert_many(documents, ordered=True)


class NamesTheWrongPlace(Planted):
    """It says of another document that it was there."""

    def insert_many(self, documents: Sequence[dict[str, Any]], ordered: bool = True) -> None:
        try:
            self._real.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            for one in error.details["writeErrors"]:
                one["index"] = 0
            raise


class FindsNothingByARange(Planted):
    """A range of keys finds its first document only."""

    def find(self, query: dict[str, Any]) -> Any:
        found = self._real.find(query)
        return found.limit(1) if "$gte" in str(query) else found


class LooksAndThenWrites(Planted):
    """An update looks first, and then writes the whole document by its key: FerretDB 1.24."""

    def update_one(self, query: dict[str, Any], update: dict[str, Any]) -> UpdateResult:
        there = self._real.find_one(query)
        if there is None:
            return UpdateResult({"n": 0, "nModified": 0}, acknowledged=True)
        self._meet()
        self._real.replace_one({"_id": query["_id"]}, {**there, **update["$set"]})
        return UpdateResult({"n": 1, "nModified": 1}, acknowledged=True)

    def _meet(self) -> None:
        """Of all who found it a second one writes too; who is alone goes on after a while."""
        try:
            self._meeting.wait(1.0)
        except threading.BrokenBarrierError:
            self._meeting.reset()


class ForgetsTheCondition(Planted):
    """An update of many ignores what it may replace."""

    def bulk_write(self, updates: Sequence[Any], ordered: bool = True) -> None:
        for update in updates:
            self._real.update_one({"_id": update._filter["_id"]}, update._doc, upsert=True)


class LeavesOutAnAnswer(Planted):
    """The answer to an update of many has no count: FerretDB 1.24, where a key is there already."""

    def bulk_write(self, updates: Sequence[Any], ordered: bool = True) -> None:
        raise KeyError("nModified")


class NeverReplaces(Planted):
    """An update of many that names a condition finds nothing."""

    def bulk_write(self, updates: Sequence[Any], ordered: bool = True) -> None:
        return


class TellsEverybodyThatHeDeleted(Planted):
    """A deletion looks, deletes, and says that it did: findAndModify of FerretDB 1.24."""

    def delete_one(self, query: dict[str, Any]) -> DeleteResult:
        self._real.delete_one(query)
        return DeleteResult({"n": 1}, acknowledged=True)


MISTAKES = (
    ReplacesOnInsert,
    TellsEverybodyThatHeWon,
    TellsNobodyThatHeWon,
    StopsAtTheFirstDuplicate,
    NamesTheWrongPlace,
    FindsNothingByARange,
    LooksAndThenWrites,
    ForgetsTheCondition,
    NeverReplaces,
    TellsEverybodyThatHeDeleted,
)
