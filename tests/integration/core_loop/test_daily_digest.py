"""One notification a day for each rule that wants it: of what ended in that day, by one core, and once more where the bus was away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from re_core.errors import BusUnavailable
from re_core.playbook.notice_routes import Daily, read_routes
from re_core.ports import Bus, Published
from re_core.services.daily_digest import DailyDigests, day_before
from re_core.wire import strict_json
from re_core.wire.messages import Message
from tests.integration.core_loop.core_harness import CoreHarness

#: ends the day of the tests, whose clock begins at 22:13 UTC
RULE = {"group": "inception", "environment": "prod", "daily": "23:00", "to": {"email": ["team@example.com"]}}


class Away:
    """A bus that is away as often as it is said, and keeps what it takes otherwise."""

    def __init__(self, times: int = 0) -> None:
        self.times = times
        self.taken: list[Message] = []

    def publish(self, messages: Sequence[Message]) -> list[Published]:
        if self.times:
            self.times -= 1
            raise BusUnavailable("away")
        self.taken += messages
        return [Published.TAKEN] * len(messages)


def _digests(harness: CoreHarness, bus: Any, *rules: dict[str, Any]) -> DailyDigests:
    stand_in: Bus = bus
    return DailyDigests(stand_in, harness.store, harness.clock, read_routes(rules), "https://re.example.com/")


def _ended(harness: CoreHarness, id: str, environment: str, step: str = "noop:A") -> None:
    place = {"environment": environment} if environment else {}
    document = {"group": "inception", "name": "site", "execution": [{"hosts": ["a"], "steps": [step], **place}]}
    harness.save(document, id=f"p-{id}")
    harness.ask(id, f"p-{id}")
    harness.settle()


@pytest.fixture
def day(build: Any) -> CoreHarness:
    """Three deployments of this day; one of them failed, one is of no environment."""
    harness: CoreHarness = build(script={"Fail": {"status": "failed", "message": "no room"}})
    _ended(harness, "d1", "prod")
    _ended(harness, "d2", "prod", "noop:Fail")
    _ended(harness, "d3", "")
    return harness


def test_a_day_is_one_message_with_what_failed_first_and_only_once_among_cores(day: CoreHarness) -> None:
    bus = Away()
    cores = [_digests(day, bus, RULE) for _ in range(2)]
    for core in cores:
        assert core.turn() > 0
    assert bus.taken == [], "the day that ended before the first of them had none"
    day.clock.pass_seconds(3600)
    bus.times = 1
    with pytest.raises(BusUnavailable):
        cores[0].turn()
    for core in (*cores, *cores, _digests(day, bus, RULE)):
        core.turn()
    (message,) = bus.taken
    body = strict_json.loads(message.body)
    assert (message.key, body["target"], body["phase"]) == ("notify.email", ["team@example.com"], "failed")
    assert body["slug"] == "inception: 2 deployments: 1 completed, 1 failed"
    head, first, second = body["message"].splitlines()
    assert head == "What ended in the day before 14 Nov 23:00 (UTC):"
    why = "noop:Fail on a failed: no room"
    assert first == f"failed: inception/p-d2: {why} https://re.example.com/api/v1/deployments/d2"
    assert second == "completed: inception/p-d1 https://re.example.com/api/v1/deployments/d1"


def test_a_rule_for_failures_of_all_groups_leaves_out_what_completed(day: CoreHarness) -> None:
    bus = Away()
    wanted = {"outcome": "failed", "daily": "23:00 UTC", "to": {"irc": ["#a"], "webhook": ["audit"]}}
    digests = _digests(day, bus, wanted, {"to": {"irc": ["#b"]}})
    day.clock.pass_seconds(3600)
    digests.turn()
    assert [one.key for one in bus.taken] == ["notify.irc", "notify.webhook"]
    assert len({one.id for one in bus.taken}) == 2
    assert strict_json.loads(bus.taken[0].body)["slug"] == "inception: 1 deployment: 1 failed"


@pytest.mark.parametrize(
    ("now", "begin", "end"),
    [
        ("2026-03-29T12:00", "2026-03-28T06:00", "2026-03-29T05:00"),  # clocks were set one hour ahead
        ("2026-10-25T12:00", "2026-10-24T05:00", "2026-10-25T06:00"),  # and back
        ("2026-01-02T05:59", "2025-12-31T06:00", "2026-01-01T06:00"),
        ("2026-01-02T06:00", "2026-01-01T06:00", "2026-01-02T06:00"),
    ],
)
def test_a_day_is_one_of_the_zone(now: str, begin: str, end: str) -> None:
    def at(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)

    found = day_before(Daily(7, 0, "Europe/Berlin"), at(now))
    assert (found.begin, found.end) == (at(begin), at(end))
