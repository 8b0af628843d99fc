"""What happened to all deployments, pipelines and apps, in one order: read from the feed. Must not know its followers.

A place in it is written `<position>.<place of the record in its entry>`, or `<position>` behind all of that entry; a follower that
goes on behind it gets everything that follows, once.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from re_core.apps import feed as app_feed
from re_core.apps import names as apps
from re_core.apps.records import Registered as AppRegistered
from re_core.cdpm import feed as pipeline_feed
from re_core.cdpm import ids as pipelines
from re_core.cdpm.records import Registered
from re_core.deployment import feed as deployment_feed
from re_core.deployment.feed import Event
from re_core.deployment.plan_codec import plan_from_document
from re_core.deployment.records import Accepted, Entry
from re_core.errors import CallerError, StoreRefused
from re_core.ports import Store
from re_core.usecases.times import rfc3339

#: begins the `type` of every event
TYPE = "release-engine"

#: entries of one reading
PAGE = 200

#: aggregates whose first entry is remembered, so that it is read once; and the steps of all plans of deployments together
AGGREGATES, STEPS = 2_000, 100_000

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


_Record = TypeVar("_Record")

#: makes the events of an entry of one aggregate
Derive = Callable[[Entry], Iterable[Event]]


class _Known(NamedTuple):
    """One aggregate."""

    derive: Derive
    #: of its plan
    steps: int = 0


class FeedReader:
    """Reads the feed, and remembers what the aggregates in it are. One thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._steps = 0

    def after(self, at: Cursor) -> tuple[list[PlacedEvent], Cursor]:
        """What comes next, and how far that reaches; `at` itself where there is nothing new. Raises StoreUnavailable."""
        # the entry at the position may have records behind the place
        page = self._store.feed(max(at.position - 1, 0) if at.place != _LAST else at.position, PAGE)
        events = [one for position, entry in page.entries for one in self._events(position, entry) if one.at > at]
        return events, max(at, Cursor(page.after))

    def _events(self, position: int, entry: Entry) -> Iterator[PlacedEvent]:
        known = self._aggregate(entry)
        if known is not None:
            for event in known.derive(entry):
                yield PlacedEvent(Cursor(position, event.place), event)

    def _aggregate(self, entry: Entry) -> _Known | None:
        """None for one that was deleted meanwhile, whose first entries are damaged, or whose kind has no events."""
        id = entry.deployment
        known = self._known.get(id)
        if known is not None:
            self._known.move_to_end(id)
            return known
        find = _FINDERS.get(entry.kind)
        known = find(self._store, entry) if find is not None else None
        if known is None:
            return None
        self._known[id] = known
        self._steps += known.steps
        while len(self._known) > AGGREGATES or (self._steps > STEPS and len(self._known) > 1):
            _, gone = self._known.popitem(last=False)
            self._steps -= gone.steps
        return known


def _deployment(store: Store, entry: Entry) -> _Known | None:
    first = [entry] if entry.number == 1 else store.entries(entry.deployment, limit=1)
    if not first or not isinstance(accepted := first[0].records[0], Accepted):
        return None
    try:
        plan = plan_from_document(accepted.plan)
    except StoreRefused:
        return None
    return _Known(partial(deployment_feed.events_of, accepted=accepted, plan=plan), len(plan.steps))


def _pipeline(store: Store, entry: Entry) -> _Known | None:
    registered = _first(store, entry, Registered)
    return None if registered is None else _Known(partial(pipeline_feed.events_of, registered=registered))


def _app(store: Store, entry: Entry) -> _Known | None:
    registered = _first(store, entry, AppRegistered)
    return None if registered is None else _Known(partial(app_feed.events_of, registered=registered))


def _first(store: Store, entry: Entry, kind: type[_Record]) -> _Record | None:
    """The first record of an aggregate: it is in entry 1, or in entry 2 where the first one is void."""
    for first in store.entries(entry.deployment, limit=2):
        for record in first.records:
            if isinstance(record, kind):
                return record
    return None


#: kind of an aggregate -> how one of it is looked up
_FINDERS: Mapping[str, Callable[[Store, Entry], _Known | None]] = {
    deployment_feed.KIND: _deployment,
    pipelines.KIND: _pipeline,
    apps.KIND: _app,
}
