"""Following the feed: what a caller gets, in which order, from where on, and what not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from re_core.errors import NotAuthenticated
from re_core.playbook import json_schema
from re_core.usecases.feed import Cursor, parse_cursor
from re_rest import feed, feed_tail
from re_rest.app import close_streams
from re_rest.feed_tail import FeedTail
from tests.integration.front_end.front_end_harness import FrontEndHarness

ROUTE = "/api/v1/events"


class Heard(NamedTuple):
    """One server-sent event as a browser has it."""

    id: str
    name: str
    data: Any


class Follower:
    """One caller's stream; what comes, one after the other."""

    def __init__(self, harness: FrontEndHarness, at: Cursor, tail: FeedTail | None = None, **wanted: Any) -> None:
        self.tail = tail or FeedTail(harness.bus, harness.store)
        check: Callable[[], None] = wanted.pop("check", lambda: None)
        self._pieces = feed.stream(self.tail, harness.store, at, feed.Wanted(**wanted), check, ping=0.05)
        self._heard = self._read()
        self.at = next(self._heard).id

    def _read(self) -> Iterator[Heard]:
        for piece in self._pieces:
            for frame in piece.decode().split("\n\n"):
                fields = dict(line.split(": ", 1) for line in frame.split("\n") if line and not line.startswith(":"))
                if fields:
                    self.at = fields["id"]
                    yield Heard(fields["id"], fields.get("event", "message"), json.loads(fields["data"]))

    def next(self) -> Heard:
        """The next one that is more than a place."""
        return next(one for one in self._heard if one.name != "place")

    def types(self, count: int) -> list[str]:
        return [self.next().data["type"].rpartition(".")[2] for _ in range(count)]

    def close(self) -> None:
        self._pieces.close()


def _deploy(harness: FrontEndHarness, id: str, group: str = "ours") -> None:
    """A whole life: six events in two entries."""
    harness.deployment(id, group=group)
    harness.finish(id)


@pytest.fixture
def newest(harness: FrontEndHarness) -> Callable[[], Cursor]:
    return lambda: Cursor(harness.store.feed_range().newest)


def test_a_follower_gets_what_happens_from_now_on_as_cloud_events(
    harness: FrontEndHarness, newest: Callable[[], Cursor]
) -> None:
    _deploy(harness, "before")
    follower = Follower(harness, newest())
    _deploy(harness, "dep1")
    events = [follower.next().data for _ in range(6)]
    assert [json_schema.problems("event", one) for one in events] == [[]] * 6
    assert {one["subject"] for one in events} == {"dep1", *(f"dep1/{step}" for step in range(4))}
    assert events[0]["type"] == "release-engine.deployment.accepted"
    assert (events[0]["source"], events[0]["data"]["group"]) == ("/groups/ours", "ours")
    assert events[-1]["data"]["status"] == "completed"
    follower.close()


def test_the_route_sends_what_follows_the_last_event_and_hides_what_the_token_does_not_reach(
    harness: FrontEndHarness,
) -> None:
    _deploy(harness, "dep1", "ours")
    _deploy(harness, "dep2", "theirs")
    close_streams(harness.app)  # a stream that would go on ends after what there is
    response = harness.call("GET", ROUTE, harness.ours, headers={"Last-Event-ID": "0"})
    assert response.status_code == 200
    assert response.content_type.startswith("text/event-stream")
    assert (response.headers["Cache-Control"], response.headers["X-Accel-Buffering"]) == ("no-store", "no")


def test_a_follower_gets_nothing_of_other_groups(harness: FrontEndHarness) -> None:
    follower = Follower(harness, Cursor(0), groups=("theirs",))
    _deploy(harness, "dep1", "ours")
    _deploy(harness, "dep2", "theirs")
    heard = [follower.next().data["data"]["group"] for _ in range(6)]
    assert heard == ["theirs"] * 6
    follower.close()


def test_a_group_that_the_token_does_not_reach_is_refused(harness: FrontEndHarness) -> None:
    assert harness.call("GET", f"{ROUTE}?group=theirs", harness.ours).status_code == 403


@pytest.mark.parametrize("said", ["x", "-1", "1.2.3", "1.", "9" * 17, "1.x"])
def test_an_id_that_no_event_has_is_refused(harness: FrontEndHarness, said: str) -> None:
    response = harness.call("GET", ROUTE, headers={"Last-Event-ID": said})
    assert response.status_code == 400
    assert "Last-Event-ID" in response.json["detail"]


def test_kinds_and_types_narrow_what_comes(harness: FrontEndHarness) -> None:
    _deploy(harness, "dep1")
    follower = Follower(harness, Cursor(0), types=("release-engine.deployment.ended",), kinds=("deployment",))
    assert follower.next().data["type"] == "release-engine.deployment.ended"
    follower.close()


@pytest.mark.parametrize("cut", range(12))
def test_going_on_after_any_event_loses_and_repeats_nothing(harness: FrontEndHarness, cut: int) -> None:
    _deploy(harness, "dep1")
    _deploy(harness, "dep2")
    whole = Follower(harness, Cursor(0))
    everything = [whole.next() for _ in range(12)]
    whole.close()
    rest = Follower(harness, parse_cursor(everything[cut].id))
    _deploy(harness, "dep3")
    assert [rest.next().id for _ in range(11 - cut)] == [one.id for one in everything[cut + 1 :]]
    assert rest.next().data["subject"] == "dep3"
    rest.close()


def test_a_follower_of_a_quiet_group_gets_ids_that_go_on(
    harness: FrontEndHarness, newest: Callable[[], Cursor]
) -> None:
    follower = Follower(harness, Cursor(0), groups=("quiet",))
    _deploy(harness, "dep1")
    assert next(one.id for one in follower._heard if one.id != "0") == str(newest())
    follower.close()


def test_who_comes_back_too_late_hears_that_something_is_missing(harness: FrontEndHarness) -> None:
    for number in range(4):
        _deploy(harness, f"dep{number}")
    first = parse_cursor(str(harness.store.feed(0, 1).entries[0][0]))
    harness.store.trim_feed(2)
    follower = Follower(harness, first)
    before = harness.store.feed_range().before
    assert follower.at == str(before)
    assert follower.next().data["subject"] == "dep3"
    follower.close()


def test_a_reset_names_the_place_that_was_asked_for_and_the_one_that_it_goes_on_from(harness: FrontEndHarness) -> None:
    for number in range(4):
        _deploy(harness, f"dep{number}")
    first = harness.store.feed(0, 1).entries[0][0]
    harness.store.trim_feed(2)
    _, piece = feed._begin(FeedTail(harness.bus, harness.store), harness.store, Cursor(first))
    now = harness.store.feed_range().before
    assert piece.decode() == f'id: {now}\nevent: reset\ndata: {{"last":"{first}","now":"{now}"}}\n\n'


def test_a_place_that_the_store_has_not_come_to_is_reset(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch, newest: Callable[[], Cursor]
) -> None:
    monkeypatch.setattr(feed, "CATCH_UP", 0.0)
    _deploy(harness, "dep1")
    follower = Follower(harness, Cursor(10**9))
    assert follower.at == str(newest())
    follower.close()


def test_a_follower_that_falls_behind_what_is_kept_is_dropped_with_a_reset(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_tail, "RECENT", 3)
    tail = FeedTail(harness.bus, harness.store)
    quick, slow = Follower(harness, Cursor(0), tail), Follower(harness, Cursor(0), tail)
    _deploy(harness, "dep0")
    assert slow.next().data["subject"] == "dep0"
    for number in range(1, 5):
        _deploy(harness, f"dep{number}")
        while quick.next().data["type"] != "release-engine.deployment.ended":
            pass
    harness.store.trim_feed(2)
    heard = list(slow._heard)
    assert heard[-1].name == "reset"
    assert heard[-1].id == str(harness.store.feed_range().before)
    quick.close()


def test_many_followers_cost_as_many_readings_as_one(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch, newest: Callable[[], Cursor]
) -> None:
    readings = 0
    real = harness.store.feed

    def count(after: int, limit: int) -> Any:
        nonlocal readings
        readings += 1
        return real(after, limit)

    monkeypatch.setattr(harness.store, "feed", count)
    tail = FeedTail(harness.bus, harness.store)
    followers = [Follower(harness, newest(), tail) for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(one.next) for one in followers]
        _deploy(harness, "dep1")
        assert {one.result().data["subject"] for one in waiting} == {"dep1"}
    assert readings < 20
    for one in followers:
        one.close()


def test_nothing_is_read_while_the_bus_says_nothing(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch, newest: Callable[[], Cursor]
) -> None:
    monkeypatch.setattr(feed_tail, "WARM", 0.0)
    follower = Follower(harness, newest())
    _deploy(harness, "dep1")
    assert len(follower.types(6)) == 6
    readings: list[int] = []
    real = harness.store.feed

    def note(after: int, limit: int) -> Any:
        readings.append(after)
        return real(after, limit)

    monkeypatch.setattr(harness.store, "feed", note)
    quiet = 0
    while quiet < 20:  # pings, a second of them
        before = len(readings)
        next(follower._heard)
        quiet = quiet + 1 if len(readings) == before else 0
        assert len(readings) < 5
    follower.close()


def test_what_the_bus_did_not_say_is_found_by_the_look_of_the_safety_net(
    harness: FrontEndHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_tail, "NET", 0.02)
    follower = Follower(harness, Cursor(0))
    monkeypatch.setattr(harness.bus, "listened", lambda _: False)
    _deploy(harness, "dep1")
    assert follower.types(1) == ["accepted"]
    follower.close()


def test_a_stream_ends_when_its_token_is_revoked(harness: FrontEndHarness) -> None:
    good = True

    def check() -> None:
        if not good:
            raise NotAuthenticated("this token was revoked")

    follower = Follower(harness, Cursor(0), check=check)
    _deploy(harness, "dep1")
    assert follower.types(1) == ["accepted"]
    good = False
    _deploy(harness, "dep2")
    assert len(list(follower._heard)) < 12


def test_a_stream_ends_when_the_server_stops(harness: FrontEndHarness) -> None:
    follower = Follower(harness, Cursor(0))
    follower.tail.close()
    assert list(follower._heard) == []


def test_what_was_deleted_from_the_store_is_passed_over(harness: FrontEndHarness) -> None:
    _deploy(harness, "dep1")
    _deploy(harness, "dep2")
    harness.store.forget(["dep1"])
    follower = Follower(harness, Cursor(0))
    assert follower.next().data["subject"] == "dep2"
    follower.close()
