"""A step that is recorded on its host outlives its worker: it is offered to others, and what they say of it counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.adoption import MOST_DEATHS
from re_core.deployment.machine import Verdict
from re_core.deployment.plan import OnLost
from re_core.deployment.progress import awaited
from re_core.deployment.records import entry_to_document
from re_core.deployment.summary import claimants_of
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from re_core.sequencer.encoding import messages_of
from re_core.usecases.describe import deployment_document
from re_core.wire.redaction import Redaction
from tests.factories import Run, simple

GO, NO_GO = [("t", True)], [("t", False)]


def _begun(around: EnginePolicy | None = None, **beside: Any) -> Run:
    run = Run(simple({"noop:A": {}, "timeout": 600, **beside}, "noop:B"), around)
    run.claim(0, recorded=True)
    return run


def _orphaned(around: EnginePolicy | None = None, **beside: Any) -> Run:
    run = _begun(around, **beside)
    run.wait(10)
    run.gone()
    return run


def _offers(run: Run) -> list[e.Adopt]:
    """What the last event offers to other workers: step, attempt, move, token."""
    return [effect for effect in run.last.effects if isinstance(effect, e.Adopt)]


def _formats(run: Run) -> list[int]:
    return [json.loads(entry)["v"] for entry in run.journal]


# -- the loss of its worker --------------------------------------------------------------------------


def test_a_recorded_step_is_offered_to_others_when_its_worker_is_lost() -> None:
    run = _orphaned()
    assert run.last.records == (r.Orphaned(0, 1, 1, "lost contact with worker w", 1),)
    assert _offers(run) == [(0, 1, 1, "t")]
    assert (run.status, run.statuses[0]) == ("running", "started")


def test_a_step_that_is_not_recorded_is_lost_as_ever() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.gone()
    assert (run.statuses, _offers(run)) == (["lost"], [])


def test_a_claim_without_a_queue_for_answers_is_not_recorded() -> None:
    run = Run(simple("noop:A"))
    run.send(e.ClaimMade(0, 1, "w", "t", "", True, recorded=True))
    run.gone()
    assert run.statuses == ["lost"]


def test_only_the_entries_of_a_recorded_step_need_the_newest_format() -> None:
    assert _formats(_orphaned()) == [5, 7, 7]
    plain = Run(simple("noop:A"))
    plain.do(0)
    assert max(_formats(plain)) == 5


@pytest.mark.parametrize("record", [r.Started(0, 1, "w", "t", "c"), r.Moved(0, 1, "v", "c", 1)])
def test_a_record_that_says_nothing_of_it_is_stored_as_before(record: r.Record) -> None:
    stored = entry_to_document(r.Entry("d", 2, 0, "", (record,)))
    assert stored["v"] < 7
    assert not {"recorded", "message"} & set(stored["records"][0])


def test_the_worker_that_takes_it_has_the_claim_and_its_outcome_counts() -> None:
    run = _orphaned()
    run.move(0, 1, worker="v")
    assert run.last.records == (
        r.Moved(0, 1, "v", "control.v", 1, "lost contact with worker w; worker v goes on with it"),
    )
    assert (run.grants(), claimants_of(run.state)) == (GO, ("v",))
    run.complete(0, token="t", worker="v")
    assert run.statuses == ["completed", "dispatched"]


def test_of_two_workers_that_take_it_one_goes_on() -> None:
    run = _orphaned()
    run.move(0, 1, worker="v")
    run.move(0, 1, worker="x")
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)


def test_an_old_worker_that_asks_to_begin_it_is_refused() -> None:
    run = _orphaned()
    run.claim(0, by="u", worker="old")
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, [("u", False)])


def test_the_same_loss_again_offers_it_only_once() -> None:
    run = _orphaned()
    run.gone()
    assert run.kinds() == []


def test_when_that_worker_is_lost_too_it_is_offered_by_a_higher_number() -> None:
    run = _orphaned()
    run.move(0, 1, worker="v")
    run.wait(1)
    run.gone("w")
    assert run.kinds() == []
    run.gone("v")
    assert _offers(run) == [(0, 1, 2, "t")]
    run.move(0, 1, worker="x")
    assert run.grants() == NO_GO
    run.move(0, 2, worker="x")
    assert (run.grants(), run.state.step(0).worker) == (GO, "x")


def test_a_step_with_which_worker_after_worker_dies_is_lost_at_last() -> None:
    run = _begun()
    for death in range(MOST_DEATHS):
        run.gone(run.state.step(0).worker)
        run.move(0, death + 1, worker=f"v{death}")
        run.wait(1)
    run.gone(run.state.step(0).worker)
    assert run.statuses[0] == "lost"
    assert f"as with {MOST_DEATHS} workers before" in (run.state.step(0).message or "")


def test_its_first_worker_may_come_back_and_say_how_it_ended() -> None:
    run = _orphaned()
    run.complete(0, token="t", worker="w")
    assert run.statuses == ["completed", "dispatched"]
    run.move(0, 1, worker="v")
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)


def test_of_two_that_see_its_end_the_first_word_counts_and_the_other_repeats_it() -> None:
    run = _orphaned()
    run.move(0, 1, worker="v")
    run.complete(0, token="t", worker="w")
    run.complete(0, token="t", worker="v")
    assert (run.last.verdict, run.kinds()) == (Verdict.REPEATED, [])


def test_the_first_worker_cannot_call_lost_what_another_goes_on_with() -> None:
    run = _orphaned()
    run.move(0, 1, worker="v")
    run.send(e.AttemptLost(0, 1, "t", "the host is out of reach", "w"))
    assert (run.last.verdict, run.statuses[0]) == (Verdict.REFUSED, "started")
    run.send(e.AttemptLost(0, 1, "t", "the host was booted again", "v"))
    assert (run.statuses[0], run.state.step(0).message) == ("lost", "the host was booted again")


def test_after_a_restart_of_everything_it_is_offered_to_the_new_process() -> None:
    run = _begun()
    run.gone(None)
    assert _offers(run) == [(0, 1, 1, "t")]
    run.gone(None)
    assert _offers(run) == [(0, 1, 1, "t")], "the queues of one process are empty after its restart"


def test_a_core_that_goes_on_with_the_deployment_offers_it_again() -> None:
    assert list(awaited(_orphaned().folded())) == [e.Adopt(0, 1, 1, "t")]


# -- how long it waits -------------------------------------------------------------------------------


def test_the_offer_is_repeated_and_the_wait_doubles_every_time() -> None:
    run = _orphaned()
    waits = []
    for _ in range(3):
        assert run.due is not None
        waits.append(run.due)
        run.wait(run.due)
        assert _offers(run) == [(0, 1, 1, "t")]
    assert waits == [30, 30, 60]


def test_where_no_worker_comes_it_is_lost_and_says_so() -> None:
    run = _orphaned(EnginePolicy(patience=100))
    run.wait(99)
    assert run.statuses[0] == "started"
    run.wait(1)
    assert (run.status, run.statuses[0]) == ("failed", "lost")
    assert "lost contact with worker w; no worker came to go on with the step" in run.state.reason


def test_where_no_queue_takes_the_offer_it_waits_all_the_same() -> None:
    run = _orphaned()
    run.nobody(0)
    assert (run.last.verdict, run.statuses[0]) == (Verdict.REFUSED, "started")


def test_its_own_time_ends_while_it_waits_and_the_worker_that_comes_ends_it() -> None:
    run = _orphaned(timeout=40)
    run.wait(30)
    assert (run.kinds(), _offers(run)) == (["stop_requested"], [(0, 1, 1, "t")])
    run.move(0, 1, worker="v")
    assert (run.grants(), run.stops()) == (GO, [0])
    run.fail(0, "cancelled", token="t", worker="v")
    assert (run.statuses[0], run.state.step(0).message) == (
        "timed_out",
        "it did not end within its timeout of 40 s",
    )


def test_it_does_not_wait_much_longer_than_its_own_time() -> None:
    run = _orphaned(timeout=40)
    run.wait(30)
    run.wait(29)
    assert run.statuses[0] == "started"
    run.wait(1)
    assert run.statuses[0] == "lost"
    assert "it did not end within its timeout of 40 s; lost contact with worker w; no worker came" in run.state.reason


def test_what_is_lost_so_is_repeated_where_its_author_allows_it() -> None:
    run = _orphaned(EnginePolicy(patience=100), idempotent=True)
    run.wait(100)
    assert run.dispatched() == [(0, 2)]
    step = run.state.step(0)
    assert (step.recorded, step.offered, step.orphaned_at, step.deaths) == (False, 0, None, 0)


def test_where_the_operator_is_asked_a_worker_that_comes_late_still_settles_it() -> None:
    run = _orphaned(EnginePolicy(patience=100, on_lost=OnLost.ASK))
    run.wait(100)
    assert run.state.asked == {0}
    run.move(0, 1, worker="v")
    assert run.grants() == GO
    run.complete(0, token="t", worker="v")
    assert run.statuses == ["completed", "dispatched"]


def test_an_operator_may_have_it_rerun_and_the_old_offer_is_worth_nothing_then() -> None:
    run = _orphaned(EnginePolicy(patience=100, on_lost=OnLost.ASK))
    run.wait(100)
    run.send(e.Resolved(0, Resolution.RERUN, "ann", ""))
    assert run.dispatched() == [(0, 2)]
    run.send(e.ClaimMade(0, 1, "v", "t", "control.v", True, 1))
    assert (run.last.verdict, run.grants()) == (Verdict.REFUSED, NO_GO)


# -- cancels and timeouts ----------------------------------------------------------------------------


def test_a_cancelled_step_whose_worker_is_lost_is_ended_by_another() -> None:
    run = _begun()
    run.cancel()
    run.wait(10)
    run.gone()
    assert _offers(run) == [(0, 1, 1, "t")]
    run.move(0, 1, worker="v")
    assert (run.grants(), run.stops()) == (GO, [0])
    run.fail(0, "cancelled", token="t", worker="v")
    assert (run.status, run.statuses[0]) == ("cancelled", "cancelled")


@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_a_worker_that_does_not_say_that_it_has_ended_it_loses_it_to_another(why: str) -> None:
    run = _begun(timeout=40)
    if why == "cancel":
        run.cancel()
    else:
        run.wait(40)
    run.wait(30)
    assert (_offers(run), run.statuses[0]) == ([(0, 1, 1, "t")], "started")
    run.wait(5)
    run.move(0, 1, worker="v")
    run.wait(29)
    assert run.statuses[0] == "started", "that one has its own time to end it"
    run.wait(1)
    assert (run.status, run.statuses[0]) == ("cancelled" if why == "cancel" else "failed", "lost")


def test_a_cancelled_step_that_no_worker_comes_to_end_is_lost() -> None:
    run = _orphaned()
    run.cancel()
    run.wait(30)
    assert (run.status, run.statuses[0]) == ("cancelled", "lost")


# -- a worker that leaves ----------------------------------------------------------------------------


def test_a_worker_that_leaves_has_it_offered_at_once() -> None:
    run = _begun()
    run.release(0)
    assert run.last.records == (r.Orphaned(0, 1, 1, "worker w has stopped", 0),)
    assert _offers(run) == [(0, 1, 1, "t")]


def test_that_it_left_comes_twice_and_changes_nothing() -> None:
    run = _begun()
    run.release(0)
    run.release(0)
    assert (run.last.verdict, run.kinds(), _offers(run)) == (Verdict.REPEATED, [], [(0, 1, 1, "t")])
    run.move(0, 1, worker="v")
    run.release(0)
    assert (run.last.verdict, run.state.step(0).worker) == (Verdict.REFUSED, "v")


def test_workers_that_leave_in_order_are_never_too_many() -> None:
    run = _begun()
    for number in range(3 * MOST_DEATHS):
        run.release(0, worker=run.state.step(0).worker)
        run.move(0, number + 1, worker=f"v{number}")
    assert (run.statuses[0], run.state.step(0).deaths) == ("started", 0)


def test_what_is_not_recorded_is_lost_when_its_worker_leaves() -> None:
    run = Run(simple("noop:A"))
    run.claim(0)
    run.release(0)
    assert run.statuses == ["lost"]


def test_who_has_not_the_claim_cannot_release_it() -> None:
    run = _begun()
    run.release(0, by="u")
    run.release(0, worker="x")
    assert (run.last.verdict, run.state.step(0).offered) == (Verdict.REFUSED, 0)


# -- what travels, and what people read --------------------------------------------------------------


def test_the_offer_is_the_step_s_message_with_the_claim_that_is_to_be_moved() -> None:
    run = _orphaned()
    (message,) = messages_of(run.state, run.last.effects)
    assert (message.key, message.id, message.correlation_id) == ("worker.noop", "d1/0/1/adopt/1", "d1")
    wanted = {"re-attempt": "d1/0/1", "re-adopt": "1", "re-token": "t", "re-moves": "1", "re-grant": "1"}
    assert wanted.items() <= message.headers.items()
    begin = Run(simple({"noop:A": {}, "timeout": 600}, "noop:B"))
    (first,) = messages_of(begin.state, [e.Dispatch(0, 1)])
    assert first.body == message.body


def test_the_answer_to_a_worker_that_takes_it_says_how_old_the_claim_is() -> None:
    run = _orphaned()
    run.wait(5)
    run.move(0, 1, worker="v")
    (message,) = messages_of(run.state, run.last.effects, now=run.now + 1_000)
    assert (message.headers["re-event"], message.headers["re-claimed"]) == ("go", "16000")


def test_the_answer_to_the_first_claim_says_nothing_of_its_age() -> None:
    run = _begun()
    (message,) = messages_of(run.state, [one for one in run.last.effects if isinstance(one, e.Grant)], now=run.now)
    assert "re-claimed" not in message.headers


def test_people_read_that_its_worker_is_gone_and_which_one_goes_on() -> None:
    run = _orphaned()
    assert _shown(run) == (
        "lost contact with worker w; it goes on on its host, and another worker is asked to see to it"
    )
    run.move(0, 1, worker="v")
    assert _shown(run) == "lost contact with worker w; worker v goes on with it"
    run.complete(0, token="t", worker="v")
    assert _shown(run) is None


def _shown(run: Run) -> str | None:
    links: Any = {"self": ""}
    return deployment_document(run.state, "d1", run.now, Redaction(), links)["steps"][0]["message"]
