"""Steps with a value that a worker has to accept: on a bus that many share, and in one process."""

from __future__ import annotations

import pytest

from re_core.deployment.records import Dispatched, Failed
from re_core.rows import WorkerRecord
from re_core.workforce.capabilities import FRESH, LATELY, LiveOffers
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.watch import Watch


def _register(harness: CoreHarness, worker: str, *types: str) -> None:
    offers = {"noop:A": {"accepts": {"type": list(types)}}, "noop:B": {}}
    harness.store.register(WorkerRecord(worker, 8, offers, (), harness.clock.now()))


@pytest.fixture(params=[False, None], ids=["shared", "one process"])
def harness(request: pytest.FixtureRequest, build: Build) -> CoreHarness:
    """A core whose worker of noop accepts the type `a`."""
    made = build(shared=request.param)
    _register(made, "ours", "a")
    made.save(simple({"noop:A": {"type": "a"}}), "accepted")
    made.save(simple("noop:B", {"noop:A": {"type": "b"}}), "refused")
    made.save(simple({"noop:A": {"dynamic": ["type"]}}), "dynamic")
    return made


def test_a_step_with_a_value_that_a_worker_accepts_runs(harness: CoreHarness) -> None:
    harness.ask("d1", "accepted")
    harness.settle()
    assert (harness.state().status, harness.state().reason) == ("completed", "")


def test_a_step_with_a_value_that_none_accepts_fails_in_the_entry_that_dispatches_it(harness: CoreHarness) -> None:
    harness.ask("d1", "refused")
    harness.settle()
    assert harness.statuses() == ["completed", "failed"]
    assert harness.state().reason.endswith("no connected worker accepts type 'b' now; accepted is 'a'")
    last = [type(record) for record in list(harness.store.entries("d1"))[-1].records]
    assert (Dispatched in last, Failed in last) == (True, True)


@pytest.mark.parametrize(("value", "status"), [("a", "completed"), ("b", "failed")])
def test_a_value_of_the_deployment_is_judged_too(harness: CoreHarness, value: str, status: str) -> None:
    harness.ask("d1", "dynamic", dynamic={"type": value})
    harness.settle()
    assert harness.state().status == status


def test_a_worker_beside_it_that_names_no_values_accepts_any(harness: CoreHarness) -> None:
    harness.store.register(WorkerRecord("older", 8, {"noop:A": {}}, (), harness.clock.now()))
    harness.ask("d1", "refused")
    harness.settle()
    assert (harness.state().status, harness.state().reason) == ("completed", "")


def test_a_step_waits_for_a_worker_that_accepts_it_where_the_settings_want_that(build: Build) -> None:
    harness = build(shared=True)
    _register(harness, "ours", "a")
    harness.save(simple({"noop:A": {"type": "b"}}), "refused")
    harness.ask("d1", "refused")
    harness.settle()
    assert harness.state().status == "completed"  # the worker of these tests takes whatever comes


def test_a_value_counts_as_accepted_for_a_while_after_its_worker_has_left(harness: CoreHarness) -> None:
    """A gateway that starts again must fail nothing."""
    offers = LiveOffers(harness.roll, harness.clock)
    assert offers.refusal("noop:A", {"type": "a"}, {}) == ""
    _register(harness, "ours")
    harness.clock.pass_seconds(FRESH / 1000)
    assert offers.refusal("noop:A", {"type": "a"}, {}) == ""
    assert offers.refusal("noop:A", {"type": "b"}, {})
    harness.clock.pass_seconds(LATELY / 1000)
    _register(harness, "ours")
    why = offers.refusal("noop:A", {"type": "a"}, {})
    assert why == "no connected worker accepts type 'a' now, nor any other type"


def test_what_is_accepted_changes_no_offer(harness: CoreHarness) -> None:
    """Else every plan would be compiled again whenever a runner comes or goes."""
    offers = LiveOffers(harness.roll, harness.clock)
    before, version = offers.read(), offers.version
    assert before["noop:A"] == {}
    _register(harness, "ours", "a", "b", "c")
    harness.clock.pass_seconds(FRESH / 1000)
    assert (offers.read(), offers.version) == (before, version)
    assert offers.accepted["noop:A"]["type"] == {"a", "b", "c"}


def test_what_was_sent_waits_for_its_worker_whatever_is_accepted_by_then(harness: CoreHarness) -> None:
    harness.worker.close()
    harness.ask("d1", "accepted")
    harness.turn()
    _register(harness, "ours")
    if harness._shared is not None:
        Watch(harness).seconds((LATELY + 5_000) // 1000)
    else:
        harness.clock.pass_seconds(LATELY / 1000 + 5)
    _register(harness, "ours")
    harness.sweeper.turn()
    harness.turn()
    assert harness.statuses() == ["dispatched"]
