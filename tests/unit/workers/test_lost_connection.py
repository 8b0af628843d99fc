"""The worker's loop when its connection is lost, at every place where that can happen. No thread, no waiting."""

from __future__ import annotations

from typing import Literal

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import ATTEMPT, EVENT, TOKEN, parse_reply
from re_workers.consumer import GRANT_PATIENCE, TELL_AGAIN
from tests.unit.workers.desk import Desk, Parked, Work


@pytest.fixture
def parked() -> Parked:
    return Parked()


@pytest.fixture
def desk(parked: Parked) -> Desk:
    return Desk(Work(), slots=2, spawn=parked)


def _done(desk: Desk) -> list[str]:
    assert isinstance(desk.worker, Work)
    return desk.worker.done


def test_a_claim_that_waits_is_dropped_with_its_connection_and_the_step_claimed_anew(desk: Desk) -> None:
    attempt = desk.send(grant=True)
    desk.turn()
    desk.line.lose()
    desk.turn()
    first, declined, second = desk.heard()
    assert (declined.headers[EVENT], declined.headers[TOKEN]) == ("declined", first.headers[TOKEN])
    assert second.headers[ATTEMPT] == attempt
    assert second.headers[TOKEN] != first.headers[TOKEN]
    desk.answer(first, "go")
    desk.turn()
    assert desk.consumer.running() == [attempt]
    desk.answer(second, "no-go")
    desk.turn()
    assert (_done(desk), desk.consumer.running()) == ([], [])
    assert desk.unsettled() == 0


def test_a_worker_that_is_asked_declines_every_claim_that_it_has_dropped(desk: Desk) -> None:
    """The core may have written down the first of them as the claimant, and its word may have gone with a queue."""
    attempt = desk.send(grant=True)
    desk.turn()
    for _ in range(2):
        desk.line.lose()
        desk.turn()
    said = desk.heard()
    claims = [one.headers[TOKEN] for one in said if one.headers.get(EVENT) is None]
    desk.answer(next(one for one in said if one.headers[TOKEN] == claims[-1]), "no-go")
    desk.turn()
    desk.heard()
    desk.inquire(attempt)
    desk.turn()
    declined = desk.heard()
    assert {one.headers[EVENT] for one in declined} == {"declined"}
    assert [one.headers[TOKEN] for one in declined] == claims[:2]


def test_a_grant_that_came_over_the_lost_connection_begins_nothing(desk: Desk, parked: Parked) -> None:
    desk.send(grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.answer(claim, "go")
    desk.line.lose()
    desk.turn()
    assert parked.work == []


def test_a_grant_is_too_late_for_a_process_that_stood_still(desk: Desk, parked: Parked) -> None:
    desk.send(grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.answer(claim, "go")
    desk.clock.time += GRANT_PATIENCE
    desk.turn()
    assert parked.work == []
    assert desk.words() == ["declined"]
    assert desk.unsettled() == 0


@pytest.mark.parametrize("breaks", ["before", "after", "publishing"])
def test_a_claim_of_which_nobody_knows_whether_it_arrived_is_dropped_and_never_sent_again(
    desk: Desk, parked: Parked, breaks: Literal["before", "after", "publishing"]
) -> None:
    attempt = desk.send(grant=True)
    desk.line.breaks = breaks
    desk.turn()
    arrived = desk.heard()
    assert len(arrived) == (breaks == "after")
    desk.turn()
    declined, *claims = desk.heard()
    assert declined.headers[EVENT] == "declined"
    assert [one.headers[TOKEN] for one in arrived] in ([], [declined.headers[TOKEN]])
    assert [one.headers[ATTEMPT] for one in claims] == ([] if breaks == "publishing" else [attempt])
    for claim in claims:
        desk.answer(claim, "go")
        desk.turn()
        parked.run()
        desk.turn()
        assert (_done(desk), desk.words()) == ([attempt], ["completed"])
    assert desk.unsettled() == 0


def test_a_claim_that_could_not_be_published_is_dropped(desk: Desk) -> None:
    desk.send(grant=True)
    desk.line.away = True
    with pytest.raises(BusUnavailable):
        desk.turn()
    desk.line.away = False
    desk.turn()
    assert desk.words() == ["declined"]
    assert desk.unsettled() == 0


@pytest.mark.parametrize("grant", [True, False])
def test_a_running_step_goes_on_over_a_lost_connection_and_its_copy_is_recognised(
    desk: Desk, parked: Parked, grant: bool
) -> None:
    attempt = desk.send(grant=grant)
    desk.turn()
    [started] = desk.heard()
    desk.answer(started, "go")
    desk.turn()
    desk.line.lose()
    desk.turn()
    desk.turn()
    assert desk.words() == ([] if grant else ["started"])
    assert desk.consumer.running() == [attempt]
    parked.run()
    assert parked.work == []
    desk.turn()
    [outcome] = desk.heard()
    assert outcome.headers[TOKEN] == started.headers[TOKEN]
    assert (_done(desk), desk.consumer.running(), desk.unsettled()) == ([attempt], [], 0)


def test_what_runs_holds_its_new_delivery_until_its_outcome_is_taken(desk: Desk) -> None:
    desk.send()
    desk.turn()
    desk.line.lose()
    desk.turn()
    desk.turn()
    assert desk.unsettled() == 1


def test_the_outcome_of_a_step_that_ended_while_the_bus_was_away_is_told_and_its_copy_dropped(
    desk: Desk, parked: Parked
) -> None:
    attempt = desk.send()
    desk.turn()
    parked.run()
    desk.line.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            desk.turn()
    assert desk.consumer.running() == [attempt]
    desk.line.away = False
    desk.line.lose()
    for _ in range(3):
        desk.turn()
    assert desk.words() == ["started", "completed"]
    assert (_done(desk), desk.unsettled()) == ([attempt], 0)


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_an_outcome_survives_a_connection_that_is_lost_under_it(
    desk: Desk, parked: Parked, breaks: Literal["before", "after"]
) -> None:
    desk.send()
    desk.turn()
    parked.run()
    desk.line.breaks = breaks
    for _ in range(3):
        desk.turn()
    told = [message.id for message in desk.heard() if "/outcome/" in message.id]
    assert len(set(told)) == 1
    assert desk.unsettled() == 0


def test_whoever_asks_again_for_a_step_that_is_over_gets_its_outcome_again_but_not_at_once(
    desk: Desk, parked: Parked
) -> None:
    attempt = desk.send("Run")
    desk.turn()
    parked.run()
    desk.turn()
    _, outcome = desk.heard()
    desk.send("Run", attempt=attempt)
    desk.turn()
    assert desk.heard() == []
    desk.clock.time += TELL_AGAIN
    for _ in range(2):
        desk.send("Run", attempt=attempt)
        desk.turn()
    assert desk.heard() == [outcome]
    assert (_done(desk), desk.unsettled()) == ([attempt], 0)


def test_whoever_asks_again_for_a_step_that_runs_hears_that_it_has_begun(desk: Desk) -> None:
    attempt = desk.send()
    desk.turn()
    desk.send(attempt=attempt)
    desk.turn()
    first, second = desk.heard()
    assert first == second
    assert desk.consumer.running() == [attempt]


def test_a_new_connection_brings_no_more_than_there_are_free_hands(desk: Desk, parked: Parked) -> None:
    running = desk.send()
    desk.turn()
    desk.line.lose()
    waiting = [desk.send() for _ in range(3)]
    for _ in range(4):
        desk.clock.time += 1_000
        desk.turn()
        assert len(desk.consumer.running()) <= 2
    assert desk.consumer.running() == [running, waiting[0]]
    for _ in range(4):
        while parked.work:
            parked.run()
        desk.clock.time += 1_000
        desk.turn()
        desk.turn()
    assert _done(desk) == [running, *waiting]
    assert desk.unsettled() == 0


def test_what_a_new_connection_brings_before_anybody_could_limit_it_goes_back(desk: Desk) -> None:
    running = desk.send()
    desk.turn()
    others = [desk.send() for _ in range(2)]
    desk.line.breaks = "taking"
    desk.turn()
    assert (desk.consumer.running(), desk.subscription.held()) == ([running], [])
    desk.clock.time += 1_000
    desk.turn()
    desk.turn()
    assert desk.consumer.running() == [running, others[0]]


def test_a_new_connection_is_told_how_many_hands_are_free_though_they_are_as_many_as_before(desk: Desk) -> None:
    desk.send(timeout="7200")
    desk.turn()
    for _ in range(2):
        desk.line.lose()
        desk.turn()
    assert [count for _, count in desk.subscription.allowed] == [1, 1]


def test_when_nothing_is_held_any_more_the_hands_are_as_many_as_before(desk: Desk, parked: Parked) -> None:
    desk.send()
    desk.turn()
    desk.line.lose()
    desk.turn()
    desk.turn()
    parked.run()
    desk.turn()
    desk.turn()
    assert [count for _, count in desk.subscription.allowed] == [1, 2]
    desk.line.lose()
    desk.turn()
    assert len(desk.subscription.allowed) == 2


def test_a_reply_to_a_queue_that_was_deleted_waits_in_a_new_one(desk: Desk, parked: Parked) -> None:
    desk.send(reply_to="re.reply.7")
    desk.turn()
    parked.run()
    desk.turn()
    heard = desk.bus.subscribe(["re.reply.7"], 10).take(10, 0)
    assert [parse_reply(one.message.body).status for one in heard] == ["started", "completed"]
    assert desk.unsettled() == 0


def test_a_reply_that_finds_no_queue_is_kept_until_it_finds_one(desk: Desk, parked: Parked) -> None:
    desk.send(reply_to="somebody's own")
    desk.turn()
    parked.run()
    desk.turn()
    desk.bus.declare("somebody's own")
    desk.clock.time += 1_000
    desk.turn()
    heard = desk.bus.subscribe(["somebody's own"], 10).take(10, 0)
    assert [parse_reply(one.message.body).status for one in heard] == ["started", "completed"]
    assert desk.unsettled() == 0


def test_until_it_finds_one_its_step_is_not_settled(desk: Desk, parked: Parked) -> None:
    desk.send(reply_to="somebody's own")
    desk.turn()
    parked.run()
    for _ in range(3):
        desk.clock.time += 1_000
        desk.turn()
    assert desk.unsettled() == 1


def test_whoever_has_no_queue_for_ten_minutes_is_taken_to_be_gone(desk: Desk, parked: Parked) -> None:
    desk.send(reply_to="somebody's own")
    desk.turn()
    parked.run()
    desk.turn()
    desk.clock.time += 600_000
    desk.turn()
    assert desk.consumer.idle
    assert desk.unsettled() == 0


def test_a_word_to_people_that_nobody_carries_is_a_dead_letter(desk: Desk, parked: Parked) -> None:
    desk.send("Run", {"say": "x", "transport": "pigeon"})
    desk.turn()
    parked.run()
    desk.turn()
    assert desk.words() == ["started", "output: x", "completed"]
    [letter] = desk.buried()
    assert (letter.headers["re-dead-reason"], letter.headers["re-dead-queue"]) == ("unroutable", "notify.pigeon")
    assert b'"slug":"slug"' in letter.body


def test_limits_are_kept_though_the_bus_is_away(desk: Desk, parked: Parked) -> None:
    desk.line.away = True
    desk.send("Patient", timeout="1")
    with pytest.raises(BusUnavailable):
        desk.turn()
    desk.clock.time += 60_000
    with pytest.raises(BusUnavailable):
        desk.turn()
    parked.run()
    desk.line.away = False
    desk.turn()
    assert [parse_reply(one.body).message for one in desk.heard()] == [None, "timed out after 1 s"]
