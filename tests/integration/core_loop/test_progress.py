"""From the first step to the end: what comes in order, late, twice, malformed, or for nobody."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment import machine
from re_core.deployment.machine import Decision
from re_core.deployment.records import MAX_DATA, Completed, Late, Started, kind_of
from re_core.deployment.results import MAX_MESSAGE, brief
from re_core.deployment.state import State
from re_core.model import DeploymentStatus
from re_core.rows import View
from re_core.sequencer.cache import MOST_BYTES
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.dead_letters import DETAIL, QUEUE, REASON
from re_core.wire.messages import Message
from re_core.wire.trace_context import TRACEPARENT, TraceContext, span_id, trace_id
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))
    harness.save(simple("noop:Hang", "noop:B"), "hangs")
    harness.save(simple({"noop:Hang": {}, "idempotent": True}), "again")


def _begin(harness: CoreHarness, playbook: str = "hangs") -> None:
    """A deployment whose first step runs."""
    harness.ask("d1", playbook)
    harness.settle()
    harness.probe.hear()


def test_a_deployment_goes_from_step_to_step_to_its_end(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    step = ["dispatched", "started", "completed"]
    assert harness.kinds() == ["accepted", *step, *step, "ended"]
    assert harness.world.begun_times("d1") == {"d1/0/1": 1, "d1/1/1": 1}
    assert all(one.granted for one in harness.world.begun)
    assert (harness.dead(), harness.left()) == ([], [])


def test_a_step_message_carries_what_the_contract_says(harness: CoreHarness) -> None:
    harness.worker.close()
    harness.save(simple({"noop:A": {"size": 1, "notify": {"started": {"irc": ["#x"]}}}}), "full")
    harness.ask("d1", "full", dynamic={"cart": "c"})
    harness.core.turn(0)
    (message,) = [one.message for one in harness.bus.subscribe(["worker.noop"], 10).take(10, 0)]
    assert strict_json.loads(message.body) == {
        "parameters": {"size": 1, "hosts": ["web01"], "command": "noop", "subcommand": "A"},
        "group": "inception",
        "dynamic": {"cart": "c"},
        "notify": {"started": {"irc": ["#x"]}},
    }
    assert (message.id, message.correlation_id, message.reply_to) == ("d1/0/1", "d1", m.reply_queue("d1"))
    turn = str(harness.state().steps[0].dispatched_at)
    trace = TraceContext(trace_id("d1"), span_id("d1")).header
    words = {m.ATTEMPT: "d1/0/1", m.TIMEOUT: "3600", m.QUOTA: "10485760", m.TURN: turn, m.GRANT: "1"}
    assert message.headers == {**words, TRACEPARENT: trace}


def test_the_hot_path_reads_nothing_from_the_journal(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    assert harness.faults.calls["entries"] == 0


def test_one_batch_is_one_insert(harness: CoreHarness) -> None:
    for number in range(20):
        harness.ask(f"d{number}")
    assert harness.core.turn(0) == 20
    assert (harness.faults.calls["append"], harness.faults.calls["publish"]) == (1, 1)


def test_a_core_with_nothing_to_do_does_nothing(harness: CoreHarness) -> None:
    harness.settle()
    assert harness.faults.total == 0


# -- what cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"not json", {m.ATTEMPT: "d1/0/1"}, "not JSON"),
        (b"[]", {m.ATTEMPT: "d1/0/1"}, "expected an object"),
        (b'{"status": "maybe"}', {m.ATTEMPT: "d1/0/1"}, "expected started, completed or failed"),
        (b'{"status": "started"}', {m.ATTEMPT: "d1"}, "not <deployment>/<step>/<attempt>"),
        (b"{}", {m.EVENT: "explode"}, "known are cancel, decide, declined, due, gone, lost, released, retry"),
        (b'{"user": 1}', {m.EVENT: "cancel"}, "user and reason must be strings"),
        (b'{"before": "now"}', {m.EVENT: "gone"}, "before must be a number"),
    ],
)
def test_a_malformed_word_is_a_dead_letter_with_its_bytes(
    harness: CoreHarness, body: bytes, headers: dict[str, str], words: str
) -> None:
    _begin(harness)
    queue = m.reply_queue("d1")
    harness.bus.publish([Message(queue, body, "x", "d1", headers=headers, direct=True)])
    before = harness.kinds()
    harness.settle()
    (letter,) = [one.message for one in harness.dead()]
    assert (letter.body, letter.headers[REASON], letter.headers[QUEUE]) == (body, "bad-message", queue)
    assert words in letter.headers[DETAIL]
    assert harness.kinds() == before


@pytest.mark.parametrize("event", ["due", "cancel", "gone"])
def test_an_event_without_a_deployment_is_a_dead_letter(harness: CoreHarness, event: str) -> None:
    headers = {m.EVENT: event}
    harness.bus.publish([Message("re.reply.0", b'{"before": 1}', "x", headers=headers, direct=True)])
    harness.settle()
    (letter,) = harness.dead()
    assert "the deployment is unknown" in letter.message.headers[DETAIL]


def test_words_about_an_unknown_deployment_are_dead_letters(harness: CoreHarness) -> None:
    harness.reply("nobody/0/1", {"status": "started"})
    harness.reply("nobody/0/1", {"status": "completed"})
    harness.settle()
    letters = [one.message.headers for one in harness.dead()]
    assert [one[REASON] for one in letters] == ["unknown-deployment"] * 2
    assert letters[0][DETAIL] == "no deployment has the id 'nobody'"


def test_a_step_that_nobody_offers_fails_its_deployment_and_says_so(harness: CoreHarness) -> None:
    harness.save(simple("ghost:Walk", "noop:B"), "ghostly")
    harness.ask("d1", "ghostly")
    harness.settle()
    assert harness.state().reason == "ghost:Walk on web01 failed: no worker offers ghost:Walk"
    assert harness.statuses() == ["failed", "skipped"]
    assert harness.dead() == []


def test_a_notification_that_nobody_sends_is_a_dead_letter_and_stops_nothing(harness: CoreHarness) -> None:
    harness.save(
        simple({"noop:A": {"notify": {"started": {"pigeon": ["coop"]}, "completed": {"console": ["x"]}}}}), "n"
    )
    harness.ask("d1", "n")
    harness.settle()
    (letter,) = [one.message for one in harness.dead()]
    assert (letter.headers[REASON], letter.headers[QUEUE]) == ("unroutable", "notify.pigeon")
    assert letter.headers[DETAIL] == "no notifier consumes notify.pigeon"
    assert m.parse_notification(letter.body).target == ("coop",)
    assert harness.world.told == {"d1/0/1/completed/console": 1}
    assert harness.state().status == "completed"


def test_an_answer_that_nobody_waits_for_stops_nothing(harness: CoreHarness) -> None:
    harness.ask("d1", reply_to="re.answer.99")
    harness.settle()
    assert (harness.state().status, harness.dead()) == ("completed", [])


def test_an_event_that_breaks_the_machine_is_a_dead_letter_and_its_batch_goes_on(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It broke in the middle: what it had done to the state by then is undone."""
    harness.ask("d2", "hangs")
    _begin(harness)
    real = machine.advance

    def broken(state: State, event: e.Event, now: int) -> Decision:
        decision = real(state, event, now)
        if isinstance(event, e.CancelAsked) and event.user == "poison":
            raise ZeroDivisionError("a bug")
        return decision

    monkeypatch.setattr("re_core.sequencer.deployments.advance", broken)
    harness.say("d1", "due", id="1")
    harness.cancel("d1", user="poison")
    harness.reply("d1/0/1", {"status": "completed"})
    harness.reply("d2/0/1", {"status": "completed"})
    harness.settle()
    (letter,) = [one.message for one in harness.dead()]
    assert (letter.headers[REASON], letter.headers[DETAIL]) == ("error", "ZeroDivisionError: a bug")
    assert b"poison" in letter.body
    assert [harness.state(one).status for one in ("d1", "d2")] == ["completed", "completed"]
    assert "cancel_requested" not in harness.kinds()


def test_a_broken_event_of_the_core_itself_stops_nothing(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.save(simple("ghost:Walk"), "ghostly")
    real = machine.advance

    def broken(state: State, event: e.Event, now: int) -> Decision:
        if isinstance(event, e.NoWorkerAvailable):
            raise ZeroDivisionError("a bug")
        return real(state, event, now)

    monkeypatch.setattr("re_core.sequencer.deployments.advance", broken)
    harness.ask("d1", "ghostly")
    harness.ask("d2")
    harness.settle()
    assert [harness.state(one).status for one in ("d1", "d2")] == ["accepted", "completed"]
    assert harness.dead() == []


def test_a_damaged_deployment_is_left_alone_and_the_others_go_on(harness: CoreHarness) -> None:
    _begin(harness)
    harness.ask("d2", "hangs")
    harness.settle()
    harness.boot()  # a core that remembers nothing
    with harness.store._database.writing() as connection:
        connection.execute("UPDATE journal SET body = json_remove(body, '$.v') WHERE deployment = 'd1'")
    for id in ("d1", "d2"):
        harness.reply(f"{id}/0/1", {"status": "completed"})
    harness.say("d1", "cancel", reply_to=harness.probe.name)
    harness.say("d1", "due")
    harness.settle()
    letters = [one.message for one in harness.dead()]
    assert [one.headers[REASON] for one in letters] == ["store-refused"] * 2
    assert "is damaged: it has no format" in letters[0].headers[DETAIL]
    (answer,) = [strict_json.loads(one.body) for one in harness.probe.hear() if b"accepted" in one.body]
    assert answer["accepted"] is False
    assert harness.state("d2").status == "completed"


def test_a_row_without_a_deployment_is_dropped_and_its_core_shut_out(harness: CoreHarness) -> None:
    """A core wrote the row, and then was away before it wrote the entry."""
    harness.store.write_views(
        [View("ghost", "g", "p", "n", "u", DeploymentStatus.ACCEPTED, 1, None, 0, 1, "", "", 1, 1)]
    )
    harness.wait(1)
    assert harness.store.active() == []
    assert harness.dead() == []
    assert [kind_of(record) for record in harness.records("ghost")] == ["void"]
    harness.ask("ghost")
    harness.settle()
    assert harness.answers() == [(None, "expired")]
    assert harness.dead() == []


# -- late, twice -------------------------------------------------------------------------------------


def test_an_outcome_that_comes_twice_counts_once(harness: CoreHarness) -> None:
    _begin(harness)
    harness.reply("d1/0/1", {"status": "completed", "data": 1})
    harness.reply("d1/0/1", {"status": "completed", "data": 2})
    harness.settle()
    completed = [one for one in harness.records() if isinstance(one, Completed)]
    assert [(one.step, one.data) for one in completed] == [(0, 1), (1, None)]
    harness.reply("d1/0/1", {"status": "failed"})
    harness.settle()
    assert (harness.state().status, harness.dead()) == ("completed", [])


def test_words_for_a_deployment_that_has_ended_change_nothing(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    before = harness.kinds()
    harness.reply("d1/1/1", {"status": "started"})
    harness.reply("d1/1/1", {"status": "completed"})
    harness.say("d1", "due")
    harness.say("d1", "gone", {"before": 2**60, "worker": None})
    harness.settle()
    assert (harness.kinds(), harness.dead()) == (before, [])


def test_a_second_worker_that_claims_a_step_is_told_no(harness: CoreHarness) -> None:
    _begin(harness)
    rival = harness.new_worker("rival")
    harness.bus.publish([_claim("rival", "t2")])
    harness.core.turn(0)
    (answer,) = rival._subscription.take(10, 0)
    assert answer.message.headers == {m.EVENT: "no-go", m.ATTEMPT: "d1/0/1", m.TOKEN: "t2"}
    assert [one.worker for one in harness.records() if isinstance(one, Started)] == ["w1"]


def test_the_same_claim_again_is_granted_again(harness: CoreHarness) -> None:
    _begin(harness)
    token = harness.state().steps[0].token
    other = harness.new_worker("copy")
    harness.bus.publish([_claim("copy", token)])
    harness.core.turn(0)
    (answer,) = other._subscription.take(10, 0)
    assert answer.message.headers[m.EVENT] == "go"


def _claim(worker: str, token: str) -> Message:
    headers = {m.ATTEMPT: "d1/0/1", m.TOKEN: token, m.WORKER: worker}
    body = b'{"status":"started"}'
    return Message(m.reply_queue("d1"), body, "claim", "d1", f"re.control.{worker}", headers, direct=True)


def test_a_worker_that_declines_gets_the_step_again_as_a_new_attempt(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker.turn()
    harness.worker.decline("d1/0/1")  # no grant came: the core was slow
    harness.settle()
    assert harness.world.begun_times("d1") == {"d1/0/2": 1, "d1/1/1": 1}
    assert harness.state().status == "completed"


def test_a_declined_message_without_a_reason_will_do(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.say("d1", "declined", {"reason": 3}, headers={m.ATTEMPT: "d1/0/1", m.TOKEN: "t"})
    harness.settle()
    assert "fenced" in harness.kinds()


def test_late_words_of_a_fenced_attempt_are_kept_and_change_nothing(harness: CoreHarness) -> None:
    _begin(harness, "again")
    harness.say("d1", "gone", {"before": 2**60, "worker": "w1"})
    harness.settle()
    assert harness.state().steps[0].attempt == 2
    harness.worker.running.pop("d1/0/1")
    harness.reply("d1/0/1", {"status": "failed"})
    harness.settle()
    harness.reply("d1/0/1", {"status": "failed"})
    harness.settle()
    assert [one.said for one in harness.records() if isinstance(one, Late)] == ["failed"]
    assert harness.state().ended is None


# -- data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    ["x" * MAX_DATA, "\N{SNOWMAN}" * (MAX_DATA // 2), [1e15] * (MAX_DATA // 16)],
    ids=["too many letters", "letters of three bytes", "numbers that grow"],
)
def test_data_that_is_too_long_is_cut_and_marked(harness: CoreHarness, data: Any) -> None:
    _begin(harness)
    body = m.encode({"status": "completed", "data": data}).replace(b"1000000000000000.0", b"1e15")
    harness.reply("d1/0/1", body)
    harness.settle()
    (first, _) = [one for one in harness.records() if isinstance(one, Completed)]
    assert first.cut and MAX_DATA - 3 < len(first.data.encode()) <= MAX_DATA
    assert strict_json.dumps(data).startswith(first.data)


@pytest.mark.parametrize("data", ["x" * (MAX_DATA - 2), "x" * (MAX_DATA - 20)], ids=["just", "well"])
def test_data_that_fits_is_kept_whole(harness: CoreHarness, data: str) -> None:
    _begin(harness)
    harness.reply("d1/0/1", {"status": "completed", "data": data})
    harness.settle()
    (first, _) = [one for one in harness.records() if isinstance(one, Completed)]
    assert (first.data, first.cut) == (data, False)


def test_a_long_message_is_cut_and_is_no_data(harness: CoreHarness) -> None:
    _begin(harness)
    harness.reply("d1/0/1", {"status": "completed", "message": "x" * MAX_DATA})
    harness.settle()
    (first, _) = [one for one in harness.records() if isinstance(one, Completed)]
    assert (first.data, first.cut) == (None, False)
    assert first.message == brief("x" * MAX_DATA, MAX_MESSAGE)


def test_more_deployments_than_a_core_remembers_end_all_the_same(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_core.sequencer.cache.Cache.__init__.__defaults__", (3, MOST_BYTES))
    harness = build()
    harness.save(simple("noop:A", "noop:B"))
    ids = [f"d{number}" for number in range(12)]
    for id in ids:
        harness.ask(id)
    harness.settle()
    assert [harness.state(id).status for id in ids] == ["completed"] * 12
    assert harness.faults.calls["entries"] > 0


def test_a_row_whose_request_comes_in_the_same_batch_is_not_dropped(harness: CoreHarness) -> None:
    """The core that wrote the row died, and its request is delivered again while the sweeper looks."""
    harness.store.write_views([View("d1", "g", "p", "n", "u", DeploymentStatus.ACCEPTED, 1, None, 0, 1, "", "", 1, 1)])
    harness.ask("d1")
    harness.say("d1", "due")
    harness.settle()
    assert "void" not in harness.kinds()
    assert harness.state().status == "completed"
    assert harness.dead() == []
