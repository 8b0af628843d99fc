"""The list of deployments: seldom written, soon true, and never with a `due` that comes too late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from re_core.deployment.deadlines import CANCEL_GRACE, due_at
from re_core.deployment.summary import view_of
from re_core.ports import Append, Appended, ViewFilter
from re_core.rows import View
from re_core.sequencer.cache import CachedAggregate
from re_core.sequencer.list_rows import BEHIND, VIEW_EVERY, Rows
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness


@pytest.fixture(autouse=True)
def playbooks(harness: CoreHarness) -> None:
    harness.save(simple(*(f"noop:S{number}" for number in range(6))))
    harness.save(simple("noop:Hang"), "hangs")


def _row(harness: CoreHarness, id: str = "d1") -> View:
    """What a list shows of it; whether what it causes was published is the cores' own affair."""
    (row,) = [row for row in harness.store.views(ViewFilter(), 100).rows if row.id == id]
    return row._replace(published=0)


def _behind(harness: CoreHarness, id: str = "d1") -> int:
    """Entries that the row does not know of."""
    return harness.state(id).entry - _row(harness, id).entry


def test_a_new_deployment_is_in_the_list_at_once(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    assert _row(harness) == view_of(harness.state(), due_at(harness.state(), harness.clock.now()))


def test_an_ended_one_is_shown_as_ended_at_once(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    assert _row(harness) == view_of(harness.state(), None)
    assert (_row(harness).done, _row(harness).due) == (6, None)


def test_one_that_ends_as_it_begins_is_looked_at_until_its_entry_is_there(build: Build) -> None:
    """Where the row comes before the entry, and the entry never, a row without a `due` would stay for ever."""
    harness = build(shared=False)
    harness.save(simple("ghost:Do"), "ghostly")
    appended: list[View] = []
    real = harness.store.append

    def append(batch: Sequence[Append]) -> list[Appended]:
        appended.extend(one.view for one in batch if one.view is not None and one.view.ended)
        return real(batch)

    harness.store.append = append  # type: ignore[method-assign]
    harness.ask("d1", "ghostly")
    harness.core.turn(0)
    assert [row.due for row in appended] == [harness.clock.now() + VIEW_EVERY]
    assert _row(harness) == view_of(harness.state(), None)


def test_a_row_is_not_written_for_every_step(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.core.turn(0)
    harness.worker.turn()
    harness.core.turn(0)
    harness.clock.pass_seconds(0.1)
    harness.worker.turn()
    harness.core.turn(0)
    assert _behind(harness) == 2


def test_a_row_that_is_behind_is_written_before_a_second_has_passed(harness: CoreHarness) -> None:
    """Though nothing happens any more: the step runs for an hour."""
    harness.ask("d1", "hangs")
    harness.settle()
    assert _behind(harness) > 0
    harness.clock.pass_seconds(BEHIND / 1000)
    harness.core.turn(0)
    assert _behind(harness) == 0
    assert _row(harness) == view_of(harness.state(), due_at(harness.state(), harness.clock.now()))


def test_a_row_that_was_written_in_the_same_millisecond_can_be_behind_too(harness: CoreHarness) -> None:
    """The clock stands still: creation and claim fall into one millisecond."""
    harness.ask("d1", "hangs")
    harness.settle()
    assert harness.core._rows.patience(10) < 1


def test_a_core_with_rows_behind_waits_no_longer_than_they_may(harness: CoreHarness) -> None:
    rows = Rows(harness.store)
    assert rows.patience(10) == 10
    harness.ask("d1")
    harness.core.turn(0)
    rows.note(CachedAggregate(harness.core._kinds.deployments, "d1", harness.state()), harness.clock.now())
    assert rows.patience(10) == BEHIND / 1000
    assert rows.patience(0) == 0


def test_rows_that_could_not_be_written_are_written_later(harness: CoreHarness) -> None:
    harness.ask("d1", "hangs")
    harness.settle()
    harness.clock.pass_seconds(1)
    harness.faults.fail(1, after=False)
    assert harness.turn() == 1  # unavailable
    assert _behind(harness) > 0
    harness.faults.heal()
    harness.turn()
    assert _behind(harness) == 0


def test_rows_that_were_behind_when_the_store_failed_are_written_later(harness: CoreHarness) -> None:
    harness.ask("d1", "hangs")
    harness.settle()
    harness.ask("d2")
    harness.faults.fail(3, after=False)
    harness.settle()
    harness.faults.heal()
    assert harness.state("d2").status == "completed"
    harness.clock.pass_seconds(1)
    harness.core.turn(0)
    assert _behind(harness) == 0


def test_a_clock_that_jumps_back_delays_no_row(harness: CoreHarness) -> None:
    harness.ask("d1", "hangs")
    harness.settle()
    harness.clock.pass_seconds(-3600)
    harness.core.turn(0)
    assert _behind(harness) == 0


def test_what_is_due_is_never_later_in_the_row_than_in_truth_for_longer_than_a_row_may_be_behind(
    harness: CoreHarness,
) -> None:
    """Whatever happens to a deployment, the sweeper finds it in time."""
    harness.ask("d1", "hangs")
    harness.settle()
    harness.wait(31)  # the row says now that the step's timeout, in an hour, is next
    assert _row(harness).due == due_at(harness.state(), harness.clock.now())
    harness.worker.running.clear()  # it hangs and hears nothing
    harness.worker.close()
    harness.clock.pass_seconds(0.1)
    harness.cancel()
    harness.core.turn(0)
    truth = due_at(harness.state(), harness.clock.now())
    assert truth is not None and truth <= harness.clock.now() + CANCEL_GRACE
    harness.clock.pass_seconds(0.9)
    harness.core.turn(0)
    assert _row(harness).due == truth


def test_a_step_that_is_due_sooner_is_in_the_row_at_once(harness: CoreHarness) -> None:
    harness.save(simple({"noop:Hang": {}, "timeout": 5}), "short")
    harness.ask("d1", "short")
    harness.settle()
    assert _row(harness).due == harness.clock.now() + 5000


def test_a_step_of_a_parallel_group_that_is_over_is_no_reason_to_write(harness: CoreHarness) -> None:
    """Started and completed in one batch: it is not open any more."""
    harness.save(simple("noop:Hang", preflight=("noop:A",), hosts=("a", "b", "c")), "wide")
    harness.ask("d1", "wide")
    harness.settle()
    assert harness.state().steps[3].status == "started"


def test_a_store_that_writes_rows_by_itself_gets_them_after_the_publishing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without transactions: the row of a new deployment comes with its entry, the others by write_views."""
    harness = build()
    harness.save(simple("noop:A"))
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    harness.ask("d1")
    harness.settle()
    assert _row(harness) == view_of(harness.state(), None)
    assert harness.faults.calls["write_views"] == 1
