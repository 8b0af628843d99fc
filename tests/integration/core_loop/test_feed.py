"""What the core tells of what happened: in the feed and on the bus, caused by the append, whatever dies in between."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from re_core.ports import Store
from re_core.usecases.feed import Cursor, FeedReader
from re_core.wire.messages import EVENTS, JOURNAL_GREW, Message
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness

LIFE = ["accepted", "step_ended", "step_ended", "ended"]


def _feed(store: Store) -> Iterator[tuple[str, str]]:
    reader, at = FeedReader(store), Cursor(0)
    while True:
        told, reached = reader.after(at)
        if reached == at:
            return
        at = reached
        for one in told:
            yield one.event.id, one.event.what


def _listen(harness: CoreHarness) -> list[Message]:
    heard: list[Message] = []
    harness.bus.listen(lambda message: heard.append(message) if message and message.key.startswith(EVENTS) else None)
    return heard


def test_what_happens_is_in_the_feed_and_on_the_bus_with_the_same_ids(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))
    heard = _listen(harness)
    harness.ask("d1")
    harness.settle()
    told = list(_feed(harness.store))
    assert [what for _, what in told] == LIFE
    assert [(message.id, message.key) for message in heard] == [(id, f"event.deployment.{what}") for id, what in told]
    bodies = [json.loads(message.body) for message in heard]
    assert [body["id"] for body in bodies] == [id for id, _ in told]
    assert {message.correlation_id for message in heard} == {"d1"}


def test_while_nothing_listens_no_message_is_made(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing listens")

    monkeypatch.setattr("re_core.sequencer.encoding.cloud_event", never)
    harness.save(simple("noop:A", "noop:B"))
    harness.ask("d1")
    harness.settle()
    assert [what for _, what in _feed(harness.store)] == LIFE


def test_an_event_is_in_the_feed_before_anyone_hears_of_it(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))
    missing: list[str] = []

    def hear(message: Message | None) -> None:
        if message is not None and message.key.startswith(EVENTS) and message.id not in dict(_feed(harness.store)):
            missing.append(message.id)

    harness.bus.listen(hear)
    harness.ask("d1")
    harness.settle()
    assert missing == []


def test_a_deployment_that_was_taken_back_is_told_of_as_the_journal_has_it(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.cancel("d1")
    harness.settle()
    assert [what for _, what in _feed(harness.store)][-1] == "ended"


def test_an_entry_that_tells_nothing_is_a_hint(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    hints: list[Message] = []
    harness.bus.listen(lambda message: hints.append(message) if message and message.key == JOURNAL_GREW else None)
    harness.ask("d1")
    harness.settle()
    fed = {id.rpartition(":")[0] for id, _ in _feed(harness.store)}
    entries = {one.id for one in harness.store.entries("d1")}
    assert [hint.id for hint in hints] == sorted(entries - fed) != []
    assert {hint.correlation_id for hint in hints} == {"d1"}
