"""The list of deployments: seldom written, soon true, and never with a `due` that comes too late."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from re_core.deployment.deadlines import CANCEL_GRACE, due_at
from re_core.deployment.summary import view_of
from re_core.ports import Append, Appended, ViewFilter
from re_core.rows import View
from re_core.sequencer.cache import CachedDeployment
from re_core.sequencer.list_rows import BEHIND, Rows
from re_core.sequencer.work import VIEW_EVERY
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple(*(f"noop:S{number}" for number in range(6))))
    house.save(simple("noop:Hang"), "hangs")


def _row(house: House, id: str = "d1") -> View:
    """What a list shows of it; whether what it causes was published is the cores' own affair."""
    (row,) = [row for row in house.store.views(ViewFilter(), 100).rows if row.id == id]
    return row._replace(published=0)


def _behind(house: House, id: str = "d1") -> int:
    """Entries that the row does not know of."""
    return house.state(id).entry - _row(house, id).entry


def test_a_new_deployment_is_in_the_list_at_once(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    assert _row(house) == view_of(house.state(), due_at(house.state(), house.clock.now()))


def test_an_ended_one_is_shown_as_ended_at_once(house: House) -> None:
    house.ask("d1")
    house.settle()
    assert _row(house) == view_of(house.state(), None)
    assert (_row(house).done, _row(house).due) == (6, None)


def test_one_that_ends_as_it_begins_is_looked_at_until_its_entry_is_there(build: Build) -> None:
    """Where the row comes before the entry, and the entry never, a row without a `due` would stay for ever."""
    house = build(shared=False)
    house.save(simple("ghost:Do"), "ghostly")
    appended: list[View] = []
    real = house.store.append

    def append(batch: Sequence[Append]) -> list[Appended]:
        appended.extend(one.view for one in batch if one.view is not None and one.view.ended)
        return real(batch)

    house.store.append = append  # type: ignore[method-assign]
    house.ask("d1", "ghostly")
    house.core.turn(0)
    assert [row.due for row in appended] == [house.clock.now() + VIEW_EVERY]
    assert _row(house) == view_of(house.state(), None)


def test_a_row_is_not_written_for_every_step(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn()
    house.core.turn(0)
    house.clock.pass_seconds(0.1)
    house.worker.turn()
    house.core.turn(0)
    assert _behind(house) == 2


def test_a_row_that_is_behind_is_written_before_a_second_has_passed(house: House) -> None:
    """Though nothing happens any more: the step runs for an hour."""
    house.ask("d1", "hangs")
    house.settle()
    assert _behind(house) > 0
    house.clock.pass_seconds(BEHIND / 1000)
    house.core.turn(0)
    assert _behind(house) == 0
    assert _row(house) == view_of(house.state(), due_at(house.state(), house.clock.now()))


def test_a_row_that_was_written_in_the_same_millisecond_can_be_behind_too(house: House) -> None:
    """The clock stands still: creation and claim fall into one millisecond."""
    house.ask("d1", "hangs")
    house.settle()
    assert house.core._rows.patience(10) < 1


def test_a_core_with_rows_behind_waits_no_longer_than_they_may(house: House) -> None:
    rows = Rows(house.store)
    assert rows.patience(10) == 10
    house.ask("d1")
    house.core.turn(0)
    rows.note(CachedDeployment(house.state()), house.clock.now())
    assert rows.patience(10) == BEHIND / 1000
    assert rows.patience(0) == 0


def test_rows_that_could_not_be_written_are_written_later(house: House) -> None:
    house.ask("d1", "hangs")
    house.settle()
    house.clock.pass_seconds(1)
    house.faults.fail(1, after=False)
    assert house.turn() == 1  # unavailable
    assert _behind(house) > 0
    house.faults.heal()
    house.turn()
    assert _behind(house) == 0


def test_rows_that_were_behind_when_the_store_failed_are_written_later(house: House) -> None:
    house.ask("d1", "hangs")
    house.settle()
    house.ask("d2")
    house.faults.fail(3, after=False)
    house.settle()
    house.faults.heal()
    assert house.state("d2").status == "completed"
    house.clock.pass_seconds(1)
    house.core.turn(0)
    assert _behind(house) == 0


def test_a_clock_that_jumps_back_delays_no_row(house: House) -> None:
    house.ask("d1", "hangs")
    house.settle()
    house.clock.pass_seconds(-3600)
    house.core.turn(0)
    assert _behind(house) == 0


def test_what_is_due_is_never_later_in_the_row_than_in_truth_for_longer_than_a_row_may_be_behind(house: House) -> None:
    """Whatever happens to a deployment, the sweeper finds it in time."""
    house.ask("d1", "hangs")
    house.settle()
    house.wait(31)  # the row says now that the step's timeout, in an hour, is next
    assert _row(house).due == due_at(house.state(), house.clock.now())
    house.worker.running.clear()  # it hangs and hears nothing
    house.worker.close()
    house.clock.pass_seconds(0.1)
    house.cancel()
    house.core.turn(0)
    truth = due_at(house.state(), house.clock.now())
    assert truth is not None and truth <= house.clock.now() + CANCEL_GRACE
    house.clock.pass_seconds(0.9)
    house.core.turn(0)
    assert _row(house).due == truth


def test_a_step_that_is_due_sooner_is_in_the_row_at_once(house: House) -> None:
    house.save(simple({"noop:Hang": {}, "timeout": 5}), "short")
    house.ask("d1", "short")
    house.settle()
    assert _row(house).due == house.clock.now() + 5000


def test_a_step_of_a_parallel_group_that_is_over_is_no_reason_to_write(house: House) -> None:
    """Started and completed in one batch: it is not open any more."""
    house.save(simple("noop:Hang", preflight=("noop:A",), hosts=("a", "b", "c")), "wide")
    house.ask("d1", "wide")
    house.settle()
    assert house.state().steps[3].status == "started"


def test_a_store_that_writes_rows_by_itself_gets_them_after_the_publishing(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without transactions: the row of a new deployment comes with its entry, the others by write_views."""
    house = build()
    house.save(simple("noop:A"))
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    house.ask("d1")
    house.settle()
    assert _row(house) == view_of(house.state(), None)
    assert house.faults.calls["write_views"] == 1
