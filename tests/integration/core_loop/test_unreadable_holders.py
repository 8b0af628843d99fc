"""A journal that is damaged stands behind a key, a lock or a retry: who asks hears why, and no core ends by it."""

from __future__ import annotations

from re_core.wire import messages as m
from re_core.wire import strict_json
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness

KEY = {m.KEY: "k1", m.KEY_DIGEST: "a"}


def _damage(harness: CoreHarness, deployment: str) -> None:
    """Its first entry is no entry any more, and this core has forgotten it."""
    with harness.store._database.writing() as connection:
        update = "UPDATE journal SET body = json_set(body, '$.records[0].kind', json('null')) WHERE deployment = ?"
        assert connection.execute(update, [deployment]).rowcount
    harness.boot()


def test_a_key_that_stands_for_a_damaged_deployment_is_refused_and_the_others_go_on(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.ask("d1", headers=KEY)
    harness.settle()
    harness.probe.hear()
    _damage(harness, "d1")
    harness.ask("d2", headers=KEY)
    harness.ask("d3")
    harness.settle()
    said = {answer.id: answer for answer in harness.probe.hear()}
    assert strict_json.loads(said["d3/answer"].body) == {"id": "d3"}
    assert said["d2/answer"].headers[m.REASON] == "refused"
    assert "the journal of the deployment d1 cannot be read" in said["d2/answer"].headers[m.DETAIL]


def test_an_exclusive_playbook_that_a_damaged_deployment_holds_is_refused_and_names_it(harness: CoreHarness) -> None:
    harness.save({**simple("noop:Hang"), "exclusive": True}, "hangs")
    harness.save(simple("noop:A"))
    harness.ask("d1", "hangs")
    harness.settle()
    harness.probe.hear()
    _damage(harness, "d1")
    harness.ask("d2", "hangs")
    harness.ask("d3")
    harness.settle()
    said = {answer.id: answer for answer in harness.probe.hear()}
    assert strict_json.loads(said["d3/answer"].body) == {"id": "d3"}
    assert (said["d2/answer"].headers[m.REASON], said["d2/answer"].headers[m.HOLDER]) == ("refused", "d1")
    assert "the journal of the deployment d1 cannot be read" in said["d2/answer"].headers[m.DETAIL]


def test_a_retry_of_a_damaged_deployment_is_a_dead_letter_and_answered(harness: CoreHarness) -> None:
    harness.save({**simple("noop:Hang"), "exclusive": True}, "hangs")
    harness.ask("d1", "hangs")
    harness.settle()
    harness.probe.hear()
    _damage(harness, "d1")
    harness.retry("d1")
    harness.settle()
    [answer] = harness.probe.hear()
    assert strict_json.loads(answer.body)["accepted"] is False
    [letter] = harness.dead()
    assert "d1" in letter.message.correlation_id
