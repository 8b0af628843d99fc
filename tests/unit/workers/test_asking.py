"""Which steps a worker begins at once, and about which it asks first."""

from __future__ import annotations

import pytest

from re_core.wire.messages import AGAIN, ASKS, ATTEMPT, GRANT, TURN
from re_workers.attempt import PROMPT
from re_workers.consumer import GRANT_PATIENCE, StepConsumer
from re_workers.runs import inline
from tests.unit.workers.worker_harness import Parked, Work, WorkerHarness


@pytest.fixture
def harness() -> WorkerHarness:
    return WorkerHarness(Work(), spawn=inline)


def _send(harness: WorkerHarness, attempt: str, **headers: str) -> None:
    harness.send(attempt=attempt, headers={ATTEMPT: attempt, **headers})


def _begun(harness: WorkerHarness) -> list[str]:
    work = harness.worker
    assert isinstance(work, Work)
    return work.done


def test_a_step_that_may_be_repeated_and_comes_for_the_first_time_begins_at_once(harness: WorkerHarness) -> None:
    _send(harness, "D/0/1", **{TURN: str(harness.clock.time)})
    harness.turn()
    assert _begun(harness) == ["D/0/1"]
    assert all(ASKS not in message.headers for message in harness.heard())


@pytest.mark.parametrize(
    "headers",
    [{GRANT: "1"}, {GRANT: AGAIN}, {TURN: str(1_000_000 - PROMPT - 1)}],
    ids=["not to be repeated", "a copy", "late"],
)
def test_what_may_have_been_done_or_is_not_wanted_any_more_is_asked_about(
    harness: WorkerHarness, headers: dict[str, str]
) -> None:
    _send(harness, "D/0/1", **headers)
    harness.turn()
    (claim,) = harness.heard()
    assert claim.headers[ASKS] == "1"
    assert _begun(harness) == []
    harness.answer(claim, "go")
    harness.turn()
    assert _begun(harness) == ["D/0/1"]


def test_what_the_broker_delivers_again_is_asked_about(harness: WorkerHarness) -> None:
    """Whoever had it first may have done it, and died before it could say so."""
    harness.consumer.close()
    first = harness.bus.subscribe(["worker.work"], 1)
    _send(harness, "D/0/1")
    assert len(first.take(1, 0)) == 1
    first.close()
    harness.consumer = StepConsumer(harness.line, harness.clock, harness.worker, "V", 16, inline)
    harness.turn()
    (claim,) = harness.heard()
    assert claim.headers[ASKS] == "1"
    assert _begun(harness) == []


def test_a_step_without_a_time_limit_runs_on_after_its_grant(harness: WorkerHarness) -> None:
    parked = Parked()
    patient = WorkerHarness(Work(), spawn=parked)
    _send(patient, "D/0/1", **{GRANT: "1"})
    patient.turn()
    (claim,) = patient.heard()
    patient.answer(claim, "go")
    patient.turn()
    patient.clock.time += 10 * GRANT_PATIENCE
    patient.turn()
    parked.run()
    patient.turn()
    assert [message.body for message in patient.heard()][-1].startswith(b'{"status":"completed"')
