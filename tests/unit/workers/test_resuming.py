"""A process goes on with what another one had begun: it asks for the claim, and does nothing before the core's answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from re_core.errors import BadMessage, BusUnavailable
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, MOVES, TOKEN, WORKER, Message, parse_reply
from re_workers import Context, HandedOver, Worker, step
from re_workers.consumer import GRANT_PATIENCE, StepConsumer
from re_workers.saved import attempt_of, read
from tests.unit.workers.worker_harness import Parked, WorkerHarness


class Far(Worker):
    """What it starts goes on without it."""

    outlives = True

    def __init__(self) -> None:
        self.contexts: list[Context] = []
        self.refusals: list[str] = []
        self.reported: list[str] = []
        self.hands_over = False

    @step
    def Run(self, ctx: Context, what: str = "x") -> Any:
        """Runs far away."""
        self.contexts.append(ctx)
        ctx.output("here")
        if self.hands_over:
            raise HandedOver("another process has it")
        return {"what": what}

    def refused(self, attempt_id: str) -> None:
        self.refusals.append(attempt_id)

    def settled(self, attempt_id: str) -> None:
        self.reported.append(attempt_id)


class Pair:
    """One process that began a run, and another one that goes on with it."""

    def __init__(self, parked: Parked) -> None:
        self.parked = parked
        self.first = WorkerHarness(Far(), slots=2, spawn=parked)
        self.worker = Far()
        self.clock = self.first.clock
        self.consumer = StepConsumer(self.first.line, self.clock, self.worker, "V", 2, parked)

    def begun(self, grant: bool = True) -> tuple[bytes, str]:
        """What the first process saved, and the token of its claim."""
        self.first.send("Run", {"what": "ü"}, grant=grant)
        self.first.turn()
        (claim,) = self.first.heard()
        if grant:
            self.first.answer(claim, "go")
            self.first.turn()
        (running,) = self.first.consumer._runs._running.values()
        return running.context.saved(), claim.headers[TOKEN]

    def resume(self, saved: bytes, moves: int = 1) -> list[Message]:
        self.consumer.resume(read(saved), moves)
        return self.turn()

    def turn(self) -> list[Message]:
        self.consumer.turn(0)
        return self.first.heard()

    def go(self, claim: Message) -> list[Message]:
        self.first.answer(claim, "go")
        return self.turn()


@pytest.fixture
def pair(parked: Parked) -> Pair:
    return Pair(parked)


def test_it_asks_at_once_and_not_after_the_next_delivery(pair: Pair) -> None:
    saved, _ = pair.begun()
    pair.consumer.resume(read(saved), 1)
    taken: list[int] = []
    take = pair.first.line.subscriptions[1].take

    def waiting(limit: int, timeout: float) -> list[Any]:
        taken.append(len(pair.first.heard()))
        return take(limit, 0)

    pair.first.line.subscriptions[1].take = waiting  # type: ignore[method-assign]
    pair.consumer.turn(1)
    assert taken == [1]


@pytest.mark.parametrize("grant", [True, False])
def test_it_asks_for_the_claim_with_the_old_token_and_its_own_name(pair: Pair, grant: bool) -> None:
    saved, token = pair.begun(grant)
    (claim,) = pair.resume(saved, 7)
    attempt = attempt_of(saved)
    headers = {ATTEMPT: attempt, TOKEN: token, WORKER: "V", ASKS: "1", MOVES: "7"}
    assert (claim.headers, claim.reply_to) == (headers, "re.control.V.far")
    assert claim.id == f"{attempt}/moved/7/{token}"
    assert (parse_reply(claim.body).status, claim.once) == ("started", False)
    assert pair.consumer.running() == [attempt]
    assert pair.worker.contexts == []


def test_on_go_the_method_runs_again_as_the_same_attempt(pair: Pair) -> None:
    saved, token = pair.begun()
    (claim,) = pair.resume(saved)
    pair.go(claim)
    pair.parked.work.pop()()
    output, outcome = pair.turn()
    (ctx,) = pair.worker.contexts
    assert (ctx.resumed, ctx.attempt_id, ctx.remaining) == (True, attempt_of(saved), None)
    assert ctx.saved() == saved
    assert parse_reply(outcome.body).data == {"what": "ü"}
    assert (outcome.headers[TOKEN], outcome.headers[WORKER]) == (token, "V")
    assert output.id == f"{attempt_of(saved)}/{token}.1/output/1"
    assert (pair.consumer.running(), pair.worker.reported) == ([], [attempt_of(saved)])


def test_the_first_process_that_hands_it_over_says_nothing(pair: Pair) -> None:
    saved, _ = pair.begun()
    assert isinstance(pair.first.worker, Far)
    pair.first.worker.hands_over = True
    pair.parked.run()
    pair.first.turn()
    assert pair.first.words() == ["output: here"]
    (claim,) = pair.resume(saved)
    assert claim.headers[MOVES] == "1"


def test_on_no_go_the_worker_hears_of_it_and_nothing_runs(pair: Pair) -> None:
    saved, _ = pair.begun()
    before = len(pair.parked.work)
    (claim,) = pair.resume(saved)
    pair.first.answer(claim, "no-go")
    assert pair.turn() == []
    assert pair.worker.refusals == [attempt_of(saved)]
    assert (pair.consumer.running(), len(pair.parked.work)) == ([], before)


def test_it_asks_again_until_it_is_answered_and_declines_never(pair: Pair) -> None:
    saved, _ = pair.begun()
    (claim,) = pair.resume(saved)
    for _ in range(3):
        pair.clock.time += GRANT_PATIENCE
        (again,) = pair.turn()
        assert (again.id, again.headers) == (claim.id, claim.headers)
    pair.first.line.lose()
    assert [one.id for one in pair.turn()] == [claim.id]
    assert pair.consumer.running() == [attempt_of(saved)]


def test_a_go_that_came_too_late_is_asked_for_once_more(pair: Pair) -> None:
    """This process stood still, and another one may have the claim by now."""
    saved, _ = pair.begun()
    (claim,) = pair.resume(saved)
    pair.first.answer(claim, "go")
    pair.clock.time += GRANT_PATIENCE
    assert claim.id in [one.id for one in pair.turn()]
    assert pair.worker.contexts == []
    pair.go(claim)
    pair.parked.work.pop()()
    assert len(pair.worker.contexts) == 1


def test_it_asks_when_the_bus_is_back(pair: Pair) -> None:
    saved, _ = pair.begun()
    pair.first.line.away = True
    with pytest.raises(BusUnavailable):
        pair.resume(saved)
    pair.first.line.away = False
    assert pair.turn()[0].headers[MOVES] == "1"
    assert pair.consumer.running() == [attempt_of(saved)]


def test_a_cancel_that_overtakes_the_answer_is_one(pair: Pair) -> None:
    """The core knows this queue by the move alone."""
    saved, _ = pair.begun()
    (claim,) = pair.resume(saved)
    pair.first.answer(claim, "cancel")
    pair.turn()
    pair.parked.work.pop()()
    (ctx,) = pair.worker.contexts
    assert ctx.cancelled.is_set()


def test_a_copy_of_its_step_that_comes_here_is_settled_with_it(pair: Pair) -> None:
    """The dead process had not acknowledged it."""
    saved, _ = pair.begun()
    (claim,) = pair.resume(saved)
    pair.go(claim)
    pair.first.consumer.close()
    assert pair.turn() == []
    assert len(pair.first.line.subscriptions[1].held()) == 1
    pair.parked.work.pop()()
    pair.turn()
    assert pair.first.line.subscriptions[1].held() == []


def test_a_copy_that_was_claimed_here_before_is_settled_with_it(pair: Pair) -> None:
    saved, token = pair.begun()
    pair.first.consumer.close()
    (copy,) = pair.turn()
    assert copy.headers[TOKEN] != token
    (claim,) = pair.resume(saved)
    pair.first.answer(copy, "no-go")
    pair.turn()
    pair.go(claim)
    pair.parked.work.pop()()
    pair.turn()
    assert pair.first.line.subscriptions[1].held() == []
    assert len(pair.worker.contexts) == 1


def test_what_runs_here_already_is_not_begun_twice(pair: Pair) -> None:
    saved, _ = pair.begun()
    (claim,) = pair.resume(saved)
    pair.go(claim)
    before = len(pair.parked.work)
    assert pair.resume(saved, 2) == []
    assert len(pair.parked.work) == before


def test_a_process_that_stops_leaves_what_it_has_not_gone_on_with(pair: Pair) -> None:
    saved, _ = pair.begun()
    pair.resume(saved)
    pair.consumer.drain()
    assert pair.turn() == []
    assert (pair.consumer.running(), pair.consumer.idle, pair.consumer.handed_over) == ([], True, True)
    assert pair.resume(saved, 2) == []
    assert pair.consumer.running() == []


def test_what_no_process_can_go_on_with_is_reported_lost(pair: Pair) -> None:
    saved, token = pair.begun()
    pair.consumer.give_up(read(saved), "its arguments are of another version")
    (lost,) = pair.turn()
    assert (lost.headers[EVENT], lost.headers[TOKEN]) == ("lost", token)
    assert json.loads(lost.body) == {"reason": "its arguments are of another version"}
    assert pair.worker.reported == [attempt_of(saved)]


def test_a_run_whose_arguments_do_not_fit_any_more_is_reported_lost(pair: Pair) -> None:
    saved, _ = pair.begun()
    other = saved.replace(b'\\"what\\"', b'\\"which\\"')
    (lost,) = pair.resume(other)
    assert lost.headers[EVENT] == "lost"
    assert "no worker can go on with it: far:Run: " in json.loads(lost.body)["reason"]


def test_every_character_of_a_step_comes_back(pair: Pair) -> None:
    saved, token = pair.begun()
    run = read(saved)
    assert (run.token, "ü" in run.message.body.decode()) == (token, True)
    assert json.loads(saved)["v"] == 1


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1]", "the version None"),
        (b'{"v": 2}', "the version 2, this engine reads 1"),
        (b'{"v": 1}', "expected a string"),
        (
            b'{"v":1,"body":"","id":"","deployment":"","reply_to":"","token":"","headers":{"a":1},"began":1}',
            "expected an object of strings",
        ),
        (
            b'{"v":1,"body":"","id":"","deployment":"","reply_to":"","token":"","headers":{},"began":true}',
            "expected a whole number",
        ),
        (
            b'{"v":1,"body":"","id":"","deployment":"","reply_to":"","token":"","headers":{},"began":1}',
            "not <deployment>/<step>/<attempt>",
        ),
    ],
)
def test_what_is_no_saved_run_is_refused(saved: bytes, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        attempt_of(saved)
