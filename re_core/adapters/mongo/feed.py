"""The feed: one document for each turn of a core, numbered without gaps. Must not know what an entry says.

The number is the document's key, so of several cores that insert the same one a single one succeeds. The others read what that
core has inserted, and take the next number. Each process remembers the number up to which it has read; what it adds
later was appended later, so that a copy of it, which another core inserted after it had read the journal, can only stand
behind that number, where it is met before the insert succeeds (docs/decisions/0022).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from itertools import islice

from re_core.adapters.mongo.database import SEEN, Database, Document
from re_core.adapters.mongo.journal import JournalPart, split
from re_core.deployment.records import Entry, entry_id
from re_core.errors import NewerFormat, StoreRefused, StoreUnavailable
from re_core.ports.feed import SKEW, WIDTH, EntryRef, FeedPage, FeedRange, chunk_of, position

#: seconds after which what this process has read of the feed's end is read again before it adds to it
FRESH = 60.0

#: how often an insert is tried again because another core was faster
_TRIES = 50

_log = logging.getLogger(__name__)


class FeedPart(JournalPart):
    """See ports.Feed."""

    _database: Database

    def _begin_feed(self) -> None:
        """Before this process appends anything."""
        self._feed_lock = threading.Lock()
        #: the number that this process tries next, and when it last knew that nothing stands there
        self._feed_next = _last(self._database) + 1
        self._feed_known = _now()

    def add_to_feed(self, entries: Sequence[EntryRef], repeated: Sequence[EntryRef] = ()) -> None:
        """See ports.Feed. One round trip where no other core adds something meanwhile, and nothing is repeated."""
        with self._feed_lock, self._database.translating_errors():
            again = self._without_earlier(_keys(repeated), min(one.at for one in repeated)) if repeated else []
            # together: to insert what is repeated reads on over what others have added, and so past copies of the entries
            keys = list(dict.fromkeys((*again, *_keys(entries))))
            now = max((one.at for one in (*repeated, *entries)), default=0)
            tries, end = 0, time.monotonic() + SEEN
            while keys:
                if self._insert_chunk({"_id": self._feed_next, "at": now, "entries": keys[:WIDTH]}):
                    self._feed_next += 1
                    keys = keys[WIDTH:]
                    continue
                tries += 1
                if tries == _TRIES:
                    raise StoreUnavailable(
                        f"store {self._database.where}: other cores used every number that this core tried to write to the feed"
                    )
                tried = self._feed_next
                keys = self._catch_up(keys)
                if keys and self._feed_next == tried and tries > 1:
                    self._database.wait_until_seen(end)

    def feed(self, after: int, limit: int) -> FeedPage:
        """See ports.Feed. Two round trips."""
        with self._database.translating_errors():
            found = self._database.feed.find({"_id": {"$gte": chunk_of(after)}}).sort("_id", 1).limit(limit + 1)
            places = (
                (position(int(chunk["_id"]), place), key)
                for chunk in found
                for place, key in enumerate(chunk["entries"])
            )
            wanted = list(islice((one for one in places if one[0] > after), limit))
            keys = [key for _, key in wanted]
            documents = self._database.journal.find({"_id": {"$in": keys}}) if keys else ()
            there = {document["_id"]: document for document in documents}
        read = ((at, self._readable(there[key])) for at, key in wanted if key in there)
        entries = [(at, entry) for at, entry in read if entry is not None]
        return FeedPage(entries, wanted[-1][0] if wanted else after)

    def feed_range(self) -> FeedRange:
        """See ports.Feed."""
        with self._database.translating_errors():
            first, last = (self._database.feed.find_one({}, sort=[("_id", way)]) for way in (1, -1))
        if first is None or last is None:
            return FeedRange(0, 0)
        before = position(int(first["_id"]), 0) - 1 if first["_id"] > 1 else 0
        return FeedRange(before, position(int(last["_id"]), len(last["entries"]) - 1))

    def trim_feed(self, chunks: int) -> None:
        """See ports.Feed."""
        with self._database.translating_errors():
            self._database.feed.delete_many({"_id": {"$lte": _last(self._database) - max(chunks, 1)}})

    def _insert_chunk(self, chunk: Document) -> bool:
        """Whether it has the number now. Not where the number may have been used and deleted while this process slept."""
        if _now() - self._feed_known > FRESH:
            return False
        if self._database.add(self._database.feed, [chunk]):
            return False
        asleep = _now() - self._feed_known > FRESH
        if asleep and _last(self._database) > chunk["_id"]:
            # the others are far ahead: no reader gets to what stands here now
            self._database.feed.delete_one({"_id": chunk["_id"], "entries": chunk["entries"]})
            return False
        self._feed_known = _now()
        return True

    def _catch_up(self, keys: Sequence[str]) -> list[str]:
        """Read what others have added; those of the keys that are not among it."""
        begun = _now()
        left = dict.fromkeys(keys)
        for chunk in self._database.feed.find({"_id": {"$gte": self._feed_next}}).sort("_id", 1):
            for key in chunk["entries"]:
                left.pop(key, None)
            self._feed_next = int(chunk["_id"]) + 1
        self._feed_known = begun
        return list(left)

    def _without_earlier(self, keys: Sequence[str], since: int) -> list[str]:
        """Those that have no place yet, as far as this process has read: from the end back to chunks that are too old."""
        left = dict.fromkeys(keys)
        for chunk in self._database.feed.find({"_id": {"$lt": self._feed_next}}).sort("_id", -1):
            if int(chunk["at"]) < since - SKEW or not left:
                break
            for key in chunk["entries"]:
                left.pop(key, None)
        return list(left)

    def _readable(self, document: Document) -> Entry | None:
        """Damage to one entry must not keep readers from the others. Raises NewerFormat."""
        try:
            return self._entry(document)
        except NewerFormat:
            raise
        except StoreRefused as error:
            _log.warning("the feed skips an entry: %s", error, extra={"action": "pass_over"})
            return None


def readable_chunk(document: Document) -> tuple[int, list[tuple[str, int]]]:
    """Number and entries of a chunk. Raises KeyError, TypeError, ValueError or StoreRefused for what is none of ours."""
    return int(document["_id"]), [split(key) for key in document["entries"]]


def _keys(entries: Sequence[EntryRef]) -> list[str]:
    return [entry_id(one.deployment, one.number) for one in entries]


def _last(database: Database) -> int:
    """The newest number; 0 where nothing was ever added."""
    with database.translating_errors():
        newest = database.feed.find_one({}, {"_id": 1}, sort=[("_id", -1)])
    return 0 if newest is None else int(newest["_id"])


def _now() -> float:
    """Seconds; goes on while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
