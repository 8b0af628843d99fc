"""The worker's loop against the embedded bus: begins, grants, copies, cancels, refusals and stops. No thread, no waiting."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, TOKEN, WORKER, Message, parse_reply, reply_queue
from re_workers import Context, Worker, step
from re_workers.attempt import MAX_STOP_REASON
from re_workers.consumer import GRANT_PATIENCE, REST
from re_workers.runs import STUBBORN, TIMEOUT_GRACE
from tests.unit.workers.worker_harness import REPLIES, Parked, Work, WorkerHarness


@pytest.fixture
def harness() -> WorkerHarness:
    return WorkerHarness(Work())


class Patient(Worker):
    """Its step runs until it is cancelled."""

    @step
    def Run(self, ctx: Context) -> None:
        ctx.wait(3600)


def _done(harness: WorkerHarness) -> list[str]:
    assert isinstance(harness.worker, Work)
    return harness.worker.done


@pytest.mark.parametrize("subcommand", ["Run", "Quick"])
def test_a_step_that_may_be_repeated_begins_at_once(harness: WorkerHarness, subcommand: str) -> None:
    attempt = harness.send(subcommand)
    harness.turn()
    started, outcome = harness.heard()
    assert [parse_reply(one.body).status for one in (started, outcome)] == ["started", "completed"]
    token = started.headers[TOKEN]
    assert started.headers == {ATTEMPT: attempt, TOKEN: token, WORKER: "W"} == outcome.headers
    assert [started.id, outcome.id] == [f"{attempt}/started/{token}", f"{attempt}/outcome/{token}"]
    assert {(one.key, one.correlation_id, one.reply_to) for one in (started, outcome)} == {
        (REPLIES, "D", "re.control.W.work")
    }
    assert harness.unsettled() == 0


def test_what_a_step_said_comes_before_its_outcome(harness: WorkerHarness) -> None:
    harness.send("Run", {"say": "a\nb"})
    harness.turn()
    assert harness.words() == ["started", "output: a\nb", "notice: slug", "completed"]


def test_a_batch_is_one_publish_and_one_ack() -> None:
    harness = WorkerHarness(Work(), slots=100)
    for _ in range(50):
        harness.send("Quick")
    assert harness.turn() == 100  # deliveries and ends
    assert harness.line.publishes == 1
    assert harness.words() == ["started"] * 50 + ["completed"] * 50


@pytest.mark.parametrize("subcommand", ["Run", "Quick"])
def test_a_granted_step_begins_only_when_told(harness: WorkerHarness, subcommand: str) -> None:
    attempt = harness.send(subcommand, grant=True)
    harness.turn()
    [claim] = harness.heard()
    assert parse_reply(claim.body).status == "started"
    assert _done(harness) == []
    harness.answer(claim, "go")
    harness.turn()
    assert (_done(harness), harness.words()) == ([attempt], ["completed"])
    assert harness.unsettled() == 0


def test_a_step_that_was_handed_over_as_to_a_worker_of_2014_is_asked_for_and_answered_to_the_core(
    harness: WorkerHarness,
) -> None:
    attempt = harness.send(reply_to="re.attempt.D/0/1", attempt="D/0/1")
    queue = harness.bus.subscribe([reply_queue("D")], 10)
    harness.turn()
    assert _done(harness) == []
    [claim] = [one.message for one in queue.take(10, 0)]
    assert (claim.headers[ASKS], claim.once) == ("1", True)
    harness.answer(claim, "go")
    harness.turn()
    [outcome] = [one.message for one in queue.take(10, 0)]
    assert (_done(harness), parse_reply(outcome.body).status) == ([attempt], "completed")
    assert harness.unsettled() == 0


def test_no_go_drops_the_step_silently(harness: WorkerHarness) -> None:
    harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "no-go")
    harness.answer(claim, "go")
    harness.turn()
    assert (_done(harness), harness.words()) == ([], [])
    assert harness.unsettled() == 0


def test_a_worker_that_is_not_proven_gives_the_step_back_and_takes_none_for_a_minute(
    harness: WorkerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "no-go", reason="unproven")
    harness.turn()
    assert (harness.words(), harness.consumer.running()) == ([], [])
    assert "gives this worker no steps of worker.work" in caplog.text
    harness.turn()
    assert harness.waits() == 1
    harness.clock.time += REST - 1
    harness.turn()
    assert harness.words() == []
    harness.clock.time += 1
    harness.turn()
    harness.turn()
    assert harness.words() == ["started"]


def test_an_answer_to_another_delivery_of_the_attempt_begins_nothing(harness: WorkerHarness) -> None:
    harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "go", token="another")
    harness.turn()
    assert _done(harness) == []
    harness.answer(claim, "go")
    harness.turn()
    assert len(_done(harness)) == 1


def test_without_a_grant_in_time_the_step_is_declined_and_a_late_grant_is_ignored(harness: WorkerHarness) -> None:
    attempt = harness.send(grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.clock.time += GRANT_PATIENCE
    harness.turn()
    [declined] = harness.heard()
    asked = {name: value for name, value in claim.headers.items() if name != ASKS}
    assert declined.headers == {**asked, EVENT: "declined"}
    assert declined.id == f"{attempt}/declined/{claim.headers[TOKEN]}"
    harness.answer(claim, "go")
    harness.turn()
    assert (_done(harness), harness.words()) == ([], [])
    assert harness.unsettled() == 0


@pytest.mark.parametrize("declines", [False, True])
def test_who_asks_hears_the_last_word_of_an_attempt_again(harness: WorkerHarness, declines: bool) -> None:
    """It may have gone with the queue that it was sent to."""
    attempt = harness.send(grant=declines)
    harness.turn()
    harness.clock.time += GRANT_PATIENCE
    harness.turn()
    last = harness.heard()[-1]
    assert ("declined" in last.id) == declines
    harness.inquire(attempt)
    harness.turn()
    [again] = harness.heard()
    assert (again.id, again.headers, again.correlation_id) == (last.id, last.headers, last.correlation_id)
    assert harness.unsettled() == 0


def test_who_asks_about_what_runs_or_was_never_here_hears_nothing(harness: WorkerHarness) -> None:
    attempt = harness.send(grant=True)
    harness.turn()
    harness.heard()
    for asked in (attempt, "D/9/9"):
        harness.inquire(asked)
        harness.turn()
    assert harness.words() == []


def test_a_declined_attempt_can_be_claimed_again_with_another_token(harness: WorkerHarness) -> None:
    attempt = harness.send(grant=True)
    harness.turn()
    harness.clock.time += GRANT_PATIENCE
    harness.turn()
    first, _ = harness.heard()
    harness.send(attempt=attempt, grant=True)
    harness.turn()
    [second] = harness.heard()
    assert first.headers[TOKEN] != second.headers[TOKEN]
    harness.answer(second, "go")
    harness.turn()
    assert _done(harness) == [attempt]


def test_copies_are_dropped_whether_the_first_waits_runs_or_is_over() -> None:
    parked = Parked()
    harness = WorkerHarness(Work(), spawn=parked)
    attempt = harness.send("Run", grant=True)
    harness.send("Run", attempt=attempt, grant=True)
    harness.turn()
    [claim] = harness.heard()
    harness.answer(claim, "go")
    harness.send("Run", attempt=attempt, grant=True)
    harness.turn()
    parked.run()
    harness.turn()
    harness.send("Run", attempt=attempt, grant=True)
    harness.turn()
    assert harness.words() == ["completed"]
    assert _done(harness) == [attempt]
    assert harness.unsettled() == 0


def test_a_delivery_stays_unsettled_until_its_outcome_is_taken() -> None:
    harness = WorkerHarness(Work(), spawn=Parked())
    harness.send("Run")
    harness.turn()
    assert harness.consumer.running() == ["D/0/1"]
    assert harness.words() == ["started"]
    assert harness.unsettled() == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"reason": "cancelled by bob: wrong day"}', "cancelled by bob: wrong day"),
        (b"{}", "cancelled"),
        (b'{"reason": ""}', "cancelled"),
        (b'{"reason": 1}', "cancelled"),
        (b"[]", "cancelled"),
        (b"\xff", "cancelled"),
        (b'{"reason": "' + b"x" * 10_000 + b'"}', "x" * MAX_STOP_REASON),
    ],
)
def test_a_running_step_hears_of_a_cancel_and_why(body: bytes, message: str) -> None:
    parked = Parked()
    harness = WorkerHarness(Patient(), spawn=parked)
    attempt = harness.send()
    harness.turn()
    harness.cancel("D/9/1", body)
    harness.cancel(attempt, body)
    harness.turn()
    parked.run()
    harness.turn()
    _, outcome = harness.heard()
    assert parse_reply(outcome.body).body == {"status": "failed", "message": message}


def test_a_step_that_waits_for_its_grant_is_declined_by_a_cancel(harness: WorkerHarness) -> None:
    attempt = harness.send(grant=True)
    harness.turn()
    harness.cancel(attempt)
    harness.turn()
    assert harness.words() == ["started", "declined"]
    assert harness.unsettled() == 0


def test_a_step_that_outlives_its_timeout_is_stopped_though_no_core_says_so() -> None:
    parked = Parked()

    class Patient(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            ctx.check()

    harness = WorkerHarness(Patient(), spawn=parked)
    harness.send(timeout="1.5")
    harness.turn()
    harness.clock.time += int((1.5 + TIMEOUT_GRACE) * 1000)
    harness.turn()
    parked.run()
    harness.turn()
    _, outcome = harness.heard()
    assert parse_reply(outcome.body).message == "timed out after 1.5 s"


def test_a_step_that_does_not_stop_when_it_is_told_to_says_so_once_and_is_awaited() -> None:
    parked = Parked()
    harness = WorkerHarness(Work(), spawn=parked)
    id = harness.send()
    harness.turn()
    harness.cancel(id)
    harness.turn()
    assert harness.words() == ["started"]
    for _ in range(3):
        harness.clock.time += STUBBORN
        harness.turn()
    # and no outcome: the core must not take it for gone
    assert harness.words() == ["output: [work:Run was asked to stop 15 s ago and still runs: it does not check ctx]"]
    parked.run()
    harness.turn()
    assert harness.words() == ["completed"]


@pytest.mark.parametrize(
    ("subcommand", "parameters", "message"),
    [
        ("run", {}, "work has no step 'run' (did you mean 'Run'?)"),
        ("Run", {"says": "x"}, "work:Run: unknown parameter 'says' (did you mean 'say'?)"),
        ("Run", {"say": 1}, "work:Run: the parameter 'say' is wrong: expected a string, found a number"),
    ],
)
@pytest.mark.parametrize("grant", [True, False])
def test_what_cannot_run_fails_at_once(
    harness: WorkerHarness, subcommand: str, parameters: dict[str, Any], message: str, grant: bool
) -> None:
    harness.send(subcommand, parameters, grant=grant)
    harness.turn()
    [reply] = harness.heard()
    assert parse_reply(reply.body).body == {"status": "failed", "message": message}
    assert harness.unsettled() == 0


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{", None),
        (b'{"parameters": {}}', None),
        (
            b'{"parameters":{"command":"work","subcommand":"Run","dynamic":"x"},"group":"g","dynamic":{},"notify":{}}',
            None,
        ),
        (None, {ATTEMPT: "D/0/1", "re-timeout": "soon"}),
        (None, {ATTEMPT: "D/0/1", "re-timeout": "-1"}),
    ],
)
def test_a_message_that_cannot_be_read_is_a_dead_letter_and_an_answer(
    harness: WorkerHarness, body: bytes | None, headers: dict[str, str] | None
) -> None:
    harness.send(attempt="D/0/1", body=body, headers=headers)
    good = harness.send(attempt="D/1/1")
    harness.turn()
    refused, _, completed = harness.heard()
    reply = parse_reply(refused.body)
    assert (reply.status, refused.headers[ATTEMPT]) == ("failed", "D/0/1")
    assert reply.message is not None
    assert reply.message.startswith("the worker cannot read the step message: ")
    assert completed.headers[ATTEMPT] == good
    assert len(harness.buried()) == 1
    assert harness.unsettled() == 0


def test_a_message_without_a_readable_attempt_is_only_a_dead_letter(harness: WorkerHarness) -> None:
    harness.send(headers={ATTEMPT: "nonsense"})
    harness.turn()
    assert (harness.heard(), len(harness.buried())) == ([], 1)


def test_an_unknown_word_on_the_control_queue_is_a_dead_letter(harness: WorkerHarness) -> None:
    harness.bus.publish([Message(harness.consumer.control, b"{}", "x", headers={EVENT: "dance"}, direct=True)])
    harness.turn()
    assert (harness.heard(), len(harness.buried())) == ([], 1)


def test_a_core_of_2014_gets_its_replies_without_an_attempt(harness: WorkerHarness) -> None:
    harness.send(headers={})
    harness.turn()
    started, outcome = harness.heard()
    assert ATTEMPT not in started.headers
    assert parse_reply(outcome.body).status == "completed"
    assert outcome.correlation_id == "D"


def test_a_stopping_worker_declines_what_waits_and_gives_back_what_has_not_begun() -> None:
    parked = Parked()
    harness = WorkerHarness(Work(), spawn=parked)
    harness.send(grant=True)
    harness.send("Run")
    harness.turn()
    harness.consumer.drain()
    harness.send("Run")
    harness.turn()
    assert sorted(harness.words()) == ["declined", "started", "started"]
    assert not harness.consumer.idle
    parked.run()
    harness.turn()
    assert harness.consumer.idle
    assert harness.words() == ["completed"]
    assert harness.unsettled() == 1


def test_at_the_end_a_granted_step_is_told_as_failed_and_a_repeatable_one_is_left_to_others() -> None:
    parked = Parked()
    harness = WorkerHarness(Patient(), spawn=parked)
    granted = harness.send(grant=True)
    repeatable = harness.send()
    harness.turn()
    claim = harness.heard()[0]
    harness.answer(claim, "go")
    harness.turn()
    harness.consumer.abandon("the worker is stopping")
    parked.run()
    parked.run()
    harness.turn()
    declined, outcome = harness.heard()
    assert (declined.headers[ATTEMPT], declined.headers[EVENT]) == (repeatable, "declined")
    assert outcome.headers[ATTEMPT] == granted
    assert parse_reply(outcome.body).message == "the worker is stopping"
    assert harness.unsettled() == 0


@pytest.mark.parametrize("subcommand", ["Run", "Quick", "Fail"])
def test_while_the_bus_is_away_nothing_is_forgotten_and_nothing_runs_twice(subcommand: str) -> None:
    harness = WorkerHarness(Work())
    harness.send(subcommand)
    harness.line.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            harness.turn()
    harness.line.away = False
    harness.turn()
    assert harness.words() == ["started", "failed" if subcommand == "Fail" else "completed"]
    assert len(_done(harness)) <= 1
    assert harness.unsettled() == 0


def test_a_dead_letter_that_could_not_be_written_is_tried_again_and_the_rest_is_not_lost() -> None:
    harness = WorkerHarness(Work())
    harness.send(body=b"{")
    harness.send("Quick")
    harness.line.away = True
    with pytest.raises(BusUnavailable):
        harness.turn()
    harness.line.away = False
    harness.turn()
    assert harness.words() == ["failed", "started", "completed"]
    assert len(harness.buried()) == 1
    assert harness.unsettled() == 0


def test_replies_and_the_step_carry_the_trace_that_the_message_brought() -> None:
    class Looks(Worker):
        command = "work"

        @step(quick=True)
        def Look(self, ctx: Context) -> str:
            """Says to which trace it belongs."""
            return ctx.traceparent

    header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    harness = WorkerHarness(Looks())
    harness.send("Look", headers={ATTEMPT: "D/0/1", "traceparent": header})
    harness.turn()
    started, outcome = harness.heard()
    assert started.headers["traceparent"] == outcome.headers["traceparent"] == header
    assert parse_reply(outcome.body).data == header
