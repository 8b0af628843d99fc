"""One lane of a worker: what it claims, what it parks, and what is free again. No thread, no waiting."""

from __future__ import annotations

import itertools

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, TOKEN, Message, encode, parse_reply
from re_workers.consumer import GRANT_PATIENCE
from re_workers.lane_consumer import PARKED, LaneConsumer
from tests.unit.workers.line import Line
from tests.unit.workers.rail import Rail
from tests.unit.workers.worker_harness import REPLIES, ManualClock, Parked

LANE = "oslo/b@1"
QUEUE = f"worker.rail.{LANE}"


class Track:
    """A lane, with the core's side in the test's own hands."""

    def __init__(self, capacity: int = 2) -> None:
        self.bus, self.clock, self.worker, self.steps = EmbeddedBus(), ManualClock(), Rail(), Parked()
        self.line = Line(self.bus)
        self.replies = self.bus.subscribe([REPLIES], 1000)
        self.lane = LaneConsumer(self.line, self.clock, self.worker, "W", LANE, capacity, self.steps)
        self.subscription = self.line.subscriptions[0]
        self._numbers = itertools.count()

    def send(self, attempt: str = "", subcommand: str = "Go") -> str:
        id = attempt or f"D/{next(self._numbers)}/1"
        parameters = {"command": "rail", "subcommand": subcommand, "to": LANE}
        body = encode({"parameters": parameters, "group": "g", "dynamic": {}, "notify": {}})
        self.bus.publish([Message(QUEUE, body, id, "D", REPLIES, {ATTEMPT: id}, direct=True)])
        return id

    def turn(self) -> list[Message]:
        self.lane.turn(0)
        deliveries = self.replies.take(1000, 0)
        self.replies.ack(deliveries)
        return [one.message for one in deliveries]

    def answer(self, claim: Message, event: str = "go") -> None:
        headers = {EVENT: event, ATTEMPT: claim.headers[ATTEMPT], TOKEN: claim.headers[TOKEN]}
        self.bus.publish([Message(claim.reply_to, b"{}", f"{event}/{claim.id}", headers=headers, direct=True)])

    def waiting(self) -> int:
        """Steps in the lane's queue that the lane does not hold."""
        other = self.bus.subscribe([QUEUE], 1000)
        count = len(other.take(1000, 0))
        other.close()
        return count


def test_a_step_of_a_lane_begins_by_grant_also_where_it_may_be_repeated() -> None:
    """The mark of a redelivery was lost on its way through the forwarder."""
    track = Track()
    attempt = track.send()
    (claim,) = track.turn()
    assert (claim.headers[ASKS], claim.reply_to) == ("1", f"re.control.W.rail.{LANE}")
    assert (track.worker.went, track.lane.running()) == ([], [attempt])
    track.answer(claim)
    track.turn()
    track.steps.run()
    (outcome,) = track.turn()
    assert (parse_reply(outcome.body).data, track.worker.went) == (LANE, [attempt])
    assert (track.worker.reserved, track.worker.freed) == ([(attempt, claim.headers[TOKEN])], [])


def test_what_the_worker_has_no_room_for_is_parked_and_not_claimed() -> None:
    track = Track()
    track.worker.room = 0
    attempt = track.send()
    assert track.turn() == []
    assert (track.lane.running(), track.waiting()) == ([], 0)
    track.worker.room = 1
    assert track.turn() == []  # it asks when something has changed
    track.lane.reconsider()
    (claim,) = track.turn()
    assert claim.headers[ATTEMPT] == attempt == track.lane.running()[0]


def test_what_is_parked_for_too_long_goes_back_for_another_process() -> None:
    track = Track()
    track.worker.room = 0
    track.send()
    track.turn()
    track.clock.time += PARKED
    track.turn()
    track.lane.resize(0)
    track.turn()
    assert track.waiting() == 1


def test_a_copy_of_a_parked_step_is_dropped() -> None:
    track = Track()
    track.worker.room = 0
    attempt = track.send()
    track.turn()
    track.send(attempt)
    track.turn()
    track.worker.room = 2
    track.lane.reconsider()
    assert [one.headers[ATTEMPT] for one in track.turn()] == [attempt]
    assert len(track.subscription.held()) == 1


def test_what_a_lost_connection_had_brought_is_claimed_on_the_next_one_alone() -> None:
    track = Track()
    track.worker.room = 0
    attempt = track.send()
    track.turn()
    track.line.lose()
    track.worker.room = 1
    track.lane.reconsider()
    (claim,) = track.turn()
    assert claim.headers[ATTEMPT] == attempt
    assert (track.subscription.wrongly, track.worker.reserved[0][0]) == ([], attempt)


@pytest.mark.parametrize("end", ["no-go", "cancel", "late"])
def test_what_will_not_begin_frees_its_own_reservation(end: str) -> None:
    track = Track()
    attempt = track.send()
    (claim,) = track.turn()
    if end == "late":
        track.clock.time += GRANT_PATIENCE
    else:
        track.answer(claim, end)
    track.turn()
    assert track.worker.freed == [(attempt, claim.headers[TOKEN])] == track.worker.reserved


def test_draining_frees_what_was_claimed_and_gives_back_what_was_parked() -> None:
    track = Track()
    attempt = track.send()
    (claim,) = track.turn()
    track.worker.room = 0
    track.send()
    track.turn()
    track.lane.drain()
    track.turn()
    assert track.worker.freed == [(attempt, claim.headers[TOKEN])]
    assert track.waiting() == 1
    assert track.lane.idle


def test_a_lane_without_capacity_takes_nothing_and_finishes_what_runs() -> None:
    track = Track()
    track.send()
    (claim,) = track.turn()
    track.answer(claim)
    track.lane.resize(0)
    track.turn()
    track.send()
    track.turn()
    assert track.waiting() == 1
    track.steps.run()
    (outcome,) = track.turn()
    assert parse_reply(outcome.body).status == "completed"


def test_a_lane_that_grows_takes_more() -> None:
    track = Track(1)
    for _ in range(3):
        track.send()
    assert len(track.turn()) == 1
    track.lane.resize(3)
    track.clock.time += 2_000
    track.turn()
    track.turn()
    assert len(track.lane.running()) == 3


def test_a_worker_that_fails_to_reserve_fails_that_step_and_no_other() -> None:
    track = Track()
    track.worker.breaks = ValueError("no map")
    track.send()
    (outcome,) = track.turn()
    assert parse_reply(outcome.body).message == "no room could be reserved: ValueError: no map"
    track.worker.breaks = None
    track.send()
    assert "/started/" in track.turn()[0].id
    assert len(track.lane.running()) == 1
