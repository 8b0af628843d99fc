"""What an entry tells those who follow: the same events from every core, without anything that may be secret."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import records as r
from re_core.deployment.feed import Event, events_of, has_events
from re_core.deployment.plan_codec import plan_from_document
from re_core.playbook.compiler import EnginePolicy, compile_document
from tests.factories import START, accepted, simple

PLAN = compile_document(simple("noop:One", {"noop:Two": {"word": "hush"}}), EnginePolicy(), {})
ACCEPTED = accepted(PLAN, {"password": "hush"})

#: every record that tells something, and what it tells
TOLD: tuple[tuple[r.Record, str, str, dict[str, Any]], ...] = (
    (ACCEPTED, "accepted", "d1", {"user": "pat", "source": "", "steps": 2}),
    (r.Completed(0, 1, "hush", "hush"), "step_ended", "d1/0", {"step": 0, "attempt": 1, "status": "completed"}),
    (r.Failed(1, 2, "hush", "hush"), "step_ended", "d1/1", {"step": 1, "attempt": 2, "status": "failed"}),
    (r.TimedOut(1, 1, "hush"), "step_ended", "d1/1", {"step": 1, "attempt": 1, "status": "timed_out"}),
    (r.Lost(1, 1, "hush"), "step_ended", "d1/1", {"step": 1, "attempt": 1, "status": "lost"}),
    (r.ResolutionRequested(1), "waiting", "d1/1", {"step": 1, "status": "waiting"}),
    (r.Resolved(1, "again", "eve", "hush"), "resolved", "d1/1", {"step": 1, "resolution": "rerun", "user": "eve"}),
    (r.Retried("eve", "hush"), "retried", "d1", {"user": "eve"}),
    (r.Ended("failed", "hush"), "ended", "d1", {"status": "failed"}),
)


def _events(*records: r.Record, number: int = 3) -> list[Event]:
    entry = r.Entry("d1", number, START, "core-1", records)
    return list(events_of(entry, ACCEPTED, plan_from_document(PLAN)))


@pytest.mark.parametrize(("record", "what", "subject", "data"), TOLD)
def test_a_record_tells_what_happened_to_what(record: r.Record, what: str, subject: str, data: dict[str, Any]) -> None:
    [event] = _events(record)
    assert (event.kind, event.what, event.subject, event.group, event.at) == (
        "deployment",
        what,
        subject,
        "inception",
        START,
    )
    assert data.items() <= event.data.items()
    assert {"deployment": "d1", "playbook": "Simple playbook", "revision": 1}.items() <= event.data.items()


@pytest.mark.parametrize("record", [record for record, *_ in TOLD])
def test_no_event_holds_values_data_results_or_texts(record: r.Record) -> None:
    assert "hush" not in repr(_events(record))


def test_an_event_is_known_by_its_entry_and_the_place_of_its_record() -> None:
    entry = (r.Started(0, 1), r.Completed(0, 1), r.Dispatched(1, 1), r.Ended("completed", ""))
    assert [(event.id, event.place) for event in _events(*entry)] == [("d1:000003:1", 1), ("d1:000003:3", 3)]


def test_an_entry_is_told_exactly_where_it_has_events() -> None:
    told = {type(record) for record, *_ in TOLD}
    for kind in r.KINDS.values():
        blank: r.Record = kind(*[0] * len(kind._fields))
        assert has_events(r.Entry("d1", 1, START, "core-1", (blank,))) == (kind in told), kind
