"""How a deployment goes on: in which order steps are dispatched, what a failure stops, and that actions always run."""

from __future__ import annotations

import pytest

from re_core.deployment.machine import Verdict
from re_core.deployment.plan import steps_below
from re_core.deployment.results import result_of
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, playbook, sequence, simple

ACTIONS = EnginePolicy(actions=[action("One"), action("Two")])


def test_steps_run_one_after_the_other_until_the_deployment_completes() -> None:
    run = Run(simple("noop:A", "noop:B"))
    assert (run.status, run.dispatched()) == ("accepted", [(0, 1)])
    run.claim(0)
    assert run.status == "running"
    run.complete(0, data={"built": 7}, message="done")
    assert run.dispatched() == [(1, 1)]
    assert (run.state.step(0).result, run.state.step(0).message) == (result_of({"built": 7}, cut=False), "done")
    run.do(1)
    assert (run.status, run.state.reason, run.statuses) == ("completed", "", ["completed"] * 2)
    assert run.state.ended == run.now
    assert run.due is None


def test_a_sequence_does_all_steps_on_one_host_before_it_touches_the_next() -> None:
    run = Run(simple("noop:A", "noop:B", hosts=("web01", "web02")))
    order = []
    while run.status not in ("completed", "failed"):
        [step] = run.open
        order.append((run.plan.steps[step].host, run.plan.steps[step].spec.name))
        run.do(step)
    assert order == [("web01", "noop:A"), ("web01", "noop:B"), ("web02", "noop:A"), ("web02", "noop:B")]


def test_sequences_run_in_the_order_of_the_playbook() -> None:
    run = Run(playbook(sequence("noop:A"), sequence("noop:B", hosts=("db01",))))
    run.do(0)
    assert run.dispatched() == [(1, 1)]
    assert run.plan.steps[1].host == "db01"


def test_preflight_runs_on_all_hosts_at_once_each_host_its_own_chain() -> None:
    run = Run(simple("noop:A", hosts=("web01", "web02"), preflight=("noop:P", "noop:Q")))
    assert run.dispatched() == [(0, 1), (2, 1)]
    run.do(0)
    assert run.dispatched() == [(1, 1)]
    run.do(1)
    assert run.dispatched() == []
    run.do(2, 3)
    assert run.dispatched() == [(4, 1)]


def test_a_failed_step_fails_the_deployment_and_the_rest_is_skipped() -> None:
    run = Run(simple("noop:A", "noop:B", hosts=("web01", "web02")))
    run.claim(0)
    run.fail(0, "disk full")
    assert run.status == "failed"
    assert run.statuses == ["failed", "skipped", "skipped", "skipped"]
    assert run.state.reason == "noop:A on web01 failed: disk full"


def test_a_worker_may_say_failed_without_ever_having_said_started() -> None:
    run = Run(simple("noop:A"))
    run.fail(0)
    assert (run.status, run.state.reason) == ("failed", "noop:A on web01 failed")


def test_after_a_failed_preflight_nothing_new_is_dispatched_and_what_runs_is_awaited() -> None:
    run = Run(simple("noop:A", hosts=("a", "b", "c"), preflight=("noop:P", "noop:Q")))
    run.claim(0), run.claim(2)
    run.fail(0)
    assert (run.status, run.open) == ("running", [2, 4])
    run.do(2)
    assert run.dispatched() == []
    assert run.status == "running"
    run.do(4)
    assert run.status == "failed"
    assert run.statuses[:6] == ["failed", "skipped", "completed", "skipped", "completed", "skipped"]
    assert run.statuses[6:] == ["skipped"] * 3


def test_of_two_failures_at_once_the_first_is_the_reason() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)))
    run.fail(0, "first")
    run.fail(1, "second")
    assert run.state.reason == "noop:P on a failed: first"


def test_a_failure_is_not_retried_once_the_playbook_is_halted() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=({"noop:P": {}, "retries": 5},)))
    for _ in range(6):
        run.fail(0)
    run.fail(1)
    assert run.status == "failed"
    assert run.attempt(1) == 1


def test_a_step_that_its_worker_declines_after_the_playbook_halted_is_not_dispatched_again() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)))
    run.fail(0)
    run.claim(1)
    run.decline(1)
    assert run.dispatched() == []
    assert (run.status, run.statuses) == ("failed", ["failed", "skipped", "skipped", "skipped"])


def test_checks_run_before_the_playbook_and_a_failed_one_keeps_it_from_beginning() -> None:
    run = Run(simple("noop:A"), EnginePolicy(checks=[check("One"), check("Two")]))
    run.do(0)
    assert run.dispatched() == [(1, 1)]
    run.fail(1, "no")
    assert run.statuses == ["completed", "failed", "skipped"]
    assert run.state.reason == "check 'is Two' (noop:Two) failed: no"


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        ({"status": "completed", "data": {"exit": 0}}, "completed"),
        ({"status": "completed", "data": {"exit": False}}, "failed"),
        ({"status": "completed", "data": {"exit": 0}, "message": "x"}, "failed"),
        ({"status": "completed"}, "failed"),
    ],
)
def test_a_check_passes_only_if_the_whole_reply_equals_the_expectation(reply: dict[str, object], ends: str) -> None:
    around = EnginePolicy(checks=[check(expectation={"status": "completed", "data": {"exit": 0}})])
    run = Run(simple("noop:A"), around)
    run.complete(0, body=reply)
    if ends == "failed":
        assert "expected the reply" in run.state.reason
        assert run.status == "failed"
    else:
        assert run.dispatched() == [(1, 1)]


def test_a_check_may_expect_a_failure() -> None:
    run = Run(simple("noop:A"), EnginePolicy(checks=[check(expectation={"status": "failed"})]))
    run.fail(0, body={"status": "failed"})
    assert run.dispatched() == [(1, 1)]


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_actions_run_however_the_playbook_ended(end: str) -> None:
    run = Run(simple("noop:A"), ACTIONS)
    (run.complete if end == "completed" else run.fail)(0)
    assert run.dispatched() == [(1, 1)]
    run.do(1)
    assert run.dispatched() == [(2, 1)]
    run.do(2)
    assert run.status == end


def test_actions_run_after_a_failed_check_and_after_a_cancel() -> None:
    failed = Run(simple("noop:A"), ACTIONS._replace(checks=[check()]))
    failed.fail(0)
    assert failed.dispatched() == [(2, 1)]
    cancelled = Run(simple("noop:A"), ACTIONS)
    cancelled.cancel()
    assert cancelled.dispatched() == [(1, 1)]
    cancelled.do(1, 2)
    assert cancelled.status == "cancelled"


def test_actions_begin_only_after_everything_else_has_ended() -> None:
    run = Run(simple("noop:A", hosts=("a", "b"), preflight=("noop:P",)), ACTIONS)
    run.claim(1)
    run.fail(0)
    assert run.open == [1]
    run.complete(1)
    assert run.open == list(steps_below(run.plan.root.always))[:1]


def test_a_failed_action_fails_the_deployment_and_the_next_one_runs_all_the_same() -> None:
    run = Run(simple("noop:A"), ACTIONS)
    run.do(0)
    run.fail(1, "broken pipe")
    assert run.dispatched() == [(2, 1)]
    run.do(2)
    assert (run.status, run.state.reason) == ("failed", "action 'do One' (noop:One) failed: broken pipe")


def test_a_failed_action_fails_even_a_cancelled_deployment() -> None:
    run = Run(simple("noop:A"), ACTIONS)
    run.cancel()
    run.fail(1)
    run.do(2)
    assert (run.status, run.state.reason) == ("failed", "action 'do One' (noop:One) failed: the worker gave no reason")


def test_a_step_that_nobody_offers_fails_and_says_so() -> None:
    run = Run(simple({"noop:A": {}, "retries": 3}))
    run.nobody(0)
    assert (run.status, run.state.reason) == ("failed", "noop:A on web01 failed: no worker offers noop:A")


def test_the_same_outcome_again_changes_nothing_and_asks_again_for_what_is_awaited() -> None:
    run = Run(simple("noop:A", "noop:B"))
    run.complete(0)
    again = run.complete(0, attempt=1)
    assert again.verdict is Verdict.REPEATED
    assert not again.records
    assert run.dispatched() == [(1, 1)]


def test_an_outcome_that_overtakes_its_started_still_counts() -> None:
    run = Run(simple({"noop:A": {}, "idempotent": True}, "noop:B"))
    run.complete(0)
    assert run.claim(0).verdict is Verdict.REFUSED
    assert run.statuses[0] == "completed"
