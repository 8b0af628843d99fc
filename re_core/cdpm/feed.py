"""From the records of an entry to the events for followers of a group. Pure; must not know buses, stores or JSON.

An event is derived from its entry and from the first record of the pipeline, and from nothing else. It holds names, numbers
and times; never values of a release that could hold more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from re_core.cdpm import records as r
from re_core.cdpm.ids import KIND
from re_core.deployment.feed import Event
from re_core.deployment.records import Entry


def _of(*fields: str) -> Callable[[Any], dict[str, Any]]:
    return lambda record: {name: getattr(record, name) for name in fields}


def _received(record: r.Received) -> dict[str, Any]:
    return {**_of("dependency", "id", "created_at", "skipped")(record), "major": record.major}


def _released(record: r.Released) -> dict[str, Any]:
    return {
        "release": record.n,
        **_of("deployment", "ref", "created_at", "deadline")(record),
        "majors": len(record.majors),
    }


#: type of record -> what it says that happened, and what the event holds of it
_EVENTS: Mapping[type[Any], tuple[str, Callable[[Any], dict[str, Any]]]] = {
    r.Joined: ("joined", _of("dependency", "subscription")),
    r.Left: ("left", _of("dependency")),
    r.PeerSubscribed: ("subscribed", _of("subscription", "url", "name", "ref")),
    r.PeerUnsubscribed: ("unsubscribed", _of("subscription")),
    r.Received: ("received", _received),
    r.JobEnded: ("job_ended", lambda record: {"deployment": record.job, "status": record.status}),
    r.Voted: ("voted", _of("dependency", "id", "created_at", "value", "deployment")),
    r.CheckedIn: ("checked_in", _of("deployment")),
    r.CandidateFailed: ("candidate_failed", _of("deployment", "status")),
    r.Released: ("released", _released),
    r.VoteCounted: ("vote_counted", _of("release", "subscription", "value", "counts")),
    r.Promoted: ("promoted", _of("release")),
    r.Demoted: ("demoted", _of("release")),
    r.Undecided: ("undecided", _of("release")),
}

#: what can happen; `event.pipeline.<what>` is the routing key
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
    """The events of an entry, in order; `registered` is the first record of its pipeline (in entry 1 or 2: the first may be void)."""
    pipeline = entry.deployment.removeprefix(f"{KIND}/")
    for place, record in enumerate(entry.records):
        found = _EVENTS.get(type(record))
        if found is None:
            continue
        data = {"pipeline": pipeline, "group": registered.group, "node": registered.name, **found[1](record)}
        yield Event(f"{entry.id}:{place}", KIND, found[0], registered.group, pipeline, entry.at, place, data)
