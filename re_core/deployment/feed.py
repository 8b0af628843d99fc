"""From the records of an entry to the events for followers of a group. Pure; must not know buses, stores or JSON.

An event is derived from its entry and from what never changes in the deployment's life (`accepted`, the plan), and from
nothing else: the core that appends the entry, the core that repeats it after a crash, and a front end that reads the entry a
day later make the same event under the same id. An event holds names, numbers and times; never values of the caller,
results, output, or texts of workers, which may hold secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from re_core.deployment import records as r
from re_core.deployment.plan import Plan
from re_core.model import Resolution, StepStatus

#: the kind of aggregate whose events these are
KIND = r.DEPLOYMENT

#: what happened to a deployment, in the order in which it can happen; `event.<kind>.<what>` is the routing key
WHATS = ACCEPTED, STEP_ENDED, WAITING, RESOLVED, ENDED, RETRIED = (
    "accepted",
    "step_ended",
    "waiting",
    "resolved",
    "ended",
    "retried",
)


class Event(NamedTuple):
    """One thing that happened to one aggregate."""

    #: `<entry id>:<place of the record in its entry>`; the same at every repetition
    id: str
    #: of the aggregate, and what happened to it
    kind: str
    what: str
    group: str
    #: what it happened to: `<deployment>` or `<deployment>/<step>`
    subject: str
    #: milliseconds since the epoch
    at: int
    #: place of the record in its entry, from 0
    place: int
    data: Mapping[str, Any]


def has_events(entry: r.Entry) -> bool:
    """Whether the entry has at least one event."""
    return not FED.isdisjoint(map(type, entry.records))


def whats_of(entry: r.Entry) -> set[str]:
    """What its events say that happened, without making them."""
    return {_WHATS[type(record)] for record in entry.records if type(record) in _WHATS}


def events_of(entry: r.Entry, accepted: r.Accepted, plan: Plan) -> Iterator[Event]:
    """The events of an entry, in order; `accepted` and `plan` are those of its deployment."""
    for place, record in enumerate(entry.records):
        found = _EVENTS.get(type(record))
        if found is None:
            continue
        what, about = found[0], found[1](record, plan)
        step = about.get("step")
        yield Event(
            id=f"{entry.id}:{place}",
            kind=KIND,
            what=what,
            group=accepted.group,
            subject=entry.deployment if step is None else f"{entry.deployment}/{step}",
            at=entry.at,
            place=place,
            data={
                "deployment": entry.deployment,
                "group": accepted.group,
                "playbook_id": accepted.playbook_id,
                "playbook": accepted.playbook,
                "revision": accepted.revision,
                **about,
            },
        )


def _accepted(record: r.Accepted, plan: Plan) -> dict[str, Any]:
    return {"user": record.user, "source": record.source, "steps": len(plan.steps)}


def _step_ended(status: StepStatus) -> Callable[[Any, Plan], dict[str, Any]]:
    def data_of(record: Any, plan: Plan) -> dict[str, Any]:
        return {**_step(record.step, plan), "attempt": record.attempt, "status": str(status)}

    return data_of


def _waiting(record: r.ResolutionRequested, plan: Plan) -> dict[str, Any]:
    return {**_step(record.step, plan), "status": "waiting"}


def _resolved(record: r.Resolved, plan: Plan) -> dict[str, Any]:
    return {**_step(record.step, plan), "resolution": str(Resolution(record.ruling)), "user": record.user}


def _retried(record: r.Retried, plan: Plan) -> dict[str, Any]:
    return {"user": record.user}


def _ended(record: r.Ended, plan: Plan) -> dict[str, Any]:
    return {"status": record.status}


def _step(number: int, plan: Plan) -> dict[str, Any]:
    planned = plan.steps[number]
    return {"step": number, "name": planned.spec.name, "host": planned.host}


#: kind of record -> what it says that happened, and what the event holds of it
_EVENTS: Mapping[type[Any], tuple[str, Callable[[Any, Plan], dict[str, Any]]]] = {
    r.Accepted: (ACCEPTED, _accepted),
    r.Completed: (STEP_ENDED, _step_ended(StepStatus.COMPLETED)),
    r.Failed: (STEP_ENDED, _step_ended(StepStatus.FAILED)),
    r.TimedOut: (STEP_ENDED, _step_ended(StepStatus.TIMED_OUT)),
    r.Lost: (STEP_ENDED, _step_ended(StepStatus.LOST)),
    r.ResolutionRequested: (WAITING, _waiting),
    r.Resolved: (RESOLVED, _resolved),
    r.Retried: (RETRIED, _retried),
    r.Ended: (ENDED, _ended),
}
_WHATS = {kind: what for kind, (what, _) in _EVENTS.items()}

#: kinds of records for which there is an event
FED = frozenset(_EVENTS)
