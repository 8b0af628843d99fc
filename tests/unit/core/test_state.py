"""The fold of a journal, and the row of the list that sums it up."""

from __future__ import annotations

import pytest

from re_core.deployment import records as r
from re_core.deployment.records import Entry
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.errors import StoreRefused
from re_core.model import DeploymentStatus, StepStatus
from re_core.playbook.compiler import EnginePolicy, compile_document
from tests.factories import START, Run, accepted, action, simple

FIRST = accepted(compile_document(simple("noop:A", "noop:B"), EnginePolicy(), {}))


def _entry(number: int, *records: r.Record) -> Entry:
    return Entry("d1", number, START + number, "test", records)


def test_a_journal_folds_to_a_state_that_knows_its_last_entry() -> None:
    state = fold(
        [_entry(1, FIRST, r.Dispatched(0, 1)), _entry(2, r.Started(0, 1, "w", "t", "c", deployment="running"))]
    )
    assert (state.entry, state.status, state.created, state.started) == (
        2,
        DeploymentStatus.RUNNING,
        START + 1,
        START + 2,
    )
    assert state.step(0).status is StepStatus.STARTED
    assert state.step(1).status is StepStatus.PENDING


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([], "without entries"),
        ([_entry(1)], "does not begin with `accepted`"),
        ([_entry(1, r.Dispatched(0, 1))], "does not begin with `accepted`"),
        ([_entry(2, FIRST)], "has no entry 1"),
        ([_entry(1, FIRST), _entry(3, r.Dispatched(0, 1))], "has no entry 2"),
        ([_entry(1, FIRST), _entry(1, r.Dispatched(0, 1))], "has no entry 2"),
        ([_entry(1, FIRST, FIRST)], "`accepted` record that is not its first"),
        ([_entry(1, FIRST, r.Started(0, 1))], "out of place"),
        ([_entry(1, FIRST, r.Completed(1, 1))], "out of place"),
        ([_entry(1, FIRST, r.Dispatched(2, 1))], "out of place"),
        ([_entry(1, FIRST, r.Skipped(((0, 2),)))], "out of place"),
        ([_entry(1, FIRST, r.Ended("exploded", ""))], "out of place"),
    ],
)
def test_a_journal_that_no_machine_would_have_written_is_refused(entries: list[Entry], why: str) -> None:
    with pytest.raises(StoreRefused, match=why):
        fold(entries)


def test_the_row_of_the_list_shows_what_runs() -> None:
    run = Run(simple("noop:A", "noop:B"))
    run.do(0)
    view = view_of(run.state, due=5)
    assert (view.id, view.group, view.playbook, view.user) == ("d1", "inception", "Simple playbook", "pat")
    assert (view.status, view.done, view.total, view.step, view.due) == ("running", 1, 2, "noop:B", 5)
    assert (view.ended, view.reason, view.entry) == (None, "", run.state.entry)


def test_the_row_of_a_failed_deployment_shows_the_step_that_failed_and_why() -> None:
    run = Run(simple("noop:A", "noop:B"), EnginePolicy(actions=[action()]))
    run.do(0)
    run.fail(1, "disk full")
    run.do(2)
    view = view_of(run.state, due=5)
    assert (view.status, view.step, view.due, view.done) == ("failed", "noop:B", None, 2)
    assert view.ended == run.now
    assert "disk full" in view.reason


def test_the_row_of_a_completed_deployment_shows_no_step() -> None:
    run = Run(simple("noop:A"))
    run.do(0)
    assert view_of(run.state, None).step == ""


def test_the_fold_stores_what_a_record_says_and_decides_nothing() -> None:
    """Another rule may once have decided that what fails after a cancel failed, and that a declined attempt counts."""
    cancelled: list[r.Record] = [
        FIRST,
        r.Dispatched(0, 1),
        r.Started(0, 1, "w", "t", "c", 5, "waiting"),
        r.CancelRequested("ann", "", ""),
    ]
    state = fold([_entry(1, *cancelled, r.Failed(0, 1, status="failed", begun=7))])
    assert (state.status, state.step(0).status, state.step(0).begun) == ("waiting", StepStatus.FAILED, 7)
    again = fold([_entry(1, FIRST, r.Dispatched(0, 1), r.Lost(0, 1, "gone"), r.Retried("ann", again=()))])
    assert again.step(0).status is StepStatus.LOST


def test_what_follows_from_an_old_record_is_what_followed_in_its_format() -> None:
    cancelled: list[r.Record] = [
        FIRST,
        r.Dispatched(0, 1),
        r.Started(0, 1, "w", "t", "c"),
        r.CancelRequested("ann", ""),
    ]
    state = fold([_entry(1, *cancelled, r.Failed(0, 1))._replace(format=3)])
    assert (state.status, state.started) == (DeploymentStatus.CANCELLING, START + 1)
    assert (state.step(0).status, state.step(0).begun) == (StepStatus.CANCELLED, 1)


@pytest.mark.parametrize("record", [r.Started(1, 1), r.Failed(1, 1), r.Fenced(1, 1), r.Lost(1, 1, "")])
@pytest.mark.parametrize("format", [3, 4])
def test_a_record_about_a_step_that_was_never_dispatched_is_refused(record: r.Record, format: int) -> None:
    with pytest.raises(StoreRefused, match="out of place"):
        fold([_entry(1, FIRST, record)._replace(format=format)])
