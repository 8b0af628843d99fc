"""Several gateways, and one that is started again: what one of them has begun, another goes on with."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from re_core.errors import StoreUnavailable
from re_gateways.forest.gateway import Gateway
from re_gateways.forest.progress import MISSING
from tests.integration.forest.away import Away
from tests.integration.forest.rig import SECRET, Rig
from tests.integration.forest.runners import Wire, code_of
from tests.integration.workers.waiting import until

OVER = grpc.StatusCode.FAILED_PRECONDITION


def _at(rig: Rig, gateway: Gateway) -> Wire:
    """Another connection of the enrolled runner, which does not register."""
    return rig.wire(gateway)


def test_a_call_for_files_that_were_damaged_since_is_ended(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    rig.deploy()
    token = runner.assignment().release_token
    rig.damage()
    other = rig.wire(rig.gateway())
    assert code_of(lambda: other.fetch(token)) is grpc.StatusCode.DATA_LOSS


def test_what_runs_when_a_gateway_is_restarted_ends_at_the_next_one(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.stop(first)
    assert rig.row(work.release_intent_id).owner == ""
    second = rig.gateway()
    until(lambda: rig.row(work.release_intent_id).owner == second.id)
    _at(rig, second).complete(work.release_token)
    assert rig.result(work.release_intent_id) == {"outcome": "success", "runner": "build-1"}


def test_a_plan_that_is_a_log_says_that_its_beginning_is_with_another_gateway(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner, parameters={"mode": "plan"})
    deployment, token = work.release_intent_id, work.release_token
    logs = runner.logs()
    logs.line(token, "first")
    until(lambda: rig.shows(deployment, "first"))
    rig.stop(first)
    second = rig.gateway()
    rig.moved(deployment, second)
    again = _at(rig, second)
    logs = again.logs()
    logs.line(token, "second")
    until(lambda: rig.shows(deployment, "second"))
    again.complete(token)
    assert rig.result(deployment)["plan"] == f"{MISSING}\nsecond"


def test_a_completion_that_comes_before_its_release_was_taken_over_counts(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    _at(rig, second).complete(work.release_token, "no")
    step = rig.end(work.release_intent_id)
    assert (step.status.value, step.message) == ("failed", "no")


def test_a_release_that_was_not_fetched_at_the_restart_gets_a_runner_of_the_next_gateway(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    deployment = rig.deploy()
    runner.assignment()
    rig.stop(first)
    second = rig.gateway()
    again = rig.runner(second)
    rig.time.until(lambda: not again.has_nothing(), 200)
    work = rig.begun(again, deployment)
    again.complete(work.release_token)
    assert rig.result(deployment)["outcome"] == "success"


def test_a_release_is_awaited_after_a_restart_while_its_runner_is_nowhere(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    rig.moved(work.release_intent_id, second)
    rig.time.pass_seconds(150)
    assert rig.status(work.release_intent_id) == "started"
    again = rig.runner(second)
    again.beat(1)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_runner_that_comes_to_the_next_gateway_without_the_release_has_lost_it(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    again = rig.runner(second)
    rig.moved(work.release_intent_id, second)
    rig.beats(again, lambda: rig.status(work.release_intent_id) == "lost")


def test_a_release_follows_its_runner_to_a_gateway_that_lives_beside_its_own(rig: Rig) -> None:
    first, second = rig.gateway(), rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    again = rig.runner(second)
    until(lambda: rig.row(work.release_intent_id).owner == second.id)
    until(lambda: not first.running())
    again.beat(1)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_any_gateway_takes_files_lines_and_completions_of_any_release(rig: Rig) -> None:
    first, second = rig.gateway(), rig.gateway()
    runner = rig.runner(first)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    elsewhere = _at(rig, second)
    assert elsewhere.fetch(token)
    rig.awaits_status(deployment, "running")
    logs = elsewhere.logs()
    logs.line(token, "from elsewhere")
    until(lambda: rig.shows(deployment, "from elsewhere"))
    elsewhere.complete(token)
    assert rig.result(deployment)["runner"] == "build-1"
    assert rig.row(deployment).owner == first.id


def test_what_a_gateway_has_that_does_not_answer_is_taken_over_and_not_reported_twice(rig: Rig) -> None:
    """It is cut off from the store; when it is back, another answers for its release, and it says nothing of it."""
    store = Away(rig.store, lambda: StoreUnavailable("cut off"))
    first, second = rig.gateway(store=store), rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    store.away = True
    rig.time.until(lambda: rig.row(work.release_intent_id).owner == second.id, 120)
    assert rig.status(work.release_intent_id) == "started"
    store.away = False
    until(lambda: not first.running())
    assert rig.status(work.release_intent_id) == "started"
    _at(rig, second).complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_gateways_do_not_take_anything_over_after_the_store_was_away_for_all(rig: Rig) -> None:
    stores = [Away(rig.store, lambda: StoreUnavailable("away")) for _ in range(2)]
    first, second = (rig.gateway(store=store) for store in stores)
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.time.pass_seconds(20)
    for store in stores:
        store.away = True
    rig.time.pass_seconds(60)
    for store in stores:
        store.away = False
    rig.time.pass_seconds(5)
    assert rig.row(work.release_intent_id).owner == first.id
    assert second.running() == []
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_cancel_reaches_the_gateway_that_has_the_release_now(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.stop(first)
    second = rig.gateway()
    rig.moved(work.release_intent_id, second)
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    assert _at(rig, second).complete_code(work.release_token, "stopped") is OVER
    until(lambda: rig.status(work.release_intent_id) == "cancelled")


def test_what_was_being_cancelled_at_a_restart_is_still_being_cancelled(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner)
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    rig.stop(first)
    second = rig.gateway()
    rig.moved(work.release_intent_id, second)
    assert _at(rig, second).complete_code(work.release_token) is OVER
    until(lambda: rig.status(work.release_intent_id) == "completed")


def test_a_release_that_the_core_has_given_up_is_not_gone_on_with(rig: Rig) -> None:
    first = rig.gateway()
    runner = rig.runner(first)
    work = rig.begun(runner, retries=1)
    rig.stop(first)
    rig.say(work.release_intent_id, "gone", worker=first.id, before=rig.clock.now() + 1000)
    second = rig.gateway()
    rig.time.until(lambda: rig.row(work.release_intent_id).status == "over", 60)
    assert code_of(lambda: _at(rig, second).complete(work.release_token)) is OVER


@pytest.mark.parametrize("killed", [False, True])
def test_one_process_with_everything_goes_on_with_its_releases_after_a_restart(tmp_path: Path, killed: bool) -> None:
    first = Rig(tmp_path, alone=True)
    store = Away(first.store, lambda: StoreUnavailable("it leaves no word in the store"))
    runner = first.runner(first.gateway(store=store))
    work = first.begun(runner)
    store.away = killed
    first.close()
    second = Rig(tmp_path, alone=True, pushed=True)
    try:
        again = second.gateway()
        until(lambda: second.row(work.release_intent_id).owner == again.id)
        wire = second.wire(again)
        assert wire.register(f"build-1.{SECRET}").accepted
        wire.complete(work.release_token)
        assert second.result(work.release_intent_id)["outcome"] == "success"
    finally:
        second.close()
