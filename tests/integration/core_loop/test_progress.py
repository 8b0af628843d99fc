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
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple("noop:A", "noop:B"))
    house.save(simple("noop:Hang", "noop:B"), "hangs")
    house.save(simple({"noop:Hang": {}, "idempotent": True}), "again")


def _begin(house: House, playbook: str = "hangs") -> None:
    """A deployment whose first step runs."""
    house.ask("d1", playbook)
    house.settle()
    house.ear.hear()


def test_a_deployment_goes_from_step_to_step_to_its_end(house: House) -> None:
    house.ask("d1")
    house.settle()
    step = ["dispatched", "started", "completed"]
    assert house.kinds() == ["accepted", *step, *step, "ended"]
    assert house.world.begun_times("d1") == {"d1/0/1": 1, "d1/1/1": 1}
    assert all(one.granted for one in house.world.begun)
    assert (house.dead(), house.left()) == ([], [])


def test_a_step_message_carries_what_the_contract_says(house: House) -> None:
    house.worker.close()
    house.save(simple({"noop:A": {"size": 1, "notify": {"started": {"irc": ["#x"]}}}}), "full")
    house.ask("d1", "full", dynamic={"cart": "c"})
    house.core.turn(0)
    (message,) = [one.message for one in house.bus.subscribe(["worker.noop"], 10).take(10, 0)]
    assert strict_json.loads(message.body) == {
        "parameters": {"size": 1, "hosts": ["web01"], "command": "noop", "subcommand": "A"},
        "group": "inception",
        "dynamic": {"cart": "c"},
        "notify": {"started": {"irc": ["#x"]}},
    }
    assert (message.id, message.correlation_id, message.reply_to) == ("d1/0/1", "d1", m.reply_queue("d1"))
    turn = str(house.state().steps[0].dispatched_at)
    assert message.headers == {m.ATTEMPT: "d1/0/1", m.TIMEOUT: "3600", m.QUOTA: "10485760", m.TURN: turn, m.GRANT: "1"}


def test_the_hot_path_reads_nothing_from_the_journal(house: House) -> None:
    house.ask("d1")
    house.settle()
    assert house.faults.calls["entries"] == 0


def test_one_batch_is_one_insert(house: House) -> None:
    for number in range(20):
        house.ask(f"d{number}")
    assert house.core.turn(0) == 20
    assert (house.faults.calls["append"], house.faults.calls["publish"]) == (1, 1)


def test_a_core_with_nothing_to_do_does_nothing(house: House) -> None:
    house.settle()
    assert house.faults.total == 0


# -- what cannot be used -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"not json", {m.ATTEMPT: "d1/0/1"}, "not JSON"),
        (b"[]", {m.ATTEMPT: "d1/0/1"}, "expected an object"),
        (b'{"status": "maybe"}', {m.ATTEMPT: "d1/0/1"}, "expected started, completed or failed"),
        (b'{"status": "started"}', {m.ATTEMPT: "d1"}, "not <deployment>/<step>/<attempt>"),
        (b"{}", {m.EVENT: "explode"}, "known are cancel, decide, declined, due, gone, retry"),
        (b'{"user": 1}', {m.EVENT: "cancel"}, "user and reason must be strings"),
        (b'{"before": "now"}', {m.EVENT: "gone"}, "before must be a number"),
    ],
)
def test_a_malformed_word_is_a_dead_letter_with_its_bytes(
    house: House, body: bytes, headers: dict[str, str], words: str
) -> None:
    _begin(house)
    queue = m.reply_queue("d1")
    house.bus.publish([Message(queue, body, "x", "d1", headers=headers, direct=True)])
    before = house.kinds()
    house.settle()
    (letter,) = [one.message for one in house.dead()]
    assert (letter.body, letter.headers[REASON], letter.headers[QUEUE]) == (body, "bad-message", queue)
    assert words in letter.headers[DETAIL]
    assert house.kinds() == before


@pytest.mark.parametrize("event", ["due", "cancel", "gone"])
def test_an_event_without_a_deployment_is_a_dead_letter(house: House, event: str) -> None:
    headers = {m.EVENT: event}
    house.bus.publish([Message("re.reply.0", b'{"before": 1}', "x", headers=headers, direct=True)])
    house.settle()
    (letter,) = house.dead()
    assert "which deployment is it about" in letter.message.headers[DETAIL]


def test_words_about_an_unknown_deployment_are_dead_letters(house: House) -> None:
    house.reply("nobody/0/1", {"status": "started"})
    house.reply("nobody/0/1", {"status": "completed"})
    house.settle()
    letters = [one.message.headers for one in house.dead()]
    assert [one[REASON] for one in letters] == ["unknown-deployment"] * 2
    assert letters[0][DETAIL] == "no deployment has the id 'nobody'"


def test_a_step_that_nobody_offers_fails_its_deployment_and_says_so(house: House) -> None:
    house.save(simple("ghost:Walk", "noop:B"), "ghostly")
    house.ask("d1", "ghostly")
    house.settle()
    assert house.state().reason == "ghost:Walk on web01 failed: no worker offers ghost:Walk"
    assert house.statuses() == ["failed", "skipped"]
    assert house.dead() == []


def test_a_notification_that_nobody_sends_is_a_dead_letter_and_stops_nothing(house: House) -> None:
    house.save(simple({"noop:A": {"notify": {"started": {"pigeon": ["coop"]}, "completed": {"console": ["x"]}}}}), "n")
    house.ask("d1", "n")
    house.settle()
    (letter,) = [one.message for one in house.dead()]
    assert (letter.headers[REASON], letter.headers[QUEUE]) == ("unroutable", "notify.pigeon")
    assert letter.headers[DETAIL] == "no notifier serves notify.pigeon"
    assert m.parse_notification(letter.body).target == ("coop",)
    assert house.world.told == {"d1/0/1/completed/console": 1}
    assert house.state().status == "completed"


def test_an_answer_that_nobody_waits_for_stops_nothing(house: House) -> None:
    house.ask("d1", reply_to="re.answer.99")
    house.settle()
    assert (house.state().status, house.dead()) == ("completed", [])


def test_an_event_that_breaks_the_machine_is_a_dead_letter_and_its_batch_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It broke in the middle: what it had done to the state by then is undone."""
    house.ask("d2", "hangs")
    _begin(house)
    real = machine.advance

    def broken(state: State, event: e.Event, now: int) -> Decision:
        decision = real(state, event, now)
        if isinstance(event, e.CancelAsked) and event.user == "poison":
            raise ZeroDivisionError("a bug")
        return decision

    monkeypatch.setattr("re_core.sequencer.work.advance", broken)
    house.say("d1", "due", id="1")
    house.cancel("d1", user="poison")
    house.reply("d1/0/1", {"status": "completed"})
    house.reply("d2/0/1", {"status": "completed"})
    house.settle()
    (letter,) = [one.message for one in house.dead()]
    assert (letter.headers[REASON], letter.headers[DETAIL]) == ("error", "ZeroDivisionError: a bug")
    assert b"poison" in letter.body
    assert [house.state(one).status for one in ("d1", "d2")] == ["completed", "completed"]
    assert "cancel_requested" not in house.kinds()


def test_a_broken_event_of_the_core_itself_stops_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.save(simple("ghost:Walk"), "ghostly")
    real = machine.advance

    def broken(state: State, event: e.Event, now: int) -> Decision:
        if isinstance(event, e.NoWorkerAvailable):
            raise ZeroDivisionError("a bug")
        return real(state, event, now)

    monkeypatch.setattr("re_core.sequencer.work.advance", broken)
    house.ask("d1", "ghostly")
    house.ask("d2")
    house.settle()
    assert [house.state(one).status for one in ("d1", "d2")] == ["accepted", "completed"]
    assert house.dead() == []


def test_a_damaged_deployment_is_left_alone_and_the_others_go_on(house: House) -> None:
    _begin(house)
    house.ask("d2", "hangs")
    house.settle()
    house.boot()  # a core that remembers nothing
    with house.store._database.writing() as connection:
        connection.execute("UPDATE journal SET body = json_remove(body, '$.v') WHERE deployment = 'd1'")
    for id in ("d1", "d2"):
        house.reply(f"{id}/0/1", {"status": "completed"})
    house.say("d1", "cancel", reply_to=house.ear.name)
    house.say("d1", "due")
    house.settle()
    letters = [one.message for one in house.dead()]
    assert [one.headers[REASON] for one in letters] == ["store-refused"] * 2
    assert "is damaged: it has no format" in letters[0].headers[DETAIL]
    (answer,) = [strict_json.loads(one.body) for one in house.ear.hear() if b"accepted" in one.body]
    assert answer["accepted"] is False
    assert house.state("d2").status == "completed"


def test_a_row_without_a_deployment_is_dropped_and_its_core_shut_out(house: House) -> None:
    """A core wrote the row, and then was away before it wrote the entry."""
    house.store.write_views([View("ghost", "g", "p", "n", "u", DeploymentStatus.ACCEPTED, 1, None, 0, 1, "", "", 1, 1)])
    house.wait(1)
    assert house.store.active() == []
    assert house.dead() == []
    assert [kind_of(record) for record in house.records("ghost")] == ["void"]
    house.ask("ghost")
    house.settle()
    assert house.answers() == [(None, "expired")]
    assert house.dead() == []


# -- late, twice -------------------------------------------------------------------------------------


def test_an_outcome_that_comes_twice_counts_once(house: House) -> None:
    _begin(house)
    house.reply("d1/0/1", {"status": "completed", "data": 1})
    house.reply("d1/0/1", {"status": "completed", "data": 2})
    house.settle()
    completed = [one for one in house.records() if isinstance(one, Completed)]
    assert [(one.step, one.data) for one in completed] == [(0, 1), (1, None)]
    house.reply("d1/0/1", {"status": "failed"})
    house.settle()
    assert (house.state().status, house.dead()) == ("completed", [])


def test_words_for_a_deployment_that_has_ended_change_nothing(house: House) -> None:
    house.ask("d1")
    house.settle()
    before = house.kinds()
    house.reply("d1/1/1", {"status": "started"})
    house.reply("d1/1/1", {"status": "completed"})
    house.say("d1", "due")
    house.say("d1", "gone", {"before": 2**60, "worker": None})
    house.settle()
    assert (house.kinds(), house.dead()) == (before, [])


def test_a_second_worker_that_claims_a_step_is_told_no(house: House) -> None:
    _begin(house)
    rival = house.new_worker("rival")
    house.bus.publish([_claim("rival", "t2")])
    house.core.turn(0)
    (answer,) = rival._subscription.take(10, 0)
    assert answer.message.headers == {m.EVENT: "no-go", m.ATTEMPT: "d1/0/1", m.TOKEN: "t2"}
    assert [one.worker for one in house.records() if isinstance(one, Started)] == ["w1"]


def test_the_same_claim_again_is_granted_again(house: House) -> None:
    _begin(house)
    token = house.state().steps[0].token
    other = house.new_worker("copy")
    house.bus.publish([_claim("copy", token)])
    house.core.turn(0)
    (answer,) = other._subscription.take(10, 0)
    assert answer.message.headers[m.EVENT] == "go"


def _claim(worker: str, token: str) -> Message:
    headers = {m.ATTEMPT: "d1/0/1", m.TOKEN: token, m.WORKER: worker}
    body = b'{"status":"started"}'
    return Message(m.reply_queue("d1"), body, "claim", "d1", f"re.control.{worker}", headers, direct=True)


def test_a_worker_that_declines_gets_the_step_again_as_a_new_attempt(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn()
    house.worker.decline("d1/0/1")  # no grant came: the core was slow
    house.settle()
    assert house.world.begun_times("d1") == {"d1/0/2": 1, "d1/1/1": 1}
    assert house.state().status == "completed"


def test_a_declined_message_without_a_reason_will_do(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.say("d1", "declined", {"reason": 3}, headers={m.ATTEMPT: "d1/0/1", m.TOKEN: "t"})
    house.settle()
    assert "fenced" in house.kinds()


def test_late_words_of_a_fenced_attempt_are_kept_and_change_nothing(house: House) -> None:
    _begin(house, "again")
    house.say("d1", "gone", {"before": 2**60, "worker": "w1"})
    house.settle()
    assert house.state().steps[0].attempt == 2
    house.worker.running.pop("d1/0/1")
    house.reply("d1/0/1", {"status": "failed"})
    house.settle()
    house.reply("d1/0/1", {"status": "failed"})
    house.settle()
    assert [one.said for one in house.records() if isinstance(one, Late)] == ["failed"]
    assert house.state().ended is None


# -- data --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    ["x" * MAX_DATA, "\N{SNOWMAN}" * (MAX_DATA // 2), [1e15] * (MAX_DATA // 16)],
    ids=["too many letters", "letters of three bytes", "numbers that grow"],
)
def test_data_that_is_too_long_is_cut_and_marked(house: House, data: Any) -> None:
    _begin(house)
    body = m.encode({"status": "completed", "data": data}).replace(b"1000000000000000.0", b"1e15")
    house.reply("d1/0/1", body)
    house.settle()
    (first, _) = [one for one in house.records() if isinstance(one, Completed)]
    assert first.cut and MAX_DATA - 3 < len(first.data.encode()) <= MAX_DATA
    assert strict_json.dumps(data).startswith(first.data)


@pytest.mark.parametrize("data", ["x" * (MAX_DATA - 2), "x" * (MAX_DATA - 20)], ids=["just", "well"])
def test_data_that_fits_is_kept_whole(house: House, data: str) -> None:
    _begin(house)
    house.reply("d1/0/1", {"status": "completed", "data": data})
    house.settle()
    (first, _) = [one for one in house.records() if isinstance(one, Completed)]
    assert (first.data, first.cut) == (data, False)


def test_a_long_message_is_cut_and_is_no_data(house: House) -> None:
    _begin(house)
    house.reply("d1/0/1", {"status": "completed", "message": "x" * MAX_DATA})
    house.settle()
    (first, _) = [one for one in house.records() if isinstance(one, Completed)]
    assert (first.data, first.cut) == (None, False)
    assert first.message == brief("x" * MAX_DATA, MAX_MESSAGE)


def test_more_deployments_than_a_core_remembers_end_all_the_same(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_core.sequencer.cache.Cache.__init__.__defaults__", (3, MOST_BYTES))
    house = build()
    house.save(simple("noop:A", "noop:B"))
    ids = [f"d{number}" for number in range(12)]
    for id in ids:
        house.ask(id)
    house.settle()
    assert [house.state(id).status for id in ids] == ["completed"] * 12
    assert house.faults.calls["entries"] > 0


def test_a_row_whose_request_comes_in_the_same_batch_is_not_dropped(house: House) -> None:
    """The core that wrote the row died, and its request is delivered again while the sweeper looks."""
    house.store.write_views([View("d1", "g", "p", "n", "u", DeploymentStatus.ACCEPTED, 1, None, 0, 1, "", "", 1, 1)])
    house.ask("d1")
    house.say("d1", "due")
    house.settle()
    assert "void" not in house.kinds()
    assert house.state().status == "completed"
    assert house.dead() == []
