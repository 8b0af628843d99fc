"""Which steps a worker begins at once, and about which it asks first."""

from __future__ import annotations

import pytest

from re_core.wire.messages import AGAIN, ASKS, ATTEMPT, GRANT, TURN
from re_workers.attempt import PROMPT
from re_workers.consumer import GRANT_PATIENCE, StepConsumer
from re_workers.runs import inline
from tests.unit.workers.desk import Desk, Parked, Work


@pytest.fixture
def desk() -> Desk:
    return Desk(Work(), spawn=inline)


def _send(desk: Desk, attempt: str, **headers: str) -> None:
    desk.send(attempt=attempt, headers={ATTEMPT: attempt, **headers})


def _begun(desk: Desk) -> list[str]:
    work = desk.worker
    assert isinstance(work, Work)
    return work.done


def test_a_step_that_may_be_repeated_and_comes_for_the_first_time_begins_at_once(desk: Desk) -> None:
    _send(desk, "D/0/1", **{TURN: str(desk.clock.time)})
    desk.turn()
    assert _begun(desk) == ["D/0/1"]
    assert all(ASKS not in message.headers for message in desk.heard())


@pytest.mark.parametrize(
    "headers",
    [{GRANT: "1"}, {GRANT: AGAIN}, {TURN: str(1_000_000 - PROMPT - 1)}],
    ids=["not to be repeated", "a copy", "late"],
)
def test_what_may_have_been_done_or_is_not_wanted_any_more_is_asked_about(desk: Desk, headers: dict[str, str]) -> None:
    _send(desk, "D/0/1", **headers)
    desk.turn()
    (claim,) = desk.heard()
    assert claim.headers[ASKS] == "1"
    assert _begun(desk) == []
    desk.answer(claim, "go")
    desk.turn()
    assert _begun(desk) == ["D/0/1"]


def test_what_the_broker_delivers_again_is_asked_about(desk: Desk) -> None:
    """Whoever had it first may have done it, and died before it could say so."""
    desk.consumer.close()
    first = desk.bus.subscribe(["worker.work"], 1)
    _send(desk, "D/0/1")
    assert len(first.take(1, 0)) == 1
    first.close()
    desk.consumer = StepConsumer(desk.line, desk.clock, desk.worker, "V", 16, inline)
    desk.turn()
    (claim,) = desk.heard()
    assert claim.headers[ASKS] == "1"
    assert _begun(desk) == []


def test_a_step_without_a_time_limit_runs_on_after_its_grant(desk: Desk) -> None:
    parked = Parked()
    patient = Desk(Work(), spawn=parked)
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
