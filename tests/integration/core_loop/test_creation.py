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
from tests.integration.core_loop.house import House

WANTS = simple({"noop:A": {"dynamic": ["cart", "lane"]}}, {"noop:B": {"dynamic": ["cart", "x/y"]}})


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple("noop:A"))
    house.save(WANTS, "wants")


def test_a_deployment_is_answered_with_its_id_once_it_is_in_the_journal(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    (answer,) = house.ear.hear()
    assert (answer.id, answer.body, answer.headers) == ("d1/answer", b'{"id":"d1"}', {})
    assert answer.correlation_id == "d1"
    assert house.kinds() == ["accepted", "dispatched"]


def test_who_asked_and_from_where_is_what_the_headers_say(house: House) -> None:
    house.ask("d1", headers={m.USER: "ann", m.SOURCE: "10.0.0.1"})
    body = b'{"group": "inception", "playbook_id": "p1", "user_id": "old", "source_ip": "10.0.0.2"}'
    house.ask("d2", body=body)
    house.core.turn(0)
    said = [(house.state(one).accepted.user, house.state(one).accepted.source) for one in ("d1", "d2")]
    assert said == [("ann", "10.0.0.1"), ("old", "10.0.0.2")]


def test_a_request_that_wants_no_answer_gets_none(house: House) -> None:
    house.ask("d1", reply_to="")
    house.ask("d2", reply_to="", group="nobody")
    house.settle()
    assert (house.answers(), house.state().status) == ([], "completed")


def test_bad_json_is_a_dead_letter_and_answered_no(house: House) -> None:
    house.ask("d1", body=b'{"group": ')
    house.settle()
    (answer,) = house.ear.hear()
    assert strict_json.loads(answer.body) == {"id": None}
    assert answer.headers[m.REASON] == "bad-message"
    (letter,) = house.dead()
    assert letter.message.body == b'{"group": '
    assert (letter.message.headers[QUEUE], letter.message.headers[REASON]) == (m.JOB_CREATE, "bad-message")


def test_a_key_of_the_wrong_type_is_named_by_its_path(house: House) -> None:
    house.ask("d1", body=b'{"group": 1, "playbook_id": "p1"}')
    house.settle()
    (answer,) = house.ear.hear()
    assert answer.headers[m.DETAIL] == "/group: expected a string, found a number"
    problems = strict_json.loads(answer.headers[m.PROBLEMS])
    assert problems == [{"path": "/group", "message": "expected a string, found a number"}]


def test_bad_json_from_nobody_is_a_dead_letter_all_the_same(house: House) -> None:
    house.ask("d1", body=b"[]", reply_to="")
    house.settle()
    assert (len(house.dead()), house.answers()) == (1, [])


@pytest.mark.parametrize(
    ("group", "playbook", "reason", "words"),
    [
        ("nobody", "p1", "unknown-group", "no playbook belongs to the group 'nobody'"),
        ("inception", "p9", "unknown-playbook", "the group 'inception' has no playbook with the id 'p9'"),
    ],
)
def test_what_is_unknown_is_said(house: House, group: str, playbook: str, reason: str, words: str) -> None:
    house.ask("d1", playbook, group=group)
    house.settle()
    (answer,) = house.ear.hear()
    assert (answer.headers[m.REASON], answer.headers[m.DETAIL]) == (reason, words)
    assert (house.dead(), house.store.entries("d1")) == ([], [])


def test_a_playbook_of_another_group_is_unknown(house: House) -> None:
    other = simple("noop:A")
    house.store.save_playbook(house.store.playbooks()[0]._replace(id="theirs", group="other", document=other))
    house.ask("d1", "theirs")
    house.settle()
    assert house.answers() == [(None, "unknown-playbook")]


def test_all_values_that_are_missing_are_named_at_once(house: House) -> None:
    house.ask("d1", "wants", dynamic={"lane": 1})
    house.settle()
    (answer,) = house.ear.hear()
    assert answer.headers[m.REASON] == "bad-dynamic"
    assert answer.headers[m.DETAIL] == "values are missing: cart, x/y"
    paths = [problem["path"] for problem in strict_json.loads(answer.headers[m.PROBLEMS])]
    assert paths == ["/dynamic/cart", "/dynamic/x~1y"]


def test_a_playbook_that_older_rules_let_in_is_refused(house: House) -> None:
    house.save({"group": "inception", "name": "old", "execution": []}, "old")
    house.ask("d1", "old")
    house.settle()
    (answer,) = house.ear.hear()
    assert answer.headers[m.REASON] == "refused"
    assert answer.headers[m.DETAIL].startswith("the playbook old cannot be planned: expected a list")


def test_the_words_of_a_refusal_fit_into_a_header(house: House) -> None:
    house.ask("d1", "x" * 5000 + "\r\nevil: 1")
    house.settle()
    (answer,) = house.ear.hear()
    assert "\n" not in answer.headers[m.DETAIL] and len(answer.headers[m.DETAIL]) <= 1000


# -- ids ---------------------------------------------------------------------------------------------


def test_a_request_of_2014_without_an_id_gets_one_of_its_body_and_its_reply_queue(house: House) -> None:
    message = house.request("")
    house.bus.publish([message])
    house.settle()
    [(id, reason)] = house.answers()
    assert (id, reason) == (derived_id(message), "")
    assert len(id) == 26 and house.state(id).status == "completed"


def test_the_same_request_without_an_id_redelivered_is_the_same_deployment(house: House) -> None:
    message = house.request("")
    house.bus.publish([message])
    house.settle()
    house.bus.publish([message])
    house.settle()
    (first, _), (second, _) = house.answers()
    assert first == second and len(house.store.active()) == 0


def test_another_reply_queue_makes_another_deployment(house: House) -> None:
    assert derived_id(house.request("")) != derived_id(house.request("", reply_to="amq.gen-2"))
    assert derived_id(house.request("", "p1")) != derived_id(house.request("", "p2"))


def test_a_redelivered_request_is_answered_again_and_begins_nothing_twice(house: House) -> None:
    house.ask("d1")
    house.settle()
    before = house.kinds()
    house.ask("d1")
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert house.kinds() == before
    assert house.world.begun_times("d1") == {"d1/0/1": 1}


def test_a_redelivered_request_asks_again_for_what_is_awaited(house: House) -> None:
    """The first process died after the append and before it published."""
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn(0)  # a process that took nothing
    house.restart()
    house.ask("d1")
    house.settle()
    assert house.state().status == "completed"


def test_the_same_request_twice_in_one_batch_begins_once(house: House) -> None:
    house.ask("d1")
    house.ask("d1")
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert house.kinds().count("accepted") == 1
    assert house.world.begun_times("d1") == {"d1/0/1": 1}


@pytest.mark.parametrize("together", [True, False])
def test_another_request_under_the_same_id_is_refused(house: House, together: bool) -> None:
    house.ask("d1", dynamic={"n": 1})
    if not together:
        house.settle()
    house.ask("d1", dynamic={"n": 2})
    house.settle()
    first, second = house.ear.hear()
    assert strict_json.loads(first.body) == {"id": "d1"}
    assert strict_json.loads(second.body) == {"id": None}
    assert second.headers[m.REASON] == "refused"
    assert second.headers[m.DETAIL] == "the id d1 belongs to another deployment"
    assert house.state().accepted.dynamic == {"n": 1}


def test_a_redelivered_request_is_answered_again_though_its_playbook_is_gone(house: House) -> None:
    """Nothing starts behind a caller's back: a no would be a lie now."""
    house.ask("d1")
    house.core.turn(0)
    house.store.delete_playbook("p1", 1)
    house.ask("d1")
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]


def test_a_redelivered_request_is_answered_again_though_its_playbook_wants_more_now(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.save(WANTS, "p1", revision=2)
    house.ask("d1")
    house.ask("d1", dynamic={"n": 1})
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", ""), (None, "bad-dynamic")]


# -- idempotency keys --------------------------------------------------------------------------------

KEY = {m.KEY: "k1"}


def test_one_key_is_one_deployment(house: House) -> None:
    house.ask("d1", headers=KEY)
    house.settle()
    house.ask("d2", headers=KEY)
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert house.store.entries("d2") == []


def test_one_key_twice_in_one_batch_is_one_deployment(house: House) -> None:
    house.ask("d1", headers=KEY)
    house.ask("d2", headers=KEY)
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert (house.kinds("d1").count("accepted"), house.store.entries("d2")) == (1, [])
    assert house.world.begun_times("d1") == {"d1/0/1": 1}


def test_one_key_from_two_users_at_once_is_one_deployment(house: House) -> None:
    """Their first entries differ, so one of them is lost."""
    house.ask("d1", headers={**KEY, m.USER: "ann"})
    house.ask("d2", headers={**KEY, m.USER: "bob"})
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert house.state("d1").accepted.user == "ann"


def test_one_key_with_another_body_is_refused(house: House) -> None:
    house.ask("d1", headers=KEY)
    house.ask("d2", headers=KEY, dynamic={"n": 1})
    house.ask("d3", headers=KEY, playbook="p2")
    house.settle()
    assert house.answers() == [("d1", ""), (None, "key-reused"), (None, "key-reused")]
    assert house.store.entries("d2") == house.store.entries("d3") == []


def test_the_digest_of_who_took_the_request_counts_where_there_is_one(house: House) -> None:
    house.ask("d1", headers={**KEY, m.KEY_DIGEST: "a"})
    house.ask("d2", headers={**KEY, m.KEY_DIGEST: "a"})
    house.ask("d3", headers={**KEY, m.KEY_DIGEST: "b"})
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", ""), (None, "key-reused")]


def test_a_key_whose_first_request_died_before_its_deployment_goes_on_with_the_same_id(house: House) -> None:
    house.store.claim(KeyRecord("k1", "d1", "a"))
    house.ask("d2", headers={**KEY, m.KEY_DIGEST: "a"})
    house.settle()
    assert house.answers() == [("d1", "")]
    assert (house.state("d1").status, house.store.entries("d2")) == ("completed", [])


def test_a_key_is_answered_again_though_its_playbook_is_gone(house: House) -> None:
    house.ask("d1", headers=KEY)
    house.settle()
    house.store.delete_playbook("p1", 1)
    house.ask("d2", headers=KEY)
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]


# -- what must not take the others with it -----------------------------------------------------------


def test_a_request_whose_journal_a_newer_engine_wrote_is_a_dead_letter_and_the_others_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.ask("d1")
    house.core.turn(0)
    real = house.store.entries

    def newer(deployment: str, after: int = 0) -> list[Entry]:
        if deployment == "d1":
            raise StoreRefused("journal entry d1:000001 has format 2")
        return real(deployment, after)

    monkeypatch.setattr(house.store, "entries", newer)
    house.ask("d1")
    house.ask("d2")
    house.core.turn(0)
    assert house.answers() == [("d1", ""), ("d2", ""), (None, "refused")]
    (letter,) = house.dead()
    assert letter.message.headers[REASON] == "store-refused"


def test_a_request_that_breaks_the_planner_is_a_dead_letter_and_the_others_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = acceptance.request_digest

    def broken(request: m.DeploymentRequest) -> str:
        if "poison" in request.dynamic:
            raise ZeroDivisionError("a bug")
        return real(request)

    monkeypatch.setattr(acceptance, "request_digest", broken)
    house.ask("d1", dynamic={"poison": 1})
    house.ask("d2")
    house.settle()
    assert house.answers() == [("d2", ""), (None, "refused")]
    (letter,) = house.dead()
    assert letter.message.headers[REASON] == "error" and b"poison" in letter.message.body
    assert house.state("d2").status == "completed"


def test_a_request_that_breaks_the_machine_is_a_dead_letter_and_the_others_go_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = machine.accept

    def broken(deployment: str, *arguments: object) -> object:
        if deployment == "d1":
            raise ZeroDivisionError("a bug")
        return real(deployment, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("re_core.sequencer.work.accept", broken)
    house.ask("d1")
    house.ask("d2")
    house.settle()
    assert house.answers() == [("d2", ""), (None, "refused")]
    assert [letter.message.headers[REASON] for letter in house.dead()] == ["error"]
    assert (house.store.entries("d1"), house.state("d2").status) == ([], "completed")


def test_a_new_revision_is_what_runs_from_then_on(house: House) -> None:
    house.ask("d1")
    house.settle()
    house.save(simple("noop:A", "noop:B"), "p1", revision=2)
    house.ask("d2")
    house.settle()
    assert [house.state(one).accepted.revision for one in ("d1", "d2")] == [1, 2]
    assert [len(house.state(one).plan.steps) for one in ("d1", "d2")] == [1, 2]


def test_a_core_that_was_slower_answers_for_the_deployment_that_is_there(build: Build) -> None:
    """Two cores got copies of one request: the journal decides."""
    house = build(sequencers=2)
    house.save(simple("noop:A"))
    house.ask("d1")
    house.ask("d1")
    assert [core.turn(0) for core in house.cores] == [1, 1]
    house.settle()
    assert house.answers() == [("d1", ""), ("d1", "")]
    assert house.world.begun_times("d1") == {"d1/0/1": 1}


def test_requests_that_came_together_read_their_playbook_once_and_later_ones_read_it_again(house: House) -> None:
    for one in ("d1", "d2", "d3"):
        house.ask(one)
    house.core.turn(0)
    assert house.faults.calls["playbook"] == 1
    house.save(simple("noop:B"), revision=2)
    house.ask("d4")
    house.core.turn(0)
    assert [house.state(one).accepted.revision for one in ("d1", "d2", "d3", "d4")] == [1, 1, 1, 2]
