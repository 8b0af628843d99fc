"""The worker's loop against the embedded bus: begins, grants, copies, cancels, refusals and stops. No thread, no waiting."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.errors import BusUnavailable
from re_core.wire.messages import ASKS, ATTEMPT, EVENT, TOKEN, WORKER, Message, parse_reply, reply_queue
from re_workers import Context, Worker, step
from re_workers.consumer import GRANT_PATIENCE
from re_workers.runs import STUBBORN, TIMEOUT_GRACE
from tests.unit.workers.desk import REPLIES, Desk, Parked, Work


@pytest.fixture
def desk() -> Desk:
    return Desk(Work())


def _done(desk: Desk) -> list[str]:
    assert isinstance(desk.worker, Work)
    return desk.worker.done


@pytest.mark.parametrize("subcommand", ["Run", "Quick"])
def test_a_step_that_may_be_repeated_begins_at_once(desk: Desk, subcommand: str) -> None:
    attempt = desk.send(subcommand)
    desk.turn()
    started, outcome = desk.heard()
    assert [parse_reply(one.body).status for one in (started, outcome)] == ["started", "completed"]
    token = started.headers[TOKEN]
    assert started.headers == {ATTEMPT: attempt, TOKEN: token, WORKER: "W"} == outcome.headers
    assert [started.id, outcome.id] == [f"{attempt}/started/{token}", f"{attempt}/outcome/{token}"]
    assert {(one.key, one.correlation_id, one.reply_to) for one in (started, outcome)} == {
        (REPLIES, "D", "re.control.W.work")
    }
    assert desk.unsettled() == 0


def test_what_a_step_said_comes_before_its_outcome(desk: Desk) -> None:
    desk.send("Run", {"say": "a\nb"})
    desk.turn()
    assert desk.words() == ["started", "output: a\nb", "notice: slug", "completed"]


def test_a_batch_is_one_publish_and_one_ack() -> None:
    desk = Desk(Work(), slots=100)
    for _ in range(50):
        desk.send("Quick")
    assert desk.turn() == 100  # deliveries and ends
    assert desk.line.publishes == 1
    assert desk.words() == ["started"] * 50 + ["completed"] * 50


@pytest.mark.parametrize("subcommand", ["Run", "Quick"])
def test_a_granted_step_begins_only_when_told(desk: Desk, subcommand: str) -> None:
    attempt = desk.send(subcommand, grant=True)
    desk.turn()
    [claim] = desk.heard()
    assert parse_reply(claim.body).status == "started"
    assert _done(desk) == []
    desk.answer(claim, "go")
    desk.turn()
    assert (_done(desk), desk.words()) == ([attempt], ["completed"])
    assert desk.unsettled() == 0


def test_a_step_that_was_handed_over_as_to_a_worker_of_2014_is_asked_for_and_answered_to_the_core(desk: Desk) -> None:
    attempt = desk.send(reply_to="re.attempt.D/0/1", attempt="D/0/1")
    queue = desk.bus.subscribe([reply_queue("D")], 10)
    desk.turn()
    assert _done(desk) == []
    [claim] = [one.message for one in queue.take(10, 0)]
    assert (claim.headers[ASKS], claim.once) == ("1", True)
    desk.answer(claim, "go")
    desk.turn()
    [outcome] = [one.message for one in queue.take(10, 0)]
    assert (_done(desk), parse_reply(outcome.body).status) == ([attempt], "completed")
    assert desk.unsettled() == 0


def test_no_go_drops_the_step_silently(desk: Desk) -> None:
    desk.send(grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.answer(claim, "no-go")
    desk.answer(claim, "go")
    desk.turn()
    assert (_done(desk), desk.words()) == ([], [])
    assert desk.unsettled() == 0


def test_an_answer_to_another_delivery_of_the_attempt_begins_nothing(desk: Desk) -> None:
    desk.send(grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.answer(claim, "go", token="another")
    desk.turn()
    assert _done(desk) == []
    desk.answer(claim, "go")
    desk.turn()
    assert len(_done(desk)) == 1


def test_without_a_grant_in_time_the_step_is_declined_and_a_late_grant_is_ignored(desk: Desk) -> None:
    attempt = desk.send(grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.clock.time += GRANT_PATIENCE
    desk.turn()
    [declined] = desk.heard()
    asked = {name: value for name, value in claim.headers.items() if name != ASKS}
    assert declined.headers == {**asked, EVENT: "declined"}
    assert declined.id == f"{attempt}/declined/{claim.headers[TOKEN]}"
    desk.answer(claim, "go")
    desk.turn()
    assert (_done(desk), desk.words()) == ([], [])
    assert desk.unsettled() == 0


@pytest.mark.parametrize("declines", [False, True])
def test_who_asks_hears_the_last_word_of_an_attempt_again(desk: Desk, declines: bool) -> None:
    """It may have gone with the queue that it was sent to."""
    attempt = desk.send(grant=declines)
    desk.turn()
    desk.clock.time += GRANT_PATIENCE
    desk.turn()
    last = desk.heard()[-1]
    assert ("declined" in last.id) == declines
    desk.inquire(attempt)
    desk.turn()
    [again] = desk.heard()
    assert (again.id, again.headers, again.correlation_id) == (last.id, last.headers, last.correlation_id)
    assert desk.unsettled() == 0


def test_who_asks_about_what_runs_or_was_never_here_hears_nothing(desk: Desk) -> None:
    attempt = desk.send(grant=True)
    desk.turn()
    desk.heard()
    for asked in (attempt, "D/9/9"):
        desk.inquire(asked)
        desk.turn()
    assert desk.words() == []


def test_a_declined_attempt_can_be_claimed_again_with_another_token(desk: Desk) -> None:
    attempt = desk.send(grant=True)
    desk.turn()
    desk.clock.time += GRANT_PATIENCE
    desk.turn()
    first, _ = desk.heard()
    desk.send(attempt=attempt, grant=True)
    desk.turn()
    [second] = desk.heard()
    assert first.headers[TOKEN] != second.headers[TOKEN]
    desk.answer(second, "go")
    desk.turn()
    assert _done(desk) == [attempt]


def test_copies_are_dropped_whether_the_first_waits_runs_or_is_over() -> None:
    parked = Parked()
    desk = Desk(Work(), spawn=parked)
    attempt = desk.send("Run", grant=True)
    desk.send("Run", attempt=attempt, grant=True)
    desk.turn()
    [claim] = desk.heard()
    desk.answer(claim, "go")
    desk.send("Run", attempt=attempt, grant=True)
    desk.turn()
    parked.run()
    desk.turn()
    desk.send("Run", attempt=attempt, grant=True)
    desk.turn()
    assert desk.words() == ["completed"]
    assert _done(desk) == [attempt]
    assert desk.unsettled() == 0


def test_a_delivery_stays_unsettled_until_its_outcome_is_taken() -> None:
    desk = Desk(Work(), spawn=Parked())
    desk.send("Run")
    desk.turn()
    assert desk.consumer.running() == ["D/0/1"]
    assert desk.words() == ["started"]
    assert desk.unsettled() == 1


def test_a_running_step_hears_of_a_cancel() -> None:
    class Patient(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            ctx.wait(3600)

    parked = Parked()
    desk = Desk(Patient(), spawn=parked)
    attempt = desk.send()
    desk.turn()
    desk.cancel("D/9/1")
    desk.cancel(attempt)
    desk.turn()
    parked.run()
    desk.turn()
    _, outcome = desk.heard()
    assert parse_reply(outcome.body).body == {"status": "failed", "message": "cancelled"}


def test_a_step_that_waits_for_its_grant_is_declined_by_a_cancel(desk: Desk) -> None:
    attempt = desk.send(grant=True)
    desk.turn()
    desk.cancel(attempt)
    desk.turn()
    assert desk.words() == ["started", "declined"]
    assert desk.unsettled() == 0


def test_a_step_that_outlives_its_timeout_is_stopped_though_no_core_says_so() -> None:
    parked = Parked()

    class Patient(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            ctx.check()

    desk = Desk(Patient(), spawn=parked)
    desk.send(timeout="1.5")
    desk.turn()
    desk.clock.time += int((1.5 + TIMEOUT_GRACE) * 1000)
    desk.turn()
    parked.run()
    desk.turn()
    _, outcome = desk.heard()
    assert parse_reply(outcome.body).message == "timed out after 1.5 s"


def test_a_step_that_does_not_stop_when_it_is_told_to_says_so_once_and_is_awaited() -> None:
    parked = Parked()
    desk = Desk(Work(), spawn=parked)
    id = desk.send()
    desk.turn()
    desk.cancel(id)
    desk.turn()
    assert desk.words() == ["started"]
    for _ in range(3):
        desk.clock.time += STUBBORN
        desk.turn()
    # and no outcome: the core must not take it for gone
    assert desk.words() == ["output: [work:Run was asked to stop 15 s ago and still runs: it does not look at ctx]"]
    parked.run()
    desk.turn()
    assert desk.words() == ["completed"]


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
    desk: Desk, subcommand: str, parameters: dict[str, Any], message: str, grant: bool
) -> None:
    desk.send(subcommand, parameters, grant=grant)
    desk.turn()
    [reply] = desk.heard()
    assert parse_reply(reply.body).body == {"status": "failed", "message": message}
    assert desk.unsettled() == 0


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
    desk: Desk, body: bytes | None, headers: dict[str, str] | None
) -> None:
    desk.send(attempt="D/0/1", body=body, headers=headers)
    good = desk.send(attempt="D/1/1")
    desk.turn()
    refused, _, completed = desk.heard()
    reply = parse_reply(refused.body)
    assert (reply.status, refused.headers[ATTEMPT]) == ("failed", "D/0/1")
    assert reply.message is not None
    assert reply.message.startswith("the worker could not read the step: ")
    assert completed.headers[ATTEMPT] == good
    assert len(desk.buried()) == 1
    assert desk.unsettled() == 0


def test_a_message_without_a_readable_attempt_is_only_a_dead_letter(desk: Desk) -> None:
    desk.send(headers={ATTEMPT: "nonsense"})
    desk.turn()
    assert (desk.heard(), len(desk.buried())) == ([], 1)


def test_an_unknown_word_on_the_control_queue_is_a_dead_letter(desk: Desk) -> None:
    desk.bus.publish([Message(desk.consumer.control, b"{}", "x", headers={EVENT: "dance"}, direct=True)])
    desk.turn()
    assert (desk.heard(), len(desk.buried())) == ([], 1)


def test_a_core_of_2014_gets_its_replies_without_an_attempt(desk: Desk) -> None:
    desk.send(headers={})
    desk.turn()
    started, outcome = desk.heard()
    assert ATTEMPT not in started.headers
    assert parse_reply(outcome.body).status == "completed"
    assert outcome.correlation_id == "D"


def test_a_stopping_worker_declines_what_waits_and_gives_back_what_has_not_begun() -> None:
    parked = Parked()
    desk = Desk(Work(), spawn=parked)
    desk.send(grant=True)
    desk.send("Run")
    desk.turn()
    desk.consumer.drain()
    desk.send("Run")
    desk.turn()
    assert sorted(desk.words()) == ["declined", "started", "started"]
    assert not desk.consumer.idle
    parked.run()
    desk.turn()
    assert desk.consumer.idle
    assert desk.words() == ["completed"]
    assert desk.unsettled() == 1


def test_at_the_end_a_granted_step_is_told_as_failed_and_a_repeatable_one_is_left_to_others() -> None:
    class Patient(Worker):
        @step
        def Run(self, ctx: Context) -> None:
            ctx.wait(3600)

    parked = Parked()
    desk = Desk(Patient(), spawn=parked)
    granted = desk.send(grant=True)
    repeatable = desk.send()
    desk.turn()
    claim = desk.heard()[0]
    desk.answer(claim, "go")
    desk.turn()
    desk.consumer.abandon("the worker is stopping")
    parked.run()
    parked.run()
    desk.turn()
    declined, outcome = desk.heard()
    assert (declined.headers[ATTEMPT], declined.headers[EVENT]) == (repeatable, "declined")
    assert outcome.headers[ATTEMPT] == granted
    assert parse_reply(outcome.body).message == "the worker is stopping"
    assert desk.unsettled() == 0


@pytest.mark.parametrize("subcommand", ["Run", "Quick", "Fail"])
def test_while_the_bus_is_away_nothing_is_forgotten_and_nothing_runs_twice(subcommand: str) -> None:
    desk = Desk(Work())
    desk.send(subcommand)
    desk.line.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            desk.turn()
    desk.line.away = False
    desk.turn()
    assert desk.words() == ["started", "failed" if subcommand == "Fail" else "completed"]
    assert len(_done(desk)) <= 1
    assert desk.unsettled() == 0


def test_a_dead_letter_that_could_not_be_written_is_tried_again_and_the_rest_is_not_lost() -> None:
    desk = Desk(Work())
    desk.send(body=b"{")
    desk.send("Quick")
    desk.line.away = True
    with pytest.raises(BusUnavailable):
        desk.turn()
    desk.line.away = False
    desk.turn()
    assert desk.words() == ["failed", "started", "completed"]
    assert len(desk.buried()) == 1
    assert desk.unsettled() == 0
