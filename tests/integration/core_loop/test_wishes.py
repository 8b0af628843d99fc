"""What people ask of a deployment: cancel it, retry it, say what became of a lost step."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment.plan import OnLost
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery
from re_core.sequencer.batch import Batch
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.triage import Triage
from re_core.wire import strict_json
from re_core.wire.redaction import Redaction
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple("noop:A", "noop:B"))
    house.save(simple("noop:Hang", "noop:B"), "hangs")


def _begin(house: House, playbook: str = "hangs") -> None:
    """A deployment whose first step runs."""
    house.ask("d1", playbook)
    house.settle()
    house.ear.hear()


def _asked(house: House) -> list[dict[str, Any]]:
    return [strict_json.loads(one.body) for one in house.ear.hear()]


def test_a_running_step_is_told_to_stop_and_the_deployment_is_cancelled(house: House) -> None:
    _begin(house)
    house.cancel(user="ann", reason="wrong day")
    house.settle()
    assert _asked(house) == [{"accepted": True}]
    assert house.world.stopped == ["d1/0/1"]
    assert (house.state().status, house.state().reason) == ("cancelled", "cancelled by ann: wrong day")
    assert house.statuses() == ["cancelled", "skipped"]


def test_a_cancel_of_what_has_ended_is_refused_with_the_reason(house: House) -> None:
    house.ask("d1")
    house.settle()
    house.ear.hear()
    house.cancel()
    house.settle()
    assert _asked(house) == [{"accepted": False, "reason": "the deployment is completed"}]


def test_a_second_cancel_is_accepted_and_changes_nothing(house: House) -> None:
    _begin(house)
    house.cancel()
    house.core.turn(0)
    house.cancel()
    house.core.turn(0)
    assert _asked(house) == [{"accepted": True}, {"accepted": True}]
    assert house.kinds().count("cancel_requested") == 1


def test_a_cancel_before_the_step_began_begins_nothing(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn()  # it claims
    house.cancel()
    house.settle()
    assert house.state().status == "cancelled"
    assert house.world.begun in ([], house.world.begun[:1])
    house.settle()
    assert (house.worker.waiting, house.worker.running) == ({}, {})


# -- retry, decide -----------------------------------------------------------------------------------


@pytest.fixture
def asking(build: Build) -> House:
    """A house whose only deployment waits for a word about its first step."""
    house = build(around=EnginePolicy(on_lost=OnLost.ASK))
    house.save(simple("noop:Hang", "noop:B"), "hangs")
    _begin(house)
    house.restart()
    house.settle()
    assert house.state().status == "waiting"
    return house


def test_a_retry_goes_on_from_the_step_that_failed(house: House) -> None:
    _begin(house)
    house.worker.end("d1/0/1", {"status": "failed"})
    house.settle()
    house.retry(user="ann", reason="mended")
    house.settle()
    assert _asked(house) == [{"accepted": True}]
    assert house.statuses() == ["started", "pending"]
    house.worker.end("d1/0/2", {"status": "completed"})
    house.settle()
    assert house.state().status == "completed"


def test_a_retry_says_what_became_of_a_lost_step(house: House) -> None:
    _begin(house)
    house.restart()
    house.settle()
    house.retry()
    house.settle()
    [refused] = _asked(house)
    assert refused["reason"] == "the outcome of step 0, noop:Hang on web01, is unknown; say `succeeded` or `rerun`"
    house.retry(id="r2", lost="happened")
    house.settle()
    assert house.statuses() == ["completed", "completed"]


def test_a_retry_of_something_else_by_now_is_refused(house: House) -> None:
    _begin(house)
    house.restart()
    house.settle()
    house.retry(lost="happened", retries=3)
    house.settle()
    assert "look again" in _asked(house)[0]["reason"]


def test_a_decision_lets_it_go_on_and_a_second_one_is_refused(asking: House) -> None:
    asking.decide(step=0, ruling="happened", user="ann", attempt=1)
    asking.settle()
    asking.decide(id="r2", step=0, ruling="again")
    asking.settle()
    assert [one["accepted"] for one in _asked(asking)] == [True, False]
    assert asking.statuses() == ["completed", "completed"]


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("retry", {"lost": "perhaps"}),
        ("retry", {"retries": "1"}),
        ("retry", {"user": 1}),
        ("decide", {"ruling": "again"}),
        ("decide", {"step": True, "ruling": "again"}),
        ("decide", {"step": 0}),
        ("decide", {"step": 0, "ruling": "again", "attempt": 1.5}),
    ],
)
def test_a_wish_that_nobody_can_read_is_a_dead_letter(asking: House, event: str, body: dict[str, Any]) -> None:
    asking.say("d1", event, body)
    asking.settle()
    assert len(asking.dead()) == 1
    assert asking.state().status == "waiting"


@pytest.mark.parametrize(("waited", "carried_out"), [(9.9, True), (10.1, False)])
def test_a_wish_that_lay_in_our_hands_for_longer_than_its_author_waits_is_not_carried_out(
    asking: House, waited: float, carried_out: bool
) -> None:
    now = 1000.0
    core = asking.core
    outbox = Outbox(asking.bus, asking.store, asking.clock)
    sorting = Triage(core._taking, outbox, core._acceptance, Redaction(), lambda: now)
    asking.decide(step=0, ruling="again")
    [delivery] = [one for one in core._subscription.take(10, 0) if one.message.id == "r1"]
    late = Delivery(delivery.message._replace(expires=10_000), delivery.queue, False, 1, 0, now - waited)
    batch = Batch(asking.clock.now(), "w")
    sorting.sort(batch, late)
    outbox.send()
    assert (list(batch.groups) == ["d1"]) is carried_out
    assert [one["accepted"] for one in _asked(asking)] == ([] if carried_out else [False])
