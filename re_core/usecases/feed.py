"""What happened to all deployments, in one order: read from the feed. Must not know its followers.

A place in it is written `<position>.<place of the record in its entry>`, or `<position>` behind all of that entry; a follower that
goes on behind it gets everything that follows, once.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

from re_core.deployment.feed import Event, events_of
from re_core.deployment.plan import Plan
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.records import Accepted, Entry
from re_core.errors import CallerError, StoreRefused
from re_core.ports import Store
from re_core.usecases.times import rfc3339

#: begins the `type` of every event
TYPE = "release-engine"

#: entries of one reading
PAGE = 200

#: deployments whose first entry is remembered, so that it is read once; and the steps of all their plans together
DEPLOYMENTS, STEPS = 2_000, 100_000

#: a place after all records of an entry
_LAST = 2**31 - 1

#: digits of a position: as many as every reader of JSON reads exactly
_CURSOR = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,9}))?")


class Cursor(NamedTuple):
    """How far a reader is."""

    position: int
    #: of the record in its entry
    place: int = _LAST

    def __str__(self) -> str:
        return str(self.position) if self.place == _LAST else f"{self.position}.{self.place}"


class PlacedEvent(NamedTuple):
    """One event, and where it stands."""

    at: Cursor
    event: Event


def parse_cursor(text: str) -> Cursor:
    """Of `Last-Event-ID`; `0` stands before everything. Raises CallerError."""
    found = _CURSOR.fullmatch(text)
    if found is None or int(found[1]) > 2**53:
        raise CallerError(f"Last-Event-ID: expected the id of an event, such as 52224.1, or 0, found {text[:40]!r}")
    return Cursor(int(found[1])) if found[2] is None else Cursor(int(found[1]), int(found[2]))


def cloud_event(event: Event) -> dict[str, Any]:
    """The event as CloudEvents 1.0 has it, in structured mode."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/groups/{quote(event.group, safe='')}",
        "type": f"{TYPE}.{event.kind}.{event.what}",
        "subject": event.subject,
        "time": rfc3339(event.at),
        "datacontenttype": "application/json",
        "data": dict(event.data),
    }


class FeedReader:
    """Reads the feed, and remembers what the deployments in it are. One thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, tuple[Accepted, Plan]] = OrderedDict()
        self._steps = 0

    def after(self, at: Cursor) -> tuple[list[PlacedEvent], Cursor]:
        """What comes next, and how far that reaches; `at` itself where there is nothing new. Raises StoreUnavailable."""
        # the entry at the position may have records behind the place
        page = self._store.feed(max(at.position - 1, 0) if at.place != _LAST else at.position, PAGE)
        events = [one for position, entry in page.entries for one in self._events(position, entry) if one.at > at]
        return events, max(at, Cursor(page.after))

    def _events(self, position: int, entry: Entry) -> Iterator[PlacedEvent]:
        known = self._deployment(entry)
        if known is not None:
            for event in events_of(entry, *known):
                yield PlacedEvent(Cursor(position, event.place), event)

    def _deployment(self, entry: Entry) -> tuple[Accepted, Plan] | None:
        """None for one that was deleted meanwhile, or whose first entry is damaged."""
        id = entry.deployment
        known = self._known.get(id)
        if known is not None:
            self._known.move_to_end(id)
            return known
        first = [entry] if entry.number == 1 else self._store.entries(id, limit=1)
        if not first or not isinstance(accepted := first[0].records[0], Accepted):
            return None
        try:
            known = accepted, plan_from_document(accepted.plan)
        except StoreRefused:
            return None
        self._known[id] = known
        self._steps += len(known[1].steps)
        while len(self._known) > DEPLOYMENTS or (self._steps > STEPS and len(self._known) > 1):
            _, (_, plan) = self._known.popitem(last=False)
            self._steps -= len(plan.steps)
        return known
