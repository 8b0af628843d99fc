"""What begins after the children of a block: its rescue, its `always`, and what a retry brings back of all of it."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.machine import Verdict
from re_core.deployment.plan import OnLost
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run
from tests.unit.core.trees import lose, parallel, run_tree, serial

ASK = EnginePolicy(on_lost=OnLost.ASK)


def _retry(run: Run, lost: Resolution = Resolution.RERUN) -> list[int]:
    """Steps that it brings back."""
    run.send(e.RetryAsked("ann", "", lost, "answers", f"q{len(run.journal)}"))
    assert run.last.verdict is Verdict.APPLIED
    (again,) = (record.again for record in run.last.records if isinstance(record, r.Retried))
    return [number for first, last in again for number in range(first, last + 1)]


# -- rescue ----------------------------------------------------------------------------------------


def test_a_rescue_runs_after_what_failed_and_the_block_has_failed_all_the_same() -> None:
    run = run_tree(serial(parallel([0, 1], [2, 3], rescue=[4, 5]), 6))
    run.fail(0)
    assert run.open == [2]
    run.do(2)
    assert (run.statuses[:4], run.open) == (["failed", "skipped", "completed", "skipped"], [4])
    run.do(4, 5)
    assert (run.status, run.statuses[6]) == ("failed", "skipped")


def test_after_a_rescue_the_playbook_may_go_on() -> None:
    run = run_tree(serial(serial(0, 1, rescue=[2], after_rescue="continue"), 3))
    run.fail(0)
    run.do(2)
    assert run.open == [3]
    run.do(3)
    assert (run.status, run.statuses) == ("completed", ["failed", "skipped", "completed", "completed"])


def test_a_rescue_that_fails_rescues_nothing() -> None:
    run = run_tree(serial(serial(0, rescue=[1, 2], after_rescue="continue"), 3))
    run.fail(0)
    run.fail(1)
    assert (run.status, run.statuses) == ("failed", ["failed", "failed", "skipped", "skipped"])


def test_where_nothing_failed_the_rescue_is_skipped() -> None:
    run = run_tree(serial(serial(0, rescue=[1], always=[2]), 3))
    run.do(0)
    assert (run.statuses[1], run.open) == ("skipped", [2])
    run.do(2, 3)
    assert run.status == "completed"


def test_what_a_rescue_may_mend_stops_nothing_beside_it_yet() -> None:
    run = run_tree(parallel(serial(0, rescue=[1], after_rescue="continue"), [2, 3]))
    run.fail(0)
    run.do(2)
    assert run.open == [1, 3]
    run.fail(1)
    assert run.open == [3]
    run.do(3)
    assert run.status == "failed"


def test_nothing_is_rescued_in_a_block_that_drains() -> None:
    run = run_tree(parallel([0], serial(1, rescue=[2], always=[3])))
    run.fail(0)
    run.fail(1)
    assert run.open == [3]
    run.do(3)
    assert (run.status, run.statuses[2]) == ("failed", "skipped")


@pytest.mark.parametrize("tree", [serial(serial(0, rescue=[1, 2]), 3), serial(0, 3, rescue=[1, 2])])
def test_a_cancel_ends_a_rescue(tree: dict[str, Any]) -> None:
    run = run_tree(tree)
    run.fail(0)
    run.claim(1)
    run.cancel()
    assert run.stops() == [1]
    run.fail(1)
    assert (run.status, run.statuses) == ("cancelled", ["failed", "cancelled", "skipped", "skipped"])


# -- always ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "status", "rest"),
    [
        ("complete", "completed", "completed"),
        ("fail", "failed", "skipped"),
        ("cancel", "cancelled", "skipped"),
    ],
)
def test_an_always_runs_however_its_block_ended(end: str, status: str, rest: str) -> None:
    run = run_tree(serial(serial(0, always=[1, 2]), 3))
    if end == "cancel":
        run.cancel()
    else:
        (run.complete if end == "complete" else run.fail)(0)
    assert run.open == [1]
    run.do(1, 2)
    if end == "complete":
        run.do(3)
    assert (run.status, run.statuses[3]) == (status, rest)


def test_an_always_of_a_block_that_never_began_does_not_run() -> None:
    run = run_tree(serial([0], serial(1, always=[2]), always=[3]))
    run.fail(0)
    assert run.open == [3]
    run.do(3)
    assert run.statuses == ["failed", "skipped", "skipped", "completed"]


def test_a_failed_always_fails_its_block_and_what_is_above() -> None:
    run = run_tree(serial(serial(0, always=serial(1, 2, on_failure="continue")), 3))
    run.do(0)
    run.fail(1, "stuck")
    assert run.open == [2]
    run.do(2)
    assert (run.status, run.state.reason, run.statuses[3]) == ("failed", "noop:A on web01 failed: stuck", "skipped")


def test_an_always_with_a_failure_that_stops_it_is_not_begun_again() -> None:
    run = run_tree(serial(0, always=[1, 2]))
    run.do(0)
    run.fail(1)
    assert (run.status, run.statuses) == ("failed", ["completed", "failed", "skipped"])


def test_a_failed_always_of_the_root_fails_even_a_cancelled_deployment() -> None:
    run = run_tree(serial(0, always=[1]))
    run.cancel()
    run.fail(1)
    assert (run.status, run.state.reason) == ("failed", "noop:A on web01 failed: the worker gave no reason")


def test_no_cancel_ends_an_always_and_nothing_follows_it() -> None:
    run = run_tree(serial(serial(0, always=[1, 2]), 3))
    run.do(0)
    run.claim(1)
    run.cancel()
    assert (run.stops(), run.open) == ([], [1])
    run.do(1)
    assert run.open == [2]
    run.do(2)
    assert (run.status, run.statuses[3]) == ("cancelled", "skipped")


def test_a_step_of_an_always_that_is_lost_waits_for_no_person() -> None:
    run = run_tree(serial(serial(0, always=[1]), 2), ASK)
    run.do(0)
    lose(run, 1)
    assert (run.status, run.state.asked) == ("failed", set())


def _two_hosts() -> dict[str, Any]:
    """Each host tidies up after itself, and the stage after all of them."""
    return serial(parallel(serial(0, 1, always=[2]), serial(3, 4, always=[5]), always=[6]), 7)


@pytest.mark.parametrize("end", ["cancel", "failure"])
def test_every_child_that_began_tidies_up_before_its_parent_does(end: str) -> None:
    run = run_tree(_two_hosts())
    if end == "cancel":
        run.cancel()
    else:
        run.fail(0)
        run.decline(3)
    assert run.open == [2, 5]
    run.do(5)
    assert run.open == [2]
    run.do(2)
    assert run.open == [6]
    run.do(6)
    assert run.status == ("cancelled" if end == "cancel" else "failed")


@pytest.mark.parametrize("asked", [0, 3])
def test_what_waited_for_a_person_tidies_up_once_its_parent_drains(asked: int) -> None:
    run = run_tree(_two_hosts(), ASK)
    lose(run, asked)
    run.fail(3 - asked)
    assert (run.status, run.state.asked, run.open) == ("running", set(), [2, 5])
    run.do(2, 5, 6)
    assert run.status == "failed"


def test_what_waits_for_a_person_outside_of_what_drains_goes_on_waiting() -> None:
    run = run_tree(parallel(parallel([0], [1]), [2], on_failure="continue"), ASK)
    lose(run, 0)
    lose(run, 2)
    run.fail(1)
    assert (run.status, run.state.asked) == ("waiting", {2})
    run.send(e.Resolved(2, Resolution.FAILED, "ann", ""))
    assert run.status == "failed"


def test_a_cancel_releases_what_waits_for_a_person_and_its_always_runs() -> None:
    run = run_tree(serial(serial(0, always=[1]), 2), ASK)
    lose(run, 0)
    run.cancel()
    assert (run.status, run.open) == ("cancelling", [1])
    run.do(1)
    assert (run.status, run.statuses) == ("cancelled", ["lost", "completed", "skipped"])


# -- retry -----------------------------------------------------------------------------------------


def test_a_retry_keeps_the_limit_and_gives_every_child_its_turn() -> None:
    run = run_tree(parallel([0], [1], [2], [3], [4], limit=2, on_failure="continue"))
    for step in range(5):
        (run.complete if step == 1 else run.fail)(step)
    assert _retry(run) == [0, 2, 3, 4]
    assert run.open == [0, 2]
    run.do(2)
    assert run.open == [0, 3]
    run.do(0, 3, 4)
    assert run.status == "completed"


def test_a_retry_does_not_touch_what_has_completed_nor_what_may_fail() -> None:
    first = parallel([0], [1], max_failures=1, always=[2])
    run = run_tree(serial(first, serial(3, 4, rescue=[5], always=[6]), always=[7]))
    run.fail(0)
    run.do(1, 2)
    run.do(3)
    run.fail(4)
    run.do(5, 6, 7)
    assert run.status == "failed"
    assert _retry(run) == [4, 5, 6, 7]
    assert run.open == [4]
    run.do(4)
    assert (run.statuses[5], run.open) == ("skipped", [6])
    run.do(6, 7)
    assert run.status == "completed"


def test_what_was_rescued_stays_so_in_every_retry() -> None:
    run = run_tree(serial(serial(0, rescue=[1], after_rescue="continue"), [2]))
    run.fail(0)
    run.do(1)
    for _ in range(2):
        run.fail(2)
        assert _retry(run) == [2]
    run.do(2)
    assert (run.status, run.statuses[0]) == ("completed", "failed")


def test_a_rescue_has_its_turn_again_after_a_retry_that_fails() -> None:
    run = run_tree(serial(0, rescue=[1]))
    run.fail(0)
    run.do(1)
    assert _retry(run) == [0, 1]
    run.fail(0)
    assert run.open == [1]
    run.do(1)
    assert run.status == "failed"


def test_where_only_an_always_failed_only_that_runs_again() -> None:
    run = run_tree(serial(serial(0, rescue=[1], always=[2]), 3))
    run.do(0)
    run.fail(2)
    assert _retry(run) == [1, 2, 3]
    assert (run.open, run.statuses[1]) == ([2], "skipped")
    run.do(2, 3)
    assert run.status == "completed"


def test_a_lost_step_that_may_fail_needs_no_answer() -> None:
    run = run_tree(serial(parallel([0], [1], max_failures=1), 2))
    lose(run, 0)
    run.do(1)
    run.fail(2)
    run.send(e.RetryAsked("ann", ""))
    assert run.open == [2]
