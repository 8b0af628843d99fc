"""The feed: in which order the entries of all journals became readable (docs/decisions/0022). Must not know any technology.

A feed is a list of *chunks*, numbered from 1 without gaps, each with the keys of some entries. A chunk is there before the
next one, so a reader that has read up to a position and finds chunks behind it has missed nothing. A position is
`number of the chunk * WIDTH + place in it`; it rises, and says nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from re_core.deployment.records import Entry

#: entries of one chunk at most
WIDTH = 1024

#: chunks that a store keeps: at least as many entries, some 30 MB of keys where batches are large
KEPT_CHUNKS = 20_000

#: milliseconds by which the clocks of two cores may differ: an entry is looked for in chunks that are older by so much
SKEW = 60_000


class EntryRef(NamedTuple):
    """Which entry, and when it was written (milliseconds since the epoch)."""

    deployment: str
    number: int
    at: int


class FeedPage(NamedTuple):
    """Some entries with their positions, in order, and the position to go on from."""

    entries: list[tuple[int, Entry]]
    after: int


class FeedRange(NamedTuple):
    """What the feed holds: from behind `before` up to `newest`; both are 0 where nothing was ever in it."""

    before: int
    newest: int


class Feed(Protocol):
    """The order of what happened, for its followers."""

    def add_to_feed(self, entries: Sequence[EntryRef], repeated: Sequence[EntryRef] = ()) -> None:
        """Give these stored entries a place at the end, in this order, `repeated` first; one that has a place keeps it.

        `repeated`: those which another process may have added at any time. `entries`: what this process has appended since
        the call before this one began; all of it, since what others add is looked for from there on only. A transactional store adds
        what `Append.fed` marks in the transaction of the append, and does nothing here. One thread of a process at a time. Raises
        StoreUnavailable: some may have a place then, and all are `repeated` in the next call.
        """
        ...

    def feed(self, after: int, limit: int) -> FeedPage:
        """Up to `limit` entries behind that position. Those that were deleted from their journal meanwhile are left out.

        `after` of the page is the given one where there is nothing new.
        """
        ...

    def feed_range(self) -> FeedRange:
        """Where it begins and ends now. A follower at a position below `before` has missed something."""
        ...

    def trim_feed(self, chunks: int) -> None:
        """Keep the newest `chunks`, and at least one."""
        ...


def position(chunk: int, place: int) -> int:
    """Of the entry at `place` (from 0) in the chunk."""
    return chunk * WIDTH + place


def chunk_of(after: int) -> int:
    """The first chunk that may hold something behind that position."""
    return (after + 1) // WIDTH
