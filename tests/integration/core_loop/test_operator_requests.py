"""What people ask of a deployment: cancel it, retry it, say what became of a lost step."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment.plan import OnLost
from re_core.playbook.compiler import EnginePolicy
from re_core.ports import Delivery
from re_core.sequencer.batch import Batch
from re_core.sequencer.outbox import Outbox
from re_core.sequencer.rejections import Rejections
from re_core.sequencer.triage import Triage
from re_core.wire import strict_json
from re_core.wire.redaction import Redaction
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    harness.save(simple("noop:A", "noop:B"))
    harness.save(simple("noop:Hang", "noop:B"), "hangs")


def _begin(harness: CoreHarness, playbook: str = "hangs") -> None:
    """A deployment whose first step runs."""
    harness.ask("d1", playbook)
    harness.settle()
    harness.probe.hear()


def _asked(harness: CoreHarness) -> list[dict[str, Any]]:
    return [strict_json.loads(one.body) for one in harness.probe.hear()]


def test_a_running_step_is_told_to_stop_and_the_deployment_is_cancelled(harness: CoreHarness) -> None:
    _begin(harness)
    harness.cancel(user="ann", reason="wrong day")
    harness.settle()
    assert _asked(harness) == [{"accepted": True}]
    assert harness.world.stopped == ["d1/0/1"]
    assert (harness.state().status, harness.state().reason) == ("cancelled", "cancelled by ann: wrong day")
    assert harness.statuses() == ["cancelled", "skipped"]


def test_a_cancel_of_what_has_ended_is_refused_with_the_reason(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    harness.probe.hear()
    harness.cancel()
    harness.settle()
    assert _asked(harness) == [{"accepted": False, "reason": "the deployment is completed"}]


def test_a_second_cancel_is_accepted_and_changes_nothing(harness: CoreHarness) -> None:
    _begin(harness)
    harness.cancel()
    harness.core.turn(0)
    harness.cancel()
    harness.core.turn(0)
    assert _asked(harness) == [{"accepted": True}, {"accepted": True}]
    assert harness.kinds().count("cancel_requested") == 1


def test_a_cancel_before_the_step_began_begins_nothing(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker.turn()  # it claims
    harness.cancel()
    harness.settle()
    assert harness.state().status == "cancelled"
    assert harness.world.begun in ([], harness.world.begun[:1])
    harness.settle()
    assert (harness.worker.waiting, harness.worker.running) == ({}, {})


# -- retry, decide -----------------------------------------------------------------------------------


@pytest.fixture
def asking(build: Build) -> CoreHarness:
    """A harness whose only deployment waits for a word about its first step."""
    harness = build(around=EnginePolicy(on_lost=OnLost.ASK))
    harness.save(simple("noop:Hang", "noop:B"), "hangs")
    _begin(harness)
    harness.restart()
    harness.settle()
    assert harness.state().status == "waiting"
    return harness


def test_a_retry_goes_on_from_the_step_that_failed(harness: CoreHarness) -> None:
    _begin(harness)
    harness.worker.end("d1/0/1", {"status": "failed"})
    harness.settle()
    harness.retry(user="ann", reason="mended")
    harness.settle()
    assert _asked(harness) == [{"accepted": True}]
    assert harness.statuses() == ["started", "pending"]
    harness.worker.end("d1/0/2", {"status": "completed"})
    harness.settle()
    assert harness.state().status == "completed"


def test_a_retry_says_what_became_of_a_lost_step(harness: CoreHarness) -> None:
    _begin(harness)
    harness.restart()
    harness.settle()
    harness.retry()
    harness.settle()
    [refused] = _asked(harness)
    assert (
        refused["reason"]
        == "the outcome of step 0, noop:Hang on web01, is unknown; resolve it as `succeeded` or `rerun`"
    )
    harness.retry(id="r2", lost="happened")
    harness.settle()
    assert harness.statuses() == ["completed", "completed"]


def test_a_retry_of_something_else_by_now_is_refused(harness: CoreHarness) -> None:
    _begin(harness)
    harness.restart()
    harness.settle()
    harness.retry(lost="happened", retries=3)
    harness.settle()
    assert "read it again" in _asked(harness)[0]["reason"]


def test_a_decision_lets_it_go_on_and_a_second_one_is_refused(asking: CoreHarness) -> None:
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
def test_an_operator_request_that_is_not_readable_is_a_dead_letter(
    asking: CoreHarness, event: str, body: dict[str, Any]
) -> None:
    asking.say("d1", event, body)
    asking.settle()
    assert len(asking.dead()) == 1
    assert asking.state().status == "waiting"


@pytest.mark.parametrize(("waited", "carried_out"), [(9.9, True), (10.1, False)])
def test_an_operator_request_that_a_core_held_for_longer_than_its_author_waits_is_not_carried_out(
    asking: CoreHarness, waited: float, carried_out: bool
) -> None:
    now = 1000.0
    core = asking.core
    outbox = Outbox(asking.bus, asking.store, asking.clock)
    core._inbox._monotonic = lambda: now
    sorting = Triage(
        core._inbox, Rejections(core._inbox, outbox, Redaction()), core._triage._acceptance, core._kinds, Redaction()
    )
    asking.decide(step=0, ruling="again")
    [delivery] = [one for one in core._subscription.take(10, 0) if one.message.id == "r1"]
    late = Delivery(delivery.message._replace(expires=10_000), delivery.queue, False, 1, 0, now - waited)
    batch = Batch(asking.clock.now(), "w")
    sorting.sort(batch, late)
    outbox.send()
    assert (list(batch.groups) == ["d1"]) is carried_out
    assert _asked(asking) == []
