"""From the records of an entry to the events for followers of a group. Pure; must not know buses, stores or JSON.

An event is derived from its entry and from the first record of the app, and from nothing else. It holds names, numbers and
times; never a command, nor a name of a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from re_core.apps import records as r
from re_core.apps.names import KIND, app_id
from re_core.deployment.feed import Event
from re_core.deployment.records import Entry


def _of(*fields: str) -> Callable[[Any], dict[str, Any]]:
    return lambda record: {name: getattr(record, name) for name in fields}


#: type of record -> what it says that happened, and what the event holds of it
_EVENTS: Mapping[type[Any], tuple[str, Callable[[Any], dict[str, Any]]]] = {
    r.Registered: ("registered", lambda record: {"zones": list(record.zones)}),
    r.Queued: ("queued", _of("version", "made_by", "commit", "who", "of")),
    r.Committed: ("committed", lambda record: {"version": record.version, "formation": dict(record.formation)}),
    r.Failed: ("failed", _of("version", "stage")),
    r.Scaled: ("scaled", lambda record: {"formation": dict(record.formation), "who": record.who}),
    r.Restarted: ("restarted", _of("generation", "who")),
    r.RunEnded: ("run_ended", lambda record: {"run": record.n, "code": record.code}),
    r.Destroyed: ("destroyed", _of("who")),
}

#: what can happen; `event.app.<what>` is the routing key
WHATS = tuple(what for what, _ in _EVENTS.values())

#: types of the records for which there is an event
FED: frozenset[type[Any]] = frozenset(_EVENTS)


def what_of(record: Any) -> str:
    """What the event of a record says that happened; empty where it has none."""
    found = _EVENTS.get(type(record))
    return "" if found is None else found[0]


def has_events(entry: Entry) -> bool:
    """Whether the entry has at least one event."""
    return not FED.isdisjoint(map(type, entry.records))


def whats_of(entry: Entry) -> set[str]:
    """What its events say that happened, without making them."""
    return {_EVENTS[type(record)][0] for record in entry.records if type(record) in _EVENTS}


def events_of(entry: Entry, registered: r.Registered) -> Iterator[Event]:
    """The events of an entry, in order; `registered` is the first record of its app (in entry 1 or 2: the first may be void)."""
    app = app_id(entry.deployment)
    for place, record in enumerate(entry.records):
        found = _EVENTS.get(type(record))
        if found is None:
            continue
        data = {"app": app, "group": registered.group, "name": registered.name, **found[1](record)}
        yield Event(f"{entry.id}:{place}", KIND, found[0], registered.group, app, entry.at, place, data)
