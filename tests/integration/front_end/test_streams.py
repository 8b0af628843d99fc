"""Watching a deployment: what a viewer is told, in which order, and what it costs the store."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from re_core.deployment.records import Completed, Dispatched, Started
from re_core.errors import BusUnavailable, StoreUnavailable
from re_core.wire.redaction import Redaction
from re_rest import deployments, events, streams
from re_rest.app import close_streams
from re_rest.streams import Position, Streams
from tests.integration.front_end.front_end_harness import FrontEndHarness

ROUTE = "/api/v1/deployments/dep1/events"


class Event(NamedTuple):
    """One event as a browser has it."""

    id: str
    name: str
    data: Any


def _parse(frame: bytes) -> Event | None:
    fields = dict(line.split(": ", 1) for line in frame.decode().rstrip("\n").split("\n") if not line.startswith(":"))
    return Event(fields["id"], fields["event"], json.loads(fields["data"])) if fields else None


def _events(frames: Iterator[bytes]) -> Iterator[Event]:
    for piece in frames:
        for frame in piece.split(b"\n\n"):
            event = _parse(frame) if frame else None
            if event is not None:
                yield event


@pytest.fixture
def watched(harness: FrontEndHarness) -> Streams:
    """The streams of a harness with one running deployment."""
    harness.deployment()
    return Streams(
        harness.store, harness.clock, partial(deployments.document, redaction=Redaction()), 1000, harness.bus
    )


def _watch(streams: Streams, last: Position = Position()) -> Iterator[Event]:  # noqa: B008
    return _events(events.stream(streams, "dep1", last))


def test_a_finished_deployment_is_told_whole_and_then_ended(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, "a", "b\nc")
    harness.finish("dep1")

    response = harness.call("GET", ROUTE, harness.ours)

    assert response.status_code == 200
    assert response.content_type.startswith("text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["Cache-Control"] == "no-store"
    told = list(_events(iter([response.data])))
    assert [(event.id, event.name) for event in told] == [
        ("3.0", "state"),
        ("3.1", "output"),
        ("3.2", "output"),
        ("3.2", "end"),
    ]
    assert told[0].data == harness.call("GET", "/api/v1/deployments/dep1").json
    assert told[1].data == {"number": 1, "step": 0, "host": "one", "at": "2023-11-14T22:13:20.000Z", "text": "a"}
    assert told[3].data == {"id": "dep1", "status": "completed"}


def test_states_and_lines_come_as_they_happen(harness: FrontEndHarness, watched: Streams) -> None:
    seen = _watch(watched)

    assert next(seen).data["status"] == "running"
    harness.print("dep1", 1, "first")
    assert next(seen).data["text"] == "first"
    harness.append("dep1", 3, Completed(0, 1), Dispatched(1, 1))
    state = next(seen)
    assert (state.id, state.data["steps"][1]["status"]) == ("3.1", "dispatched")
    harness.print("dep1", 2, "second", step=1)
    line = next(seen)
    assert (line.id, line.data["text"]) == ("3.2", "second")


@pytest.mark.parametrize("cut", range(8))
def test_resuming_after_any_event_loses_and_repeats_nothing(
    harness: FrontEndHarness, watched: Streams, cut: int
) -> None:
    harness.print("dep1", 1, "a", "b", "c")
    harness.finish("dep1")
    harness.print("dep1", 4, "d", "e", "f")
    whole = list(_watch(watched))
    assert len(whole) == 8

    entry, line = whole[cut].id.split(".")
    rest = list(_watch(watched, Position(int(entry), int(line))))

    # the end is told again to whoever asks again
    assert rest == whole[min(cut + 1, 7) :]


def test_a_viewer_who_resumes_sees_what_happened_meanwhile(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, "a")
    harness.finish("dep1")
    harness.print("dep1", 2, "b")

    response = harness.call("GET", ROUTE, headers={"Last-Event-ID": "2.1"})

    told = [line for line in response.text.split("\n") if line.startswith("id:")]
    assert told == ["id: 2.2", "id: 3.2", "id: 3.2"]


@pytest.mark.parametrize("last", ["x", "1", "1.2.3", "-1.0", "1.x", "9" * 30 + ".0", "\u0663.\u0661"])
def test_a_last_event_id_of_somebody_else_is_a_400(harness: FrontEndHarness, last: str) -> None:
    harness.deployment()

    assert harness.call("GET", ROUTE, headers={"Last-Event-ID": last.encode().decode("latin-1")}).status_code == 400


def test_a_thousand_viewers_positions_cost_one_reading_per_tick(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[tuple[Any, ...]] = []
    real = harness.store.output

    def output(*asked: Any) -> Any:
        reads.append(asked)
        return real(*asked)

    monkeypatch.setattr(harness.store, "output", output)
    harness.print("dep1", 1, "a")
    viewers = [_watch(watched) for _ in range(20)]

    told = [[next(viewer).id for _ in range(2)] for viewer in viewers]

    assert told == [["2.0", "2.1"]] * 20
    assert len(reads) < 5
    assert watched.watched() == 1


def test_the_follower_goes_with_its_last_viewer(harness: FrontEndHarness, watched: Streams) -> None:
    first, second = _watch(watched), _watch(watched)
    generators = [events.stream(watched, "dep1", Position()) for _ in range(2)]
    del first, second
    for generator in generators:
        next(generator)
    assert watched.watched() == 1

    generators[0].close()
    assert watched.watched() == 1
    generators[1].close()
    assert watched.watched() == 0


def test_a_slow_viewer_misses_no_line_even_beyond_what_is_kept(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "RECENT", 10)
    monkeypatch.setattr(streams, "TICK", 0.001)
    slow, quick = _watch(watched), _watch(watched)
    assert next(slow).name == "state"
    for first in range(1, 101, 5):
        harness.print("dep1", first, *(f"line {number}" for number in range(first, first + 5)))
    next(quick)
    numbers = [next(quick).data["number"] for _ in range(100)]
    harness.finish("dep1")

    missed = [event.data["number"] for event in slow if event.name == "output"]

    assert numbers == missed == list(range(1, 101))


def test_who_is_far_behind_skips_ahead_and_hears_so(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, *(f"line {number}" for number in range(1, 50_001)))
    harness.finish("dep1")

    told = list(_events(iter([harness.call("GET", ROUTE).data])))

    assert (told[0].name, told[0].id) == ("state", "3.0")
    assert told[1] == Event("3.48000", "skipped", {"first": 1, "last": 48_000})
    assert [event.data["number"] for event in told[2:-1]] == list(range(48_001, 50_001))
    assert told[-1].name == "end"


def test_who_falls_behind_while_watching_skips_ahead(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "TICK", 0.001)
    slow = _watch(watched)
    assert next(slow).name == "state"
    harness.print("dep1", 1, "first")
    assert next(slow).data["text"] == "first"
    harness.print("dep1", 2, *(f"line {number}" for number in range(2, 20_001)))
    skipped = next(slow)
    assert (skipped.name, skipped.data) == ("skipped", {"first": 2, "last": 18_000})
    assert next(slow).data["number"] == 18_001


def test_who_resumes_behind_a_skip_goes_on_there(harness: FrontEndHarness, watched: Streams) -> None:
    harness.print("dep1", 1, *(f"line {number}" for number in range(1, 20_001)))
    harness.finish("dep1")
    seen = _watch(watched, Position(3, 18_000))
    assert next(seen).data["number"] == 18_001


def test_who_wants_states_alone_hears_of_no_line_and_has_none_read(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def output(*_: object) -> None:
        raise AssertionError("lines were read")

    monkeypatch.setattr(harness.store, "output", output)
    harness.print("dep1", 1, *(f"line {number}" for number in range(1, 20_001)))
    seen = _events(events.stream(watched, "dep1", Position(), lines=False))
    state = next(seen)
    harness.finish("dep1", at=harness.clock.now())
    told = [state, *seen]

    assert [(event.id, event.name) for event in told] == [("2.0", "state"), ("3.0", "state"), ("3.0", "end")]


def test_states_alone_are_asked_for_by_output_false(harness: FrontEndHarness) -> None:
    harness.deployment()
    harness.print("dep1", 1, "a")
    harness.finish("dep1", failed=True)

    told = _events(iter([harness.call("GET", f"{ROUTE}?output=false").data]))

    assert [event.name for event in told] == ["state", "end"]
    assert harness.call("GET", f"{ROUTE}?output=no").status_code == 400


def test_a_viewer_of_lines_beside_one_of_states_hears_all_of_them(harness: FrontEndHarness, watched: Streams) -> None:
    states = _events(events.stream(watched, "dep1", Position(), lines=False))
    harness.print("dep1", 1, "a", "b")
    assert next(states).name == "state"
    lines = _watch(watched)
    assert next(lines).name == "state"
    assert [next(lines).data["text"] for _ in range(2)] == ["a", "b"]
    harness.print("dep1", 3, "c")
    assert next(lines).data["text"] == "c"


def test_many_lines_travel_in_few_pieces(harness: FrontEndHarness, watched: Streams) -> None:
    harness.print("dep1", 1, *(f"line {number}" for number in range(1, 9_001)))
    harness.finish("dep1")

    pieces = list(events.stream(watched, "dep1", Position()))

    assert sum(piece.count(b"event: output") for piece in pieces) == 9_000
    assert len(pieces) < 100


def test_what_is_kept_for_viewers_is_bounded_by_its_size(harness: FrontEndHarness, watched: Streams) -> None:
    seen = _watch(watched)
    assert next(seen).name == "state"
    for first in range(1, 500, 100):
        harness.print("dep1", first, *["x" * 16_000] * 100)
    with watched.watch("dep1") as follower:
        assert [next(seen).data["number"] for _ in range(500)] == list(range(1, 501))
        assert sum(len(line.text) for line in follower._lines) <= 2 * 1024 * 1024


def test_silence_is_broken_by_a_ping(harness: FrontEndHarness, watched: Streams) -> None:
    frames = events.stream(watched, "dep1", Position(2, 0), ping=0.01)

    assert next(frames) == b": ping\n\n"
    frames.close()


def test_shutdown_ends_every_stream(harness: FrontEndHarness) -> None:
    harness.deployment()
    ended = threading.Event()

    def watch() -> None:
        harness.app.test_client().get(ROUTE, headers={"Authorization": f"Bearer {harness.admin}"}, buffered=True)
        ended.set()

    viewer = threading.Thread(target=watch)
    viewer.start()
    known: Streams = harness.app.extensions[events.EXTENSION]
    while not known.watched():
        viewer.join(0.01)
    close_streams(harness.app)

    assert ended.wait(10)
    viewer.join()
    assert harness.call("GET", ROUTE).data == b""


def test_a_store_that_goes_away_ends_the_stream_and_the_viewer_resumes(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable

    seen = events.stream(watched, "dep1", Position())
    last = _parse(next(seen))
    with monkeypatch.context() as patch:
        patch.setattr(harness.store, "entries", away)
        assert [_parse(frame) for frame in seen] == [None]
    harness.print("dep1", 1, "later")
    assert last is not None
    entry, line = last.id.split(".")

    assert next(_watch(watched, Position(int(entry), int(line)))).data["text"] == "later"


def test_what_a_step_printed_is_told_before_its_end(harness: FrontEndHarness, watched: Streams) -> None:
    seen = _watch(watched)
    assert next(seen).name == "state"
    harness.print("dep1", 1, "first", "second", step=0)
    harness.print("dep1", 3, "of the next one", step=1)
    harness.append("dep1", 3, Completed(0, 1), Dispatched(1, 1), Started(1, 1, "w1"))

    told = [next(seen) for _ in range(4)]

    assert [event.id for event in told] == ["2.1", "2.2", "3.2", "3.3"]
    assert [event.name for event in told] == ["output", "output", "state", "output"]


def test_a_state_waits_for_the_output_that_is_recorded_a_moment_later(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _watch(watched)
    assert next(seen).name == "state"

    def late(follower: streams.Follower) -> None:
        harness.print("dep1", 1, "its last words", step=0)

    monkeypatch.setattr(streams.Follower, "_let_output_come", late)
    harness.append("dep1", 3, Completed(0, 1))

    assert [next(seen).name for _ in range(2)] == ["output", "state"]


def test_the_end_waits_for_the_last_lines(harness: FrontEndHarness, watched: Streams) -> None:
    harness.print("dep1", 1, "a")
    seen = _watch(watched)
    assert [next(seen).name for _ in range(2)] == ["state", "output"]
    harness.finish("dep1", at=harness.clock.now())
    assert next(seen).data["status"] == "completed"

    harness.print("dep1", 2, "said with its last breath")

    assert [event.name for event in seen] == ["output", "end"]


def test_a_deployment_of_which_the_bus_says_nothing_is_not_read(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WARM", 0.0)
    monkeypatch.setattr(streams, "TICK", 0.001)
    readings: list[str] = []
    real = harness.store.last_line

    def note(id: str) -> int:
        readings.append(id)
        return real(id)

    monkeypatch.setattr(harness.store, "last_line", note)
    pings = events.stream(watched, "dep1", Position(), ping=0.02)
    next(pings)
    before = len(readings)
    for _ in range(20):
        assert next(pings) == b": ping\n\n"
    assert len(readings) <= before + 1
    harness.print("dep1", 1, "a")
    assert b"event: output" in next(pings)


def test_what_the_bus_did_not_say_of_a_deployment_is_found_all_the_same(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "WARM", 0.0)
    monkeypatch.setattr(streams, "NET", 0.05)
    seen = _watch(watched)
    next(seen)
    monkeypatch.setattr(harness.bus, "publish", lambda _: [])
    harness.print("dep1", 1, "a")
    assert next(seen).data["text"] == "a"


def test_this_process_listens_while_somebody_watches_and_no_longer(harness: FrontEndHarness, watched: Streams) -> None:
    assert not harness.bus.listened("hint.output")
    with watched.watch("dep1"), watched.watch("dep1"):
        assert harness.bus.listened("hint.output")
    assert not harness.bus.listened("hint.output")


def test_without_a_bus_a_deployment_is_watched_by_looking(
    harness: FrontEndHarness, watched: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise BusUnavailable("it is away")

    monkeypatch.setattr(harness.bus, "listen", refuse)
    monkeypatch.setattr(streams, "NET", 1000.0)
    monkeypatch.setattr(streams, "WARM", 0.0)
    seen = _watch(watched)
    next(seen)
    harness.print("dep1", 1, "a")
    assert next(seen).data["text"] == "a"
