"""Each row of the table of events: what happens to a release, and what follows."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from re_core.deployment.records import kind_of
from re_core.ports import every_entry
from re_gateways.forest.gateway import Gateway
from re_gateways.forest.judge import CANCEL_WAIT, LEASE
from tests.integration.forest.rig import Rig
from tests.integration.forest.runners import Wire, code_of
from tests.integration.workers.waiting import until

OK, OVER = grpc.StatusCode.OK, grpc.StatusCode.FAILED_PRECONDITION


def _ended(rig: Rig, deployment: str) -> bool:
    return rig.status(deployment) not in ("pending", "dispatched", "started")


# assigned, no call with the token for 120 s while the runner is idle: taken back, another runner


def test_what_an_idle_runner_does_not_fetch_for_120_s_goes_to_another(rig: Rig, gateway: Gateway) -> None:
    first = rig.runner(gateway, "one")
    deployment = rig.deploy()
    old = first.assignment().release_token
    second = rig.runner(gateway, "two")
    for _ in range(9):  # it lives
        first.beat()
        second.beat()
        rig.time.pass_seconds(10)
    assert rig.row(deployment).runner == "one"
    first.beat()
    second.beat()
    rig.time.until(lambda: rig.row(deployment).runner != "one", 60)
    until(lambda: not second.has_nothing() or not first.has_nothing())
    assert code_of(lambda: first.fetch(old)) is grpc.StatusCode.UNAUTHENTICATED
    assert rig.status(deployment) == "started"
    until(lambda: rig.shows(deployment, "the runner fetched nothing within 120 s"))


def test_a_runner_that_handed_a_release_back_is_free_for_others(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    first = rig.deploy()
    runner.ack(runner.assignment().release_token, False)
    rig.time.until(lambda: rig.store.find_release(f"{first}/0/2"), 60)
    second = rig.deploy()
    assert runner.assignment().release_intent_id == second


def test_what_was_fetched_is_never_taken_back(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    for _ in range(14):
        runner.beat(1)
        rig.time.pass_seconds(10)
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["runner"] == "build-1"


def test_what_a_runner_had_not_fetched_when_it_left_goes_to_another(rig: Rig, gateway: Gateway) -> None:
    first = rig.runner(gateway, "one")
    deployment = rig.deploy()
    first.assignment()
    second = rig.runner(gateway, "two")
    first.leave()
    rig.time.until(lambda: not second.has_nothing(), 20)
    work = rig.begun(second, deployment)
    second.complete(work.release_token)
    assert rig.result(deployment)["runner"] == "two"


def test_a_step_that_finds_no_runner_is_declined_and_waits_for_one(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    runner.ack(runner.assignment().release_token, False)
    rig.time.until(lambda: rig.row(deployment).status == "over", 30)
    other = rig.runner(gateway, "two")
    work = other.assignment()
    assert work.release_id == f"{deployment}/0/2"
    other.complete(work.release_token)
    assert rig.result(deployment)["runner"] == "two"
    assert runner.has_nothing()


# half-closed logs without completion for 5 s: failed


def test_logs_that_are_closed_without_a_completion_fail_the_release_with_what_they_said(
    rig: Rig, gateway: Gateway
) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "no space left on device")
    until(lambda: rig.shows(work.release_intent_id, "no space"))
    logs.half_close()
    assert logs.code() is OK
    runner.beat()
    rig.time.until(lambda: _ended(rig, work.release_intent_id), 30)
    step = rig.end(work.release_intent_id)
    assert step.status.value == "failed"
    assert "dropped the release" in (step.message or "")
    assert "no space left on device" in (step.message or "")
    assert runner.complete_code(work.release_token) is OVER


def test_a_runner_that_drops_its_work_without_a_line_is_known_by_its_connection(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    logs = runner.logs()
    runner.fetch(token)
    logs.half_close()
    assert logs.code() is OK
    rig.time.until(lambda: _ended(rig, deployment), 30)
    assert "dropped the release" in (rig.end(deployment).message or "")


def test_a_completion_within_5_s_of_the_end_of_the_logs_counts(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x")
    assert logs.code() is OK
    rig.time.pass_seconds(3)
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_connection_that_breaks_is_no_end_of_the_logs(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x")
    until(lambda: rig.shows(work.release_intent_id, "x"))
    runner.close()
    rig.time.pass_seconds(30)
    again = rig.wire(gateway)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


# two heartbeats in a row with 0 active after the first call: failed


def test_two_heartbeats_of_0_after_the_first_call_fail_the_release(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    rig.beats(runner, lambda: _ended(rig, work.release_intent_id))
    step = rig.end(work.release_intent_id)
    assert (step.status.value, "it executes nothing" in (step.message or "")) == ("failed", True)


def test_heartbeats_that_count_the_release_change_nothing(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    for active in (1, 0, 1, 0):
        rig.time.pass_seconds(8)
        runner.beat(active)
    rig.time.pass_seconds(8)
    assert rig.status(work.release_intent_id) == "started"
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


# the stream ends after the first call: the token lives 90 s, or while the logs are open


def test_a_completion_within_90_s_of_the_end_of_the_stream_counts(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.leave()
    rig.time.pass_seconds(int(LEASE) - 30)
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_runner_that_is_away_for_90_s_has_lost_the_release(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.leave()
    rig.time.pass_seconds(int(LEASE) - 30)
    assert rig.status(work.release_intent_id) == "started"
    rig.time.until(lambda: _ended(rig, work.release_intent_id), 60)
    step = rig.end(work.release_intent_id)
    assert (step.status.value, "away for 90 s" in (step.message or "")) == ("lost", True)
    assert [runner.complete_code(work.release_token) for _ in range(2)] == [OVER, OVER]
    until(lambda: rig.shows(work.release_intent_id, "the runner build-1 reports success; that came too late"))


@pytest.mark.parametrize(("error", "status"), [(None, "completed"), ("no", "failed")])
def test_a_completion_that_came_too_late_settles_a_step_of_which_an_operator_is_asked(
    tmp_path: Path, error: str | None, status: str
) -> None:
    rig = Rig(tmp_path, lost_steps="ask")
    try:
        runner = rig.runner(rig.gateway())
        work = rig.begun(runner)
        runner.leave()
        rig.time.until(lambda: rig.status(work.release_intent_id) == "lost", 150)
        until(lambda: rig.state(work.release_intent_id).status.value == "waiting")
        assert runner.complete_code(work.release_token, error) is OVER
        until(lambda: rig.status(work.release_intent_id) == status)
        until(lambda: rig.state(work.release_intent_id).status.value == status)
    finally:
        rig.close()


def test_while_its_logs_are_open_a_runner_that_is_away_is_awaited(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x")
    until(lambda: rig.shows(work.release_intent_id, "x"))
    runner.leave()
    rig.time.pass_seconds(2 * int(LEASE))
    assert rig.status(work.release_intent_id) == "started"
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_runner_that_comes_back_with_the_release_finishes_it(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.leave()
    rig.time.pass_seconds(20)
    again = rig.runner(gateway)
    for _ in range(12):
        again.beat(1)
        rig.time.pass_seconds(10)
    again.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_runner_that_comes_back_without_the_release_has_lost_it(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.leave()
    again = rig.runner(gateway)
    rig.beats(again, lambda: _ended(rig, work.release_intent_id))
    step = rig.end(work.release_intent_id)
    assert (step.status.value, "came back without the release" in (step.message or "")) == ("lost", True)


# no heartbeat for 90 s: the same


def test_a_runner_without_a_heartbeat_for_90_s_is_disconnected_and_then_has_90_s(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.beat(1)
    rig.time.until(lambda: not runner.has_nothing(), 120)
    assert runner.ended() is grpc.StatusCode.ABORTED
    rig.time.pass_seconds(int(LEASE) - 30)
    assert rig.status(work.release_intent_id) == "started"
    rig.time.until(lambda: _ended(rig, work.release_intent_id), 60)
    assert rig.end(work.release_intent_id).status.value == "lost"


# the gateway restarts: test_gateways.py


# a runner is revoked


def test_a_runner_that_is_revoked_is_disconnected_and_what_it_completes_counts(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    rig.store.revoke_runner("build-1", rig.clock.now())
    rig.time.until(lambda: not runner.has_nothing(), 10)
    assert runner.ended() is grpc.StatusCode.ABORTED
    assert code_of(lambda: runner.fetch(work.release_token)) is grpc.StatusCode.UNAUTHENTICATED
    runner.complete(work.release_token)
    assert rig.result(work.release_intent_id)["outcome"] == "success"


def test_a_name_that_was_enrolled_again_is_another_runner(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    rig.store.revoke_runner("build-1", rig.clock.now())
    rig.store.forget_runner("build-1")
    rig.time.pass_seconds(1)
    again = rig.wire(gateway)
    assert again.register(rig.enroll()).accepted
    rig.time.pass_seconds(5)
    assert code_of(lambda: again.fetch(work.release_token)) is grpc.StatusCode.UNAUTHENTICATED


# a step is cancelled


def test_a_release_that_was_not_fetched_is_cancelled_at_once(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy()
    token = runner.assignment().release_token
    rig.cancel(deployment)
    until(lambda: _ended(rig, deployment))
    assert rig.status(deployment) == "cancelled"
    assert code_of(lambda: runner.fetch(token)) is OVER


def _cancelled(rig: Rig, runner: Wire) -> tuple[str, str]:
    """A release that runs and is cancelled; deployment and token."""
    work = rig.begun(runner)
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    until(
        lambda: rig.shows(
            work.release_intent_id, "[cancelled by ann: not today: the protocol has no way to stop the runner"
        )
    )
    return work.release_intent_id, work.release_token


def test_a_cancelled_release_that_runs_is_lost_after_the_grace_and_says_so(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment, token = _cancelled(rig, runner)
    assert code_of(lambda: runner.fetch(token)) is OVER
    assert rig.status(deployment) == "started"
    rig.time.until(lambda: _ended(rig, deployment), int(CANCEL_WAIT) + 10)
    step = rig.end(deployment)
    assert (step.status.value, "may still be working" in (step.message or "")) == ("lost", True)


def test_a_runner_that_may_still_be_working_gets_nothing_until_it_says_that_it_does_not(
    rig: Rig, gateway: Gateway
) -> None:
    runner = rig.runner(gateway)
    deployment, _ = _cancelled(rig, runner)
    rig.time.until(lambda: _ended(rig, deployment), int(CANCEL_WAIT) + 10)
    following = rig.deploy()
    until(lambda: rig.status(following) == "dispatched")
    runner.beat(1)
    assert runner.has_nothing()
    runner.beat(0)
    assert runner.assignment().release_intent_id == following


def test_a_completion_that_is_refused_after_a_cancel_is_known_all_the_same(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment, token = _cancelled(rig, runner)
    assert runner.complete_code(token) is OVER
    until(lambda: _ended(rig, deployment))
    assert rig.status(deployment) == "completed"
    assert "had deployed it all the same" in rig.result(deployment)["note"]


def test_a_failure_that_is_refused_after_a_cancel_ends_it(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment, token = _cancelled(rig, runner)
    assert runner.complete_code(token, "interrupted") is OVER
    until(lambda: _ended(rig, deployment))
    assert rig.status(deployment) == "cancelled"


def test_closed_logs_after_a_cancel_end_it(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    logs = runner.logs()
    logs.line(work.release_token, "x")
    until(lambda: rig.shows(work.release_intent_id, "x"))
    rig.cancel(work.release_intent_id)
    until(lambda: rig.row(work.release_intent_id).end)
    assert logs.code() is OK
    runner.beat(0)
    rig.time.until(lambda: _ended(rig, work.release_intent_id), 15)
    assert rig.status(work.release_intent_id) == "cancelled"


def test_a_step_whose_time_is_over_ends_like_a_cancelled_one(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner, timeout=1)
    until(lambda: rig.row(work.release_intent_id).end)
    assert runner.complete_code(work.release_token, "too slow") is OVER
    until(lambda: _ended(rig, work.release_intent_id))
    assert rig.status(work.release_intent_id) == "timed_out"


# retries, and the end


def test_a_release_that_failed_is_retried_with_a_token_of_its_own(rig: Rig, gateway: Gateway) -> None:
    runner = rig.runner(gateway)
    deployment = rig.deploy(retries=1)
    first = runner.assignment()
    runner.complete(first.release_token, "no")
    second = runner.assignment()
    assert second.release_id == f"{deployment}/0/2"
    assert second.release_token != first.release_token
    runner.complete(second.release_token)
    assert rig.result(deployment)["outcome"] == "success"
    kinds = [kind_of(record) for entry in every_entry(rig.store, deployment) for record in entry.records]
    assert kinds.count("started") == 2


def test_a_later_attempt_waits_for_the_runner_of_an_earlier_one(rig: Rig, gateway: Gateway) -> None:
    first, second = rig.runner(gateway, "one"), None
    deployment = rig.deploy(retries=1)
    work = first.assignment()
    first.fetch(work.release_token)
    first.leave()
    rig.time.until(lambda: rig.row(deployment).status != "running", 150)
    second = rig.runner(gateway, "two")
    assert second.assignment().release_id == f"{deployment}/0/2"
    assert code_of(lambda: first.fetch(work.release_token)) is OVER


@pytest.mark.parametrize("error", [None, "no"])
def test_a_row_is_over_once_the_journal_has_its_end(rig: Rig, gateway: Gateway, error: str | None) -> None:
    runner = rig.runner(gateway)
    work = rig.begun(runner)
    runner.complete(work.release_token, error)
    rig.end(work.release_intent_id)
    rig.time.until(lambda: rig.row(work.release_intent_id).status == "over", 60)
    assert runner.complete_code(work.release_token, error) is OK
