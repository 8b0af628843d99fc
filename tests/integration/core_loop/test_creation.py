"""job.create: what is answered, what begins, and what is refused with which words."""

from __future__ import annotations

import pytest

from re_core.admission import acceptance
from re_core.admission.acceptance import derived_id
from re_core.deployment import machine
from re_core.deployment.records import Entry
from re_core.errors import StoreRefused
from re_core.ports import KeyRecord
from re_core.wire import messages as m
from re_core.wire import strict_json
from re_core.wire.dead_letters import QUEUE, REASON
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness

WANTS = simple({"noop:A": {"dynamic": ["cart", "lane"]}}, {"noop:B": {"dynamic": ["cart", "x/y"]}})


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.save(WANTS, "wants")


def test_a_deployment_is_answered_with_its_id_once_it_is_in_the_journal(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    (answer,) = harness.probe.hear()
    assert (answer.id, answer.body, answer.headers) == ("d1/answer", b'{"id":"d1"}', {})
    assert answer.correlation_id == "d1"
    assert harness.kinds() == ["accepted", "dispatched"]


def test_who_asked_and_from_where_is_what_the_headers_say(harness: CoreHarness) -> None:
    harness.ask("d1", headers={m.USER: "ann", m.SOURCE: "10.0.0.1"})
    body = b'{"group": "inception", "playbook_id": "p1", "user_id": "old", "source_ip": "10.0.0.2"}'
    harness.ask("d2", body=body)
    harness.core.turn(0)
    said = [(harness.state(one).accepted.user, harness.state(one).accepted.source) for one in ("d1", "d2")]
    assert said == [("ann", "10.0.0.1"), ("old", "10.0.0.2")]


def test_a_request_that_wants_no_answer_gets_none(harness: CoreHarness) -> None:
    harness.ask("d1", reply_to="")
    harness.ask("d2", reply_to="", group="nobody")
    harness.settle()
    assert (harness.answers(), harness.state().status) == ([], "completed")


def test_bad_json_is_a_dead_letter_and_answered_no(harness: CoreHarness) -> None:
    harness.ask("d1", body=b'{"group": ')
    harness.settle()
    (answer,) = harness.probe.hear()
    assert strict_json.loads(answer.body) == {"id": None}
    assert answer.headers[m.REASON] == "bad-message"
    (letter,) = harness.dead()
    assert letter.message.body == b'{"group": '
    assert (letter.message.headers[QUEUE], letter.message.headers[REASON]) == (m.JOB_CREATE, "bad-message")


def test_a_key_of_the_wrong_type_is_named_by_its_path(harness: CoreHarness) -> None:
    harness.ask("d1", body=b'{"group": 1, "playbook_id": "p1"}')
    harness.settle()
    (answer,) = harness.probe.hear()
    assert answer.headers[m.DETAIL] == "/group: expected a string, found a number"
    problems = strict_json.loads(answer.headers[m.PROBLEMS])
    assert problems == [{"path": "/group", "message": "expected a string, found a number"}]


def test_bad_json_from_nobody_is_a_dead_letter_all_the_same(harness: CoreHarness) -> None:
    harness.ask("d1", body=b"[]", reply_to="")
    harness.settle()
    assert (len(harness.dead()), harness.answers()) == (1, [])


@pytest.mark.parametrize(
    ("group", "playbook", "reason", "words"),
    [
        ("nobody", "p1", "unknown-group", "no playbook belongs to the group 'nobody'"),
        ("inception", "p9", "unknown-playbook", "the group 'inception' has no playbook with the id 'p9'"),
    ],
)
def test_what_is_unknown_is_said(harness: CoreHarness, group: str, playbook: str, reason: str, words: str) -> None:
    harness.ask("d1", playbook, group=group)
    harness.settle()
    (answer,) = harness.probe.hear()
    assert (answer.headers[m.REASON], answer.headers[m.DETAIL]) == (reason, words)
    assert (harness.dead(), harness.store.entries("d1")) == ([], [])


def test_a_playbook_of_another_group_is_unknown(harness: CoreHarness) -> None:
    other = simple("noop:A")
    harness.store.save_playbook(harness.store.playbooks()[0]._replace(id="theirs", group="other", document=other))
    harness.ask("d1", "theirs")
    harness.settle()
    assert harness.answers() == [(None, "unknown-playbook")]


def test_all_values_that_are_missing_are_named_at_once(harness: CoreHarness) -> None:
    harness.ask("d1", "wants", dynamic={"lane": 1})
    harness.settle()
    (answer,) = harness.probe.hear()
    assert answer.headers[m.REASON] == "bad-dynamic"
    assert answer.headers[m.DETAIL] == "dynamic values are missing: cart, x/y"
    paths = [problem["path"] for problem in strict_json.loads(answer.headers[m.PROBLEMS])]
    assert paths == ["/dynamic/cart", "/dynamic/x~1y"]


def test_a_playbook_that_older_rules_let_in_is_refused(harness: CoreHarness) -> None:
    harness.save({"group": "inception", "name": "old", "execution": []}, "old")
    harness.ask("d1", "old")
    harness.settle()
    (answer,) = harness.probe.hear()
    assert answer.headers[m.REASON] == "refused"
    assert answer.headers[m.DETAIL].startswith("the playbook old cannot be compiled: expected a list")


def test_the_words_of_a_refusal_fit_into_a_header(harness: CoreHarness) -> None:
    harness.ask("d1", "x" * 5000 + "\r\nevil: 1")
    harness.settle()
    (answer,) = harness.probe.hear()
    assert "\n" not in answer.headers[m.DETAIL] and len(answer.headers[m.DETAIL]) <= 1000


# -- ids ---------------------------------------------------------------------------------------------


def test_a_request_of_2014_without_an_id_gets_one_of_its_body_and_its_reply_queue(harness: CoreHarness) -> None:
    message = harness.request("")
    harness.bus.publish([message])
    harness.settle()
    [(id, reason)] = harness.answers()
    assert (id, reason) == (derived_id(message), "")
    assert len(id) == 26 and harness.state(id).status == "completed"


def test_the_same_request_without_an_id_redelivered_is_the_same_deployment(harness: CoreHarness) -> None:
    message = harness.request("")
    harness.bus.publish([message])
    harness.settle()
    harness.bus.publish([message])
    harness.settle()
    (first, _), (second, _) = harness.answers()
    assert first == second and len(harness.store.active()) == 0


def test_another_reply_queue_makes_another_deployment(harness: CoreHarness) -> None:
    assert derived_id(harness.request("")) != derived_id(harness.request("", reply_to="amq.gen-2"))
    assert derived_id(harness.request("", "p1")) != derived_id(harness.request("", "p2"))


def test_a_redelivered_request_is_answered_again_and_begins_nothing_twice(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    before = harness.kinds()
    harness.ask("d1")
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert harness.kinds() == before
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}


def test_a_redelivered_request_asks_again_for_what_is_awaited(harness: CoreHarness) -> None:
    """The first process died after the append and before it published."""
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker.turn(0)  # a process that took nothing
    harness.restart()
    harness.ask("d1")
    harness.settle()
    assert harness.state().status == "completed"


def test_the_same_request_twice_in_one_batch_begins_once(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.ask("d1")
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert harness.kinds().count("accepted") == 1
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}


@pytest.mark.parametrize("together", [True, False])
def test_another_request_under_the_same_id_is_refused(harness: CoreHarness, together: bool) -> None:
    harness.ask("d1", dynamic={"n": 1})
    if not together:
        harness.settle()
    harness.ask("d1", dynamic={"n": 2})
    harness.settle()
    first, second = harness.probe.hear()
    assert strict_json.loads(first.body) == {"id": "d1"}
    assert strict_json.loads(second.body) == {"id": None}
    assert second.headers[m.REASON] == "refused"
    assert second.headers[m.DETAIL] == "the id d1 belongs to another deployment"
    assert harness.state().accepted.dynamic == {"n": 1}


def test_a_redelivered_request_is_answered_again_though_its_playbook_is_gone(harness: CoreHarness) -> None:
    """Nothing starts behind a caller's back: a no would be a lie now."""
    harness.ask("d1")
    harness.core.turn(0)
    harness.store.delete_playbook("p1", 1)
    harness.ask("d1")
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]


def test_a_redelivered_request_is_answered_again_though_its_playbook_wants_more_now(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.save(WANTS, "p1", revision=2)
    harness.ask("d1")
    harness.ask("d1", dynamic={"n": 1})
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", ""), (None, "bad-dynamic")]


# -- idempotency keys --------------------------------------------------------------------------------

KEY = {m.KEY: "k1"}


def test_one_key_is_one_deployment(harness: CoreHarness) -> None:
    harness.ask("d1", headers=KEY)
    harness.settle()
    harness.ask("d2", headers=KEY)
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert harness.store.entries("d2") == []


def test_one_key_twice_in_one_batch_is_one_deployment(harness: CoreHarness) -> None:
    harness.ask("d1", headers=KEY)
    harness.ask("d2", headers=KEY)
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert (harness.kinds("d1").count("accepted"), harness.store.entries("d2")) == (1, [])
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}


def test_one_key_from_two_users_at_once_is_one_deployment(harness: CoreHarness) -> None:
    """Their first entries differ, so one of them is lost."""
    harness.ask("d1", headers={**KEY, m.USER: "ann"})
    harness.ask("d2", headers={**KEY, m.USER: "bob"})
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert harness.state("d1").accepted.user == "ann"


def test_one_key_with_another_body_is_refused(harness: CoreHarness) -> None:
    harness.ask("d1", headers=KEY)
    harness.ask("d2", headers=KEY, dynamic={"n": 1})
    harness.ask("d3", headers=KEY, playbook="p2")
    harness.settle()
    assert harness.answers() == [("d1", ""), (None, "key-reused"), (None, "key-reused")]
    assert harness.store.entries("d2") == harness.store.entries("d3") == []


def test_the_digest_of_who_took_the_request_counts_where_there_is_one(harness: CoreHarness) -> None:
    harness.ask("d1", headers={**KEY, m.KEY_DIGEST: "a"})
    harness.ask("d2", headers={**KEY, m.KEY_DIGEST: "a"})
    harness.ask("d3", headers={**KEY, m.KEY_DIGEST: "b"})
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", ""), (None, "key-reused")]


def test_a_key_whose_first_request_died_before_its_deployment_goes_on_with_the_same_id(harness: CoreHarness) -> None:
    harness.store.claim(KeyRecord("k1", "d1", "a"))
    harness.ask("d2", headers={**KEY, m.KEY_DIGEST: "a"})
    harness.settle()
    assert harness.answers() == [("d1", "")]
    assert (harness.state("d1").status, harness.store.entries("d2")) == ("completed", [])


def test_a_key_is_answered_again_though_its_playbook_is_gone(harness: CoreHarness) -> None:
    harness.ask("d1", headers=KEY)
    harness.settle()
    harness.store.delete_playbook("p1", 1)
    harness.ask("d2", headers=KEY)
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]


# -- what must not take the others with it -----------------------------------------------------------


def test_a_request_whose_journal_a_newer_engine_wrote_is_a_dead_letter_and_the_others_go_on(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    real = harness.store.entries

    def newer(deployment: str, after: int = 0) -> list[Entry]:
        if deployment == "d1":
            raise StoreRefused("journal entry d1:000001 has format 2")
        return real(deployment, after)

    monkeypatch.setattr(harness.store, "entries", newer)
    harness.ask("d1")
    harness.ask("d2")
    harness.core.turn(0)
    assert harness.answers() == [("d1", ""), ("d2", ""), (None, "refused")]
    (letter,) = harness.dead()
    assert letter.message.headers[REASON] == "store-refused"


def test_a_request_that_breaks_the_planner_is_a_dead_letter_and_the_others_go_on(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = acceptance.request_digest

    def broken(request: m.DeploymentRequest) -> str:
        if "poison" in request.dynamic:
            raise ZeroDivisionError("a bug")
        return real(request)

    monkeypatch.setattr(acceptance, "request_digest", broken)
    harness.ask("d1", dynamic={"poison": 1})
    harness.ask("d2")
    harness.settle()
    assert harness.answers() == [("d2", ""), (None, "refused")]
    (letter,) = harness.dead()
    assert letter.message.headers[REASON] == "error" and b"poison" in letter.message.body
    assert harness.state("d2").status == "completed"


def test_a_request_that_breaks_the_machine_is_a_dead_letter_and_the_others_go_on(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = machine.accept

    def broken(deployment: str, *arguments: object) -> object:
        if deployment == "d1":
            raise ZeroDivisionError("a bug")
        return real(deployment, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("re_core.sequencer.deployments.accept", broken)
    harness.ask("d1")
    harness.ask("d2")
    harness.settle()
    assert harness.answers() == [("d2", ""), (None, "refused")]
    assert [letter.message.headers[REASON] for letter in harness.dead()] == ["error"]
    assert (harness.store.entries("d1"), harness.state("d2").status) == ([], "completed")


def test_a_new_revision_is_what_runs_from_then_on(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    harness.save(simple("noop:A", "noop:B"), "p1", revision=2)
    harness.ask("d2")
    harness.settle()
    assert [harness.state(one).accepted.revision for one in ("d1", "d2")] == [1, 2]
    assert [len(harness.state(one).plan.steps) for one in ("d1", "d2")] == [1, 2]


def test_a_core_that_was_slower_answers_for_the_deployment_that_is_there(build: Build) -> None:
    """Two cores got copies of one request: the journal decides."""
    harness = build(sequencers=2)
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.ask("d1")
    assert [core.turn(0) for core in harness.cores] == [1, 1]
    harness.settle()
    assert harness.answers() == [("d1", ""), ("d1", "")]
    assert harness.world.begun_times("d1") == {"d1/0/1": 1}


def test_requests_that_came_together_read_their_playbook_once_and_later_ones_read_it_again(
    harness: CoreHarness,
) -> None:
    for one in ("d1", "d2", "d3"):
        harness.ask(one)
    harness.core.turn(0)
    assert harness.faults.calls["playbook"] == 1
    harness.save(simple("noop:B"), revision=2)
    harness.ask("d4")
    harness.core.turn(0)
    assert [harness.state(one).accepted.revision for one in ("d1", "d2", "d3", "d4")] == [1, 1, 1, 2]
