"""A worker is offered a step whose worker is gone: it asks for the claim, and goes on with what is recorded on the host."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest

from re_core.adapters.embedded.bus import EmbeddedBus
from re_core.wire.messages import (
    ASKS,
    ATTEMPT,
    EVENT,
    GRANT,
    MOVES,
    TOKEN,
    Message,
    parse_reply,
)
from re_core.wire.recorded import ADOPT, CLAIMED, RECORDED
from re_workers import Context, Declined, HandedOver, Worker, step
from re_workers.consumer import GRANT_PATIENCE
from re_workers.host import WorkerHost
from tests.unit.workers.rail import Rail
from tests.unit.workers.worker_harness import ManualClock, Parked, WorkerHarness


class Hosted(Worker):
    """What it starts is recorded on a host."""

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.leaves = False

    @step(recorded=True)
    def Run(self, ctx: Context, what: str = "x") -> str:
        """Runs there."""
        self.contexts.append(ctx)
        if self.leaves:
            raise HandedOver("it goes on there")
        ctx.check()
        return what

    @step(recorded=True, idempotent=True)
    def Again(self, ctx: Context) -> None:
        """May be repeated."""
        self.contexts.append(ctx)

    @step
    def Here(self, ctx: Context) -> None:
        """Is not recorded anywhere."""

    @step(recorded=True)
    def Refuse(self, ctx: Context) -> None:
        """Begins nothing."""
        raise Declined("the host is full")


class Side(WorkerHarness):
    """The core's side of a worker with recorded steps."""

    def __init__(self, parked: Parked, slots: int = 4) -> None:
        super().__init__(Hosted(), slots, parked)
        self.parked = parked

    @property
    def contexts(self) -> list[Context]:
        assert isinstance(self.worker, Hosted)
        return self.worker.contexts

    def offer(self, subcommand: str = "Run", moves: int = 1, of: str = "T", attempt: str = "D/7/1") -> list[Message]:
        """A step that another worker had begun; what is said to it."""
        headers = {ATTEMPT: attempt, GRANT: "1", ADOPT: "1", TOKEN: of, MOVES: str(moves), "re-timeout": "60"}
        self.send(subcommand, attempt=attempt, headers=headers)
        return self.said()

    def said(self) -> list[Message]:
        self.turn()
        return self.heard()

    def go(self, claim: Message, **headers: str) -> list[Message]:
        mine = {EVENT: "go", ATTEMPT: claim.headers[ATTEMPT], TOKEN: claim.headers[TOKEN], **headers}
        self.bus.publish([Message(claim.reply_to, b"{}", f"go/{claim.id}/{time.time_ns()}", headers=mine, direct=True)])
        return self.said()

    def begun(self, subcommand: str = "Run", attempt: str = "D/7/1") -> Message:
        """A step of its own that runs; its claim."""
        self.send(subcommand, attempt=attempt, grant=True)
        (claim,) = self.said()
        self.go(claim)
        return claim


@pytest.fixture
def side(parked: Parked) -> Side:
    return Side(parked)


# -- its own steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("subcommand", ["Run", "Again"])
def test_a_recorded_step_asks_before_it_begins_and_says_that_it_is_recorded(side: Side, subcommand: str) -> None:
    side.send(subcommand)
    (claim,) = side.said()
    assert (claim.headers[ASKS], claim.headers[RECORDED]) == ("1", "1")
    assert side.parked.work == []
    side.go(claim)
    assert len(side.parked.work) == 1


def test_a_step_that_is_not_recorded_says_nothing_of_it(side: Side) -> None:
    side.send("Here", grant=True)
    (claim,) = side.said()
    assert RECORDED not in claim.headers


def test_a_step_of_a_core_that_names_no_attempt_is_not_recorded(side: Side) -> None:
    side.send("Run", headers={})
    (claim,) = side.said()
    assert not {ASKS, RECORDED} & set(claim.headers)


def test_a_worker_that_stops_asks_its_recorded_steps_to_leave_and_says_that_they_go_on(side: Side) -> None:
    claim = side.begun()
    side.consumer.drain()
    (attempt,) = side.consumer._runs._running.values()
    assert (attempt.context.stopping.is_set(), attempt.context.cancelled.is_set()) == (True, False)
    assert isinstance(side.worker, Hosted)
    side.worker.leaves = True
    side.parked.run()
    (said,) = side.said()
    assert (said.headers[EVENT], said.headers[TOKEN], said.headers[ATTEMPT]) == (
        "released",
        claim.headers[TOKEN],
        "D/7/1",
    )
    assert (side.consumer.idle, side.consumer.handed_over) == (True, False)


def test_what_does_not_leave_in_time_is_not_cancelled_where_it_is_recorded(side: Side) -> None:
    side.begun()
    side.begun("Here", "D/8/1")
    side.consumer.abandon("the worker is stopping")
    recorded, other = side.consumer._runs._running.values()
    assert (recorded.context.cancelled.is_set(), other.context.cancelled.is_set()) == (False, True)


def test_a_quick_step_cannot_be_recorded() -> None:
    with pytest.raises(TypeError, match="quick"):

        class Wrong(Worker):
            @step(quick=True, recorded=True)
            def Run(self, ctx: Context) -> None:
                """Too quick."""


def test_a_worker_with_lanes_cannot_have_recorded_steps() -> None:
    class Both(Rail):
        @step(recorded=True)
        def There(self, ctx: Context, to: str) -> None:
            """Recorded."""

    with pytest.raises(TypeError, match="lanes"):
        WorkerHost(EmbeddedBus(), ManualClock(), [Both(a=1)])


# -- those of others ---------------------------------------------------------------------------------


def test_it_asks_for_the_claim_of_the_worker_that_is_gone(side: Side) -> None:
    (claim,) = side.offer(moves=3)
    wanted = {ATTEMPT: "D/7/1", TOKEN: "T", ASKS: "1", MOVES: "3", RECORDED: "1"}
    assert wanted.items() <= claim.headers.items()
    assert (claim.id, parse_reply(claim.body).status) == ("D/7/1/moved/3/T", "started")
    assert side.parked.work == []


def test_on_go_the_method_runs_and_knows_how_old_the_claim_is(side: Side) -> None:
    (claim,) = side.offer()
    before = time.monotonic()
    side.go(claim, **{CLAIMED: "90000"})
    side.parked.run()
    (outcome,) = side.said()
    (ctx,) = side.contexts
    assert (ctx.resumed, ctx.remaining, ctx.allowed) == (True, None, 60.0)
    assert ctx.claim.resumed
    assert ctx.claim.at is not None
    assert before - 90.0 <= ctx.claim.at <= time.monotonic() - 90.0
    assert (outcome.headers[TOKEN], parse_reply(outcome.body).status) == ("T", "completed")
    assert side.unsettled() == 0


def test_where_the_core_does_not_say_how_old_the_claim_is_that_is_unknown(side: Side) -> None:
    (claim,) = side.offer()
    side.go(claim)
    side.parked.run()
    assert side.contexts[0].claim == (True, None, ())


def test_a_later_attempt_names_those_before_it(side: Side) -> None:
    (claim,) = side.offer(attempt="D/7/3")
    side.go(claim)
    side.parked.run()
    assert side.contexts[0].claim.earlier == ("D/7/1", "D/7/2")


def test_on_no_go_nothing_runs_and_the_offer_is_settled(side: Side) -> None:
    (claim,) = side.offer()
    side.answer(claim, "no-go")
    assert (side.said(), side.parked.work, side.consumer.running()) == ([], [], [])
    assert side.unsettled() == 0


def test_an_offer_that_comes_twice_is_asked_for_once(side: Side) -> None:
    assert len(side.offer()) == 1
    assert side.offer() == []


def test_a_newer_offer_takes_the_place_of_the_one_that_waits(side: Side) -> None:
    side.offer(moves=1)
    (claim,) = side.offer(moves=2)
    assert claim.headers[MOVES] == "2"
    side.go(claim)
    assert len(side.parked.work) == 1
    side.parked.run()
    side.turn()
    assert side.unsettled() == 0


def test_what_waits_here_for_an_answer_to_a_claim_of_its_own_is_settled_with_the_offer(side: Side) -> None:
    """The broker had brought the message of the dead worker here, before the core noticed that it is dead."""
    side.send("Run", attempt="D/7/1", grant=True)
    (own,) = side.said()
    (claim,) = side.offer()
    assert own.headers[TOKEN] != claim.headers[TOKEN] == "T"
    side.answer(own, "no-go")
    side.turn()
    side.go(claim)
    assert len(side.parked.work) == 1


def test_what_still_runs_here_is_claimed_and_not_begun_again(side: Side) -> None:
    """The core thought that this worker was gone."""
    own = side.begun()
    (claim,) = side.offer(of=own.headers[TOKEN])
    assert (claim.headers[MOVES], claim.headers[TOKEN]) == ("1", own.headers[TOKEN])
    assert side.go(claim) == []
    assert len(side.parked.work) == 1
    side.parked.run()
    (outcome,) = side.said()
    assert outcome.headers[TOKEN] == own.headers[TOKEN]
    assert side.unsettled() == 0


def test_what_has_ended_here_is_told_again(side: Side) -> None:
    own = side.begun()
    side.parked.run()
    side.said()
    side.clock.time += 10_000
    (again,) = side.offer(of=own.headers[TOKEN])
    assert (again.id, parse_reply(again.body).status) == (f"D/7/1/outcome/{own.headers[TOKEN]}", "completed")


def test_a_worker_without_a_free_slot_leaves_the_offer_to_others(parked: Parked) -> None:
    side = Side(parked, slots=1)
    side.begun(attempt="D/1/1")
    assert side.offer() == []
    assert side.waits() == 1


def test_it_asks_again_until_it_is_answered(side: Side) -> None:
    (claim,) = side.offer()
    side.clock.time += GRANT_PATIENCE
    (again,) = side.said()
    assert (again.id, again.headers) == (claim.id, claim.headers)


def test_a_worker_that_stops_before_it_was_answered_gives_the_claim_back(side: Side) -> None:
    side.offer()
    side.consumer.drain()
    (said,) = side.said()
    assert (said.headers[EVENT], said.headers[TOKEN]) == ("released", "T")
    assert (side.consumer.running(), side.consumer.handed_over) == ([], False)


def test_a_cancel_that_overtakes_the_answer_is_one(side: Side) -> None:
    (claim,) = side.offer()
    side.answer(claim, "cancel")
    side.turn()
    side.parked.run()
    (ctx,) = side.contexts
    assert ctx.cancelled.is_set()


@pytest.mark.parametrize(
    ("subcommand", "why"),
    [("Here", "here hosted:Here is not recorded on its host"), ("There", "hosted has no step 'There'")],
)
def test_what_it_cannot_go_on_with_is_lost_and_says_why(side: Side, subcommand: str, why: str) -> None:
    (said,) = side.offer(subcommand)
    assert said.headers[EVENT] == "lost"
    assert f"no worker can go on with it: {why}" in json.loads(said.body)["reason"]


@pytest.mark.parametrize("headers", [{MOVES: "0"}, {MOVES: "x"}, {TOKEN: ""}])
def test_an_offer_that_does_not_name_its_claim_is_refused(side: Side, headers: Mapping[str, str]) -> None:
    mine = {ATTEMPT: "D/7/1", ADOPT: "1", TOKEN: "T", MOVES: "1", **headers}
    side.send("Run", attempt="D/7/1", headers=mine)
    side.turn()
    (letter,) = side.buried()
    assert "needs the headers re-token and re-moves" in letter.headers["re-dead-detail"]


def test_what_it_declines_after_all_is_declined_under_the_old_claim(side: Side) -> None:
    (claim,) = side.offer("Refuse")
    side.go(claim)
    side.parked.run()
    (said,) = side.said()
    assert (said.headers[EVENT], said.headers[TOKEN]) == ("declined", "T")
