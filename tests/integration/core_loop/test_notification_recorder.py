"""What notifiers report becomes rows, each once; what is no report becomes a dead letter; and the list stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from re_core.ports import NotifiedFilter
from re_core.services import notification_recorder
from re_core.services.notification_recorder import NotificationRecorder
from re_core.wire.messages import DEAD, NOTIFIED, Message
from re_core.wire.notified import KEY, Notified, report
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture
def recorder(harness: CoreHarness) -> Iterator[NotificationRecorder]:
    made = NotificationRecorder(harness.bus, harness.store, harness.clock)
    yield made
    made.close()


def send(harness: CoreHarness, id: str, at: int | None = None) -> None:
    when = harness.clock.now() if at is None else at
    row = Notified(id, f"n{id}", "irc", ("#a",), "failed", "s", "sent", at=when)
    harness.bus.publish([report(row, "re-worker")])


def listed(harness: CoreHarness) -> list[str]:
    return [one.id for one in harness.store.notified(NotifiedFilter(), 100)]


def test_reports_become_rows(harness: CoreHarness, recorder: NotificationRecorder) -> None:
    for id in ("a", "b", "a"):
        send(harness, id)
    recorder.turn(0)
    assert listed(harness) == ["b", "a"]


def test_what_is_no_report_is_a_dead_letter_and_the_others_are_kept(
    harness: CoreHarness, recorder: NotificationRecorder
) -> None:
    dead = harness.bus.subscribe([DEAD], 10)
    send(harness, "a")
    harness.bus.publish([Message(KEY, b'{"id": 1}', "x")])
    send(harness, "b")
    recorder.turn(0)
    assert listed(harness) == ["b", "a"]
    assert len(dead.take(10, 0)) == 1
    assert harness.bus.subscribe([NOTIFIED], 10).take(10, 0) == []


def test_old_rows_and_very_many_are_dropped_as_new_ones_come(
    harness: CoreHarness, recorder: NotificationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_recorder, "MOST_NOTIFIED", 3)
    monkeypatch.setattr(notification_recorder, "COUNTED", 1)
    send(harness, "0", at=harness.clock.now() - notification_recorder.KEPT - 1)
    for number in range(1, 6):
        send(harness, str(number))
    recorder.turn(0)
    assert listed(harness) == ["5", "4", "3"]
