"""Ends of a step that are no outcome: lost, declined, handed over; and what outlives its process."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import ATTEMPT, EVENT, TOKEN, WORKER, parse_event
from re_workers import Context, Declined, HandedOver, Lost, Worker, step
from re_workers.consumer import RESEND_AFTER
from re_workers.outbox import GONE
from re_workers.outcomes import MAX_TEXT
from re_workers.runs import STUBBORN
from re_workers.testing import run
from tests.unit.workers.worker_harness import REPLIES, Parked, WorkerHarness

ENDS = {"lost": Lost, "declined": Declined, "handed over": HandedOver}


class Remote(Worker):
    """Starts what goes on without it."""

    outlives = True

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.told: list[str] = []
        self.fails = False
        #: in place of the parameter, which must be one that travels
        self.why = ""

    @step
    def End(self, ctx: Context, how: str = "", why: str = "no runner", heeds: bool = False) -> None:
        """Ends in the way that it is told."""
        self.contexts.append(ctx)
        ctx.output("begun")
        if heeds:
            ctx.heeds_cancel()
        if how in ENDS:
            raise ENDS[how](self.why or why)

    def settled(self, attempt_id: str) -> None:
        self.told.append(attempt_id)
        if self.fails:
            raise ValueError("no")


@pytest.fixture
def harness(parked: Parked) -> WorkerHarness:
    return WorkerHarness(Remote(), slots=2, spawn=parked)


def _remote(harness: WorkerHarness) -> Remote:
    assert isinstance(harness.worker, Remote)
    return harness.worker


def _begin(harness: WorkerHarness, how: str = "", **more: Any) -> str:
    attempt = harness.send("End", {"how": how, **more})
    harness.turn()
    harness.heard()
    return attempt


def test_a_lost_step_says_so_in_place_of_its_outcome(harness: WorkerHarness, parked: Parked) -> None:
    attempt = _begin(harness, "lost", why="the runner is silent")
    parked.run()
    harness.turn()
    output, lost = harness.heard()
    token = lost.headers[TOKEN]
    assert output.key == "output"
    assert lost.headers == {ATTEMPT: attempt, TOKEN: token, WORKER: "W", EVENT: "lost"}
    assert (lost.id, lost.key) == (f"{attempt}/lost/{token}", REPLIES)
    assert parse_event(lost.body) == {"reason": "the runner is silent"}
    assert (harness.consumer.running(), harness.unsettled()) == ([], 0)


def test_a_loss_is_said_again_when_the_core_inquires_or_a_copy_comes(harness: WorkerHarness, parked: Parked) -> None:
    attempt = _begin(harness, "lost")
    parked.run()
    harness.turn()
    *_, lost = harness.heard()
    harness.inquire(attempt)
    harness.turn()
    assert [(one.id, one.body, one.headers) for one in harness.heard()] == [(lost.id, lost.body, lost.headers)]
    harness.clock.time += RESEND_AFTER
    harness.send("End", attempt=attempt)
    harness.turn()
    assert [one.id for one in harness.heard()] == [lost.id]
    assert not parked.work  # the copy is not begun


def test_a_loss_that_the_bus_did_not_take_is_sent_when_it_is_back(harness: WorkerHarness, parked: Parked) -> None:
    attempt = _begin(harness, "lost")
    parked.run()
    harness.line.away = True
    with pytest.raises(BusUnavailable):
        harness.turn()
    assert (harness.consumer.running(), _remote(harness).told) == ([attempt], [])
    harness.line.away = False
    harness.turn()
    assert harness.words()[-1] == "lost"
    assert (harness.consumer.running(), _remote(harness).told) == ([], [attempt])


def test_a_reason_of_any_length_and_with_any_character_travels(harness: WorkerHarness, parked: Parked) -> None:
    _remote(harness).why = "\ud800" + "x" * 2_000_000
    _begin(harness, "lost")
    parked.run()
    harness.turn()
    *_, lost = harness.heard()
    assert len(parse_event(lost.body)["reason"]) <= MAX_TEXT + 20


def test_a_declined_step_goes_back_with_the_token_of_its_claim(harness: WorkerHarness, parked: Parked) -> None:
    attempt = harness.send("End", {"how": "declined"}, grant=True)
    harness.turn()
    (claim,) = harness.heard()
    harness.answer(claim, "go")
    harness.turn()
    parked.run()
    harness.turn()
    *_, declined = harness.heard()
    assert declined.id == f"{attempt}/declined/{claim.headers[TOKEN]}"
    assert parse_event(declined.body) == {"reason": "no runner"}
    assert (harness.consumer.running(), harness.unsettled()) == ([], 0)


def test_of_what_is_handed_over_nothing_is_said(harness: WorkerHarness, parked: Parked) -> None:
    attempt = _begin(harness, "handed over")
    assert not harness.consumer.handed_over
    parked.run()
    harness.turn()
    assert harness.words() == ["output: begun"]
    assert harness.consumer.handed_over
    harness.inquire(attempt)
    harness.turn()
    assert (harness.words(), harness.consumer.running(), _remote(harness).told) == ([], [], [])
    assert harness.unsettled() == 0


def test_what_was_parted_from_its_delivery_is_handed_over_too(harness: WorkerHarness, parked: Parked) -> None:
    _begin(harness, "handed over")
    harness.line.lose()
    harness.turn()  # the broker delivers it again, and it is recognised
    parked.run()
    harness.turn()
    assert harness.consumer.running() == []


def test_a_worker_is_told_what_the_bus_has_taken_and_not_before(harness: WorkerHarness, parked: Parked) -> None:
    attempt = _begin(harness)
    parked.run()
    assert _remote(harness).told == []
    harness.turn()
    assert _remote(harness).told == [attempt]
    harness.turn()
    assert _remote(harness).told == [attempt]


def test_what_found_no_queue_is_not_called_settled(harness: WorkerHarness, parked: Parked) -> None:
    attempt = harness.send("End", reply_to="somewhere.else")
    harness.turn()
    parked.run()
    harness.turn()
    assert _remote(harness).told == []
    harness.bus.declare("somewhere.else")
    harness.clock.time += 1_000
    harness.turn()
    assert _remote(harness).told == [attempt]


def test_what_no_queue_took_in_ten_minutes_is_never_called_settled(harness: WorkerHarness, parked: Parked) -> None:
    harness.send("End", reply_to="somewhere.else")
    harness.turn()
    parked.run()
    harness.turn()
    harness.clock.time += GONE + 1_000
    harness.turn()
    harness.bus.declare("somewhere.else")
    harness.clock.time += 1_000
    harness.turn()
    assert (_remote(harness).told, harness.consumer.unsent()) == ([], [])


def test_a_worker_that_fails_on_it_stops_nothing_else(
    harness: WorkerHarness, parked: Parked, caplog: pytest.LogCaptureFixture
) -> None:
    _remote(harness).fails = True
    _begin(harness)
    _begin(harness)
    parked.run()
    parked.run()
    harness.turn()
    assert len(_remote(harness).told) == 2
    assert "the worker failed to hear" in caplog.text


def test_what_outlives_its_process_is_asked_to_leave_and_not_cancelled(harness: WorkerHarness, parked: Parked) -> None:
    _begin(harness, "handed over")
    harness.consumer.drain()
    harness.consumer.abandon("the worker is stopping")
    parked.run()
    (ctx,) = _remote(harness).contexts
    assert (ctx.stopping.is_set(), ctx.cancelled.is_set()) == (True, False)
    harness.turn()
    assert (harness.words(), harness.consumer.idle) == (["output: begun"], True)


def test_a_step_that_heeds_its_cancel_is_not_said_to_ignore_it(harness: WorkerHarness, parked: Parked) -> None:
    attempt, other = _begin(harness, heeds=True), _begin(harness)
    heeding, ignoring = (harness.consumer._runs._running[one] for one in (attempt, other))
    heeding.context.heeds_cancel()
    for one in (attempt, other):
        harness.cancel(one)
    harness.turn()
    harness.clock.time += STUBBORN
    harness.turn()
    assert [("asked to stop" in one) for one in harness.words()] == [True]
    assert (heeding.complained, ignoring.complained) == (False, True)


@pytest.mark.parametrize("how", sorted(ENDS))
def test_an_author_can_test_such_an_end(how: str) -> None:
    result = run(Remote(), "remote:End", {"how": how, "why": "because"})
    assert (result.status, result.message, result.output) == (how, "because", ["begun"])
