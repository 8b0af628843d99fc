"""Blocks with policies: what a child's end does to its parent, in every mode and under every policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from re_core.deployment import events as e
from re_core.deployment.nodes import ENDINGS, REACTIONS
from re_core.deployment.plan import Mode, OnLost
from re_core.model import OPEN, Ending, Resolution, StepStatus
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run
from tests.unit.core.trees import lose, parallel, run_tree, serial

ASK = EnginePolicy(on_lost=OnLost.ASK)


# -- the table -------------------------------------------------------------------------------------


def test_the_table_speaks_of_every_mode_and_every_ending() -> None:
    assert set(REACTIONS) == {(mode, how) for mode in (None, *Mode) for how in Ending}
    assert set(ENDINGS) == set(StepStatus) - OPEN - {StepStatus.PENDING}


#: block of the steps 0 to 2 -> what happens to its children, and what is dispatched then; 3 is its `always`. Where it fails,
#: the root around it does so at once, so what never began is skipped at the end of that
TABLE: list[tuple[str, dict[str, Any], str, list[int], list[str]]] = [
    ("serial, completed", serial(0, 1, 2), "+0", [1], ["completed", "dispatched", "pending"]),
    ("serial, completed, the last", serial(0, 1, 2), "+0+1+2", [3], ["completed"] * 3),
    ("serial, failed", serial(0, 1, 2), "-0", [3], ["failed", "pending", "pending"]),
    ("serial, failed, one may", serial(0, 1, 2, max_failures=1), "-0", [1], ["failed", "dispatched", "pending"]),
    ("serial, failed, two do", serial(0, 1, 2, max_failures=1), "-0-1", [3], ["failed", "failed", "pending"]),
    (
        "serial, failed, goes on",
        serial(0, 1, 2, on_failure="continue"),
        "-0-1",
        [2],
        ["failed", "failed", "dispatched"],
    ),
    (
        "serial, failed, at its end",
        serial(0, 1, 2, on_failure="continue"),
        "-0+1-2",
        [3],
        ["failed", "completed", "failed"],
    ),
    ("parallel, completed", parallel(0, 1, 2), "+0", [], ["completed", "dispatched", "dispatched"]),
    (
        "parallel, completed, a place is free",
        parallel(0, 1, 2, limit=2),
        "+1",
        [2],
        ["dispatched", "completed", "dispatched"],
    ),
    ("parallel, completed, the last", parallel(0, 1, 2), "+0+2+1", [3], ["completed"] * 3),
    ("parallel, failed", parallel(0, 1, 2, limit=2), "-0", [], ["failed", "dispatched", "pending"]),
    ("parallel, failed, the rest ended", parallel(0, 1, 2, limit=2), "-0+1", [3], ["failed", "completed", "pending"]),
    (
        "parallel, failed, one may",
        parallel(0, 1, 2, limit=2, max_failures=1),
        "-0",
        [2],
        ["failed", "dispatched", "dispatched"],
    ),
    (
        "parallel, failed, two do",
        parallel(0, 1, 2, limit=1, max_failures=1),
        "-0-1",
        [3],
        ["failed", "failed", "pending"],
    ),
    (
        "parallel, failed, goes on",
        parallel(0, 1, 2, limit=1, on_failure="continue"),
        "-0-1",
        [2],
        ["failed", "failed", "dispatched"],
    ),
]


@pytest.mark.parametrize(("what", "block", "ends", "begun", "statuses"), TABLE, ids=[row[0] for row in TABLE])
def test_what_a_child_s_end_does_to_its_block(
    what: str, block: dict[str, Any], ends: str, begun: list[int], statuses: list[str]
) -> None:
    run = run_tree(serial({**block, "always": {"serial": [3]}}, 4))
    for how, step in zip(ends[::2], ends[1::2], strict=True):
        (run.complete if how == "+" else run.fail)(int(step))
    assert [step for step, _ in run.dispatched()] == begun
    assert run.statuses[:3] == statuses


def test_a_block_that_drains_awaits_its_children_however_they_end() -> None:
    endings: dict[str, Callable[[Run], object]] = {
        "completed": lambda run: run.complete(1),
        "failed": lambda run: run.fail(1),
        "timed_out": lambda run: run.wait(3600),
        "skipped": lambda run: run.decline(1),
    }
    for status, end in endings.items():
        run = run_tree(parallel([0], [1, 2], [3, 4], limit=2))
        run.fail(0)
        assert run.open == [1]
        end(run)
        assert run.statuses == ["failed", status, "skipped", "skipped", "skipped"]
        assert run.status == "failed"


# -- limit -----------------------------------------------------------------------------------------


def test_no_more_children_than_the_limit_are_under_way() -> None:
    run = run_tree(parallel([0, 1], [2, 3], [4, 5], limit=2))
    assert run.open == [0, 2]
    run.do(0)
    assert run.open == [1, 2]
    run.do(1)
    assert run.open == [2, 4]
    run.do(2, 3)
    assert run.open == [4]
    run.do(4, 5)
    assert run.status == "completed"


def test_a_child_that_waits_for_a_person_keeps_its_place() -> None:
    run = run_tree(parallel([0, 1], [2], [3], limit=2), ASK)
    lose(run, 0)
    assert (run.status, run.open) == ("waiting", [2])
    run.do(2)
    assert run.open == [3]
    run.do(3)
    assert (run.status, run.open) == ("waiting", [])
    run.send(e.Resolved(0, Resolution.SUCCEEDED, "ann", ""))
    assert (run.status, run.open) == ("running", [1])


# -- max_failures ----------------------------------------------------------------------------------


def test_failures_within_the_bound_fail_nothing() -> None:
    run = run_tree(serial(parallel([0, 1], [2, 3], max_failures=1), 4))
    run.fail(0)
    assert run.statuses[:2] == ["failed", "skipped"]
    run.do(2, 3)
    assert run.open == [4]
    run.do(4)
    assert (run.status, run.state.reason) == ("completed", "")


def test_the_failure_that_is_one_too_many_is_the_reason() -> None:
    run = run_tree(serial(parallel([0], [1], [2], max_failures=1), 3))
    run.fail(0, "first")
    run.fail(2, "third")
    assert run.open == [1]
    run.do(1)
    assert (run.status, run.state.reason) == ("failed", "noop:A on web01 failed: third")


def test_what_is_lost_timed_out_or_of_no_worker_counts_alike() -> None:
    run = run_tree(parallel([0], [1], [2], [3], max_failures=3))
    lose(run, 0)
    run.nobody(1)
    run.fail(2)
    assert run.open == [3]
    run.wait(3600)
    assert run.status == "failed"
    assert run.statuses == ["lost", "failed", "failed", "timed_out"]


def test_a_child_that_waits_for_a_person_does_not_count_yet() -> None:
    run = run_tree(parallel([0], [1], [2, 3], max_failures=1), ASK)
    lose(run, 0)
    run.fail(1)
    run.do(2)
    assert run.open == [3]
    run.send(e.Resolved(0, Resolution.FAILED, "ann", ""))
    run.do(3)
    assert run.status == "failed"


def test_a_child_that_is_bound_to_fail_counts_at_once_and_only_once() -> None:
    """Its other steps are awaited; nothing is begun beside it that its parent would not begin after its end."""
    run = run_tree(parallel(parallel([0], [1]), [2], [3], [4], limit=2, max_failures=1))
    run.fail(0)
    run.fail(2)
    assert run.open == [1]  # two have failed, so 3 does not begin
    run.do(1)
    assert run.statuses == ["failed", "completed", "failed", "skipped", "skipped"]
    once = run_tree(parallel(parallel([0], [1]), [2], [3], limit=2, max_failures=1))
    once.fail(0)
    once.do(1)
    assert once.open == [2, 3]


# -- on_failure ------------------------------------------------------------------------------------


def test_a_failure_goes_up_only_as_far_as_blocks_stop_at_one() -> None:
    run = run_tree(serial(serial([0, 1], [2]), [3], on_failure="continue"))
    run.fail(0)
    assert run.open == [3]
    assert run.statuses[:3] == ["failed", "skipped", "skipped"]
    run.do(3)
    assert (run.status, run.state.reason) == ("failed", "noop:A on web01 failed")


def test_a_failure_stops_what_is_beside_it_at_any_height_at_once() -> None:
    run = run_tree(parallel(serial(parallel([0], [1, 2])), [3, 4]))
    run.fail(0)
    run.do(1)
    run.do(3)
    assert (run.status, run.statuses) == ("failed", ["failed", "completed", "skipped", "completed", "skipped"])


def test_a_failed_attempt_is_not_repeated_in_a_block_that_drains_and_is_beside_it() -> None:
    run = run_tree(parallel(parallel([0], [1]), [2], on_failure="continue"), retries=1)
    run.fail(0)
    run.fail(0)
    run.fail(1)
    run.fail(2)
    assert [run.attempt(step) for step in range(3)] == [2, 1, 2]


# -- shape -----------------------------------------------------------------------------------------


def test_a_block_without_children_has_completed_when_its_turn_comes() -> None:
    run = run_tree(serial(serial(), parallel(limit=1), serial(always=[0]), [1]))
    assert run.open == [0]
    run.do(0)
    assert run.open == [1]
    run.do(1)
    assert run.status == "completed"
