"""The worker's loop when its connection is lost, at every place where that can happen. No thread, no waiting."""

from __future__ import annotations

from typing import Literal

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import ATTEMPT, EVENT, TOKEN, parse_reply
from re_workers.consumer import GRANT_PATIENCE, RESEND_AFTER
from tests.unit.workers.worker_harness import Parked, Work, WorkerHarness, end_while_the_bus_is_away


def _done(harness: WorkerHarness) -> list[str]:
    assert isinstance(harness.worker, Work)
    return harness.worker.done


def test_a_claim_that_waits_is_dropped_with_its_connection_and_the_step_claimed_anew(harness: WorkerHarness) -> None:
    attempt = harness.send(grant=True)
    harness.turn()
    harness.line.lose()
    harness.turn()
    first, declined, second = harness.heard()
    assert (declined.headers[EVENT], declined.headers[TOKEN]) == ("declined", first.headers[TOKEN])
    assert second.headers[ATTEMPT] == attempt
    assert second.headers[TOKEN] != first.headers[TOKEN]
    harness.answer(first, "go")
    harness.turn()
    assert harness.consumer.running() == [attempt]
    harness.answer(second, "no-go")
    harness.turn()
    assert (_done(harness), harness.consumer.running()) == ([], [])
    assert harness.unsettled() == 0


def test_a_worker_that_is_asked_declines_every_claim_that_it_has_dropped(harness: WorkerHarness) -> None:
    """The core may have written down the first of them as the claimant, and its word may have gone with a queue."""
    attempt = harness.send(grant=True)
    harness.turn()
    for _ in range(2):
        harness.line.lose()
        harness.turn()
    said = harness.heard()
    claims = [one.headers[TOKEN] for one in said if one.headers.get(EVENT) is None]
    harness.answer(next(one for one in said if one.headers[TOKEN] == claims[-1]), "no-go")
    harness.turn()
    harness.heard()
    harness.inquire(attempt)
    harness.turn()
    declined = harness.heard()
    assert {one.headers[EVENT] for one in declined} == {"declined"}
    assert [one.headers[TOKEN] for one in declined] == claims[:2]


def test_a_grant_that_came_over_the_lost_connection_begins_nothing(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "go")
    harness.line.lose()
    harness.turn()
    assert parked.work == []


def test_a_grant_is_too_late_for_a_process_that_stood_still(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "go")
    harness.clock.time += GRANT_PATIENCE
    harness.turn()
    assert parked.work == []
    assert harness.words() == ["declined"]
    assert harness.unsettled() == 0


@pytest.mark.parametrize("breaks", ["before", "after", "publishing"])
def test_a_claim_of_which_nobody_knows_whether_it_arrived_is_dropped_and_never_sent_again(
    harness: WorkerHarness, parked: Parked, breaks: Literal["before", "after", "publishing"]
) -> None:
    attempt = harness.send(grant=True)
    harness.line.breaks = breaks
    harness.turn()
    arrived = harness.heard()
    assert len(arrived) == (breaks == "after")
    harness.turn()
    declined, *claims = harness.heard()
    assert declined.headers[EVENT] == "declined"
    assert [one.headers[TOKEN] for one in arrived] in ([], [declined.headers[TOKEN]])
    assert [one.headers[ATTEMPT] for one in claims] == ([] if breaks == "publishing" else [attempt])
    for claim in claims:
        harness.answer(claim, "go")
        harness.turn()
        parked.run()
        harness.turn()
        assert (_done(harness), harness.words()) == ([attempt], ["completed"])
    assert harness.unsettled() == 0


def test_a_claim_that_could_not_be_published_is_dropped(harness: WorkerHarness) -> None:
    harness.send(grant=True)
    harness.line.away = True
    with pytest.raises(BusUnavailable):
        harness.turn()
    harness.line.away = False
    harness.turn()
    assert harness.words() == ["declined"]
    assert harness.unsettled() == 0


@pytest.mark.parametrize("grant", [True, False])
def test_a_running_step_goes_on_over_a_lost_connection_and_its_copy_is_recognised(
    harness: WorkerHarness, parked: Parked, grant: bool
) -> None:
    attempt = harness.send(grant=grant)
    harness.turn()
    [started] = harness.heard()
    harness.answer(started, "go")
    harness.turn()
    harness.line.lose()
    harness.turn()
    harness.turn()
    assert harness.words() == ([] if grant else ["started"])
    assert harness.consumer.running() == [attempt]
    parked.run()
    assert parked.work == []
    harness.turn()
    [outcome] = harness.heard()
    assert outcome.headers[TOKEN] == started.headers[TOKEN]
    assert (_done(harness), harness.consumer.running(), harness.unsettled()) == ([attempt], [], 0)


def test_what_runs_holds_its_new_delivery_until_its_outcome_is_taken(harness: WorkerHarness) -> None:
    harness.send()
    harness.turn()
    harness.line.lose()
    harness.turn()
    harness.turn()
    assert harness.unsettled() == 1


def test_the_outcome_of_a_step_that_ended_while_the_bus_was_away_is_told_and_its_copy_dropped(
    harness: WorkerHarness, parked: Parked
) -> None:
    attempt = end_while_the_bus_is_away(harness, parked)
    assert harness.consumer.running() == [attempt]
    harness.line.away = False
    harness.line.lose()
    for _ in range(3):
        harness.turn()
    assert harness.words() == ["started", "completed"]
    assert (_done(harness), harness.unsettled()) == ([attempt], 0)


@pytest.mark.parametrize("breaks", ["before", "after"])
def test_an_outcome_survives_a_connection_that_is_lost_under_it(
    harness: WorkerHarness, parked: Parked, breaks: Literal["before", "after"]
) -> None:
    harness.send()
    harness.turn()
    parked.run()
    harness.line.breaks = breaks
    for _ in range(3):
        harness.turn()
    told = [message.id for message in harness.heard() if "/outcome/" in message.id]
    assert len(set(told)) == 1
    assert harness.unsettled() == 0


def test_whoever_asks_again_for_a_step_that_is_over_gets_its_outcome_again_but_not_at_once(
    harness: WorkerHarness, parked: Parked
) -> None:
    attempt = harness.send("Run")
    harness.turn()
    parked.run()
    harness.turn()
    _, outcome = harness.heard()
    harness.send("Run", attempt=attempt)
    harness.turn()
    assert harness.heard() == []
    harness.clock.time += RESEND_AFTER
    for _ in range(2):
        harness.send("Run", attempt=attempt)
        harness.turn()
    assert harness.heard() == [outcome]
    assert (_done(harness), harness.unsettled()) == ([attempt], 0)


def test_whoever_asks_again_for_a_step_that_runs_hears_that_it_has_begun(harness: WorkerHarness) -> None:
    attempt = harness.send()
    harness.turn()
    harness.send(attempt=attempt)
    harness.turn()
    first, second = harness.heard()
    assert first == second
    assert harness.consumer.running() == [attempt]


def test_a_new_connection_brings_no_more_than_there_are_free_hands(harness: WorkerHarness, parked: Parked) -> None:
    running = harness.send()
    harness.turn()
    harness.line.lose()
    waiting = [harness.send() for _ in range(3)]
    for _ in range(4):
        harness.clock.time += 1_000
        harness.turn()
        assert len(harness.consumer.running()) <= 2
    assert harness.consumer.running() == [running, waiting[0]]
    for _ in range(4):
        while parked.work:
            parked.run()
        harness.clock.time += 1_000
        harness.turn()
        harness.turn()
    assert _done(harness) == [running, *waiting]
    assert harness.unsettled() == 0


def test_what_a_new_connection_brings_before_anybody_could_limit_it_goes_back(harness: WorkerHarness) -> None:
    running = harness.send()
    harness.turn()
    others = [harness.send() for _ in range(2)]
    harness.line.breaks = "taking"
    harness.turn()
    assert (harness.consumer.running(), harness.subscription.held()) == ([running], [])
    harness.clock.time += 1_000
    harness.turn()
    harness.turn()
    assert harness.consumer.running() == [running, others[0]]


def test_a_new_connection_is_told_how_many_hands_are_free_though_they_are_as_many_as_before(
    harness: WorkerHarness,
) -> None:
    harness.send(timeout="7200")
    harness.turn()
    for _ in range(2):
        harness.line.lose()
        harness.turn()
    assert [count for _, count in harness.subscription.allowed] == [1, 1]


def test_when_nothing_is_held_any_more_the_hands_are_as_many_as_before(harness: WorkerHarness, parked: Parked) -> None:
    harness.send()
    harness.turn()
    harness.line.lose()
    harness.turn()
    harness.turn()
    parked.run()
    harness.turn()
    harness.turn()
    assert [count for _, count in harness.subscription.allowed] == [1, 2]
    harness.line.lose()
    harness.turn()
    assert len(harness.subscription.allowed) == 2


def _reply_to(harness: WorkerHarness, parked: Parked, queue: str) -> None:
    """Run a step to its end whose replies go to this queue."""
    harness.send(reply_to=queue)
    harness.turn()
    parked.run()
    harness.turn()


def _heard_on(harness: WorkerHarness, queue: str) -> list[str]:
    """The statuses of the replies on this queue."""
    heard = harness.bus.subscribe([queue], 10).take(10, 0)
    return [parse_reply(one.message.body).status for one in heard]


def test_a_reply_to_a_queue_that_was_deleted_waits_in_a_new_one(harness: WorkerHarness, parked: Parked) -> None:
    _reply_to(harness, parked, "re.reply.7")
    assert _heard_on(harness, "re.reply.7") == ["started", "completed"]
    assert harness.unsettled() == 0


def test_a_reply_that_finds_no_queue_is_kept_until_it_finds_one(harness: WorkerHarness, parked: Parked) -> None:
    _reply_to(harness, parked, "somebody's own")
    harness.bus.declare("somebody's own")
    harness.clock.time += 1_000
    harness.turn()
    assert _heard_on(harness, "somebody's own") == ["started", "completed"]
    assert harness.unsettled() == 0


def test_until_it_finds_one_its_step_is_not_settled(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(reply_to="somebody's own")
    harness.turn()
    parked.run()
    for _ in range(3):
        harness.clock.time += 1_000
        harness.turn()
    assert harness.unsettled() == 1


def test_whoever_has_no_queue_for_ten_minutes_is_taken_to_be_gone(harness: WorkerHarness, parked: Parked) -> None:
    harness.send(reply_to="somebody's own")
    harness.turn()
    parked.run()
    harness.turn()
    harness.clock.time += 600_000
    harness.turn()
    assert harness.consumer.idle
    assert harness.unsettled() == 0


def test_a_word_to_people_that_nobody_carries_is_a_dead_letter(harness: WorkerHarness, parked: Parked) -> None:
    harness.send("Run", {"say": "x", "transport": "pigeon"})
    harness.turn()
    parked.run()
    harness.turn()
    assert harness.words() == ["started", "output: x", "completed"]
    [letter] = harness.buried()
    assert (letter.headers["re-dead-reason"], letter.headers["re-dead-queue"]) == ("unroutable", "notify.pigeon")
    assert b'"slug":"slug"' in letter.body


def test_limits_are_kept_though_the_bus_is_away(harness: WorkerHarness, parked: Parked) -> None:
    harness.line.away = True
    harness.send("Patient", timeout="1")
    with pytest.raises(BusUnavailable):
        harness.turn()
    harness.clock.time += 60_000
    with pytest.raises(BusUnavailable):
        harness.turn()
    parked.run()
    harness.line.away = False
    harness.turn()
    assert [parse_reply(one.body).message for one in harness.heard()] == [None, "timed out after 1 s"]
