"""Metrics that are read from the store at each scrape (docs/decisions/0023)."""

from __future__ import annotations

import pytest

from re_core.adapters.metrics.figures import StoreFigures
from re_core.adapters.metrics.waiting import WaitingSteps
from re_core.errors import StoreUnavailable
from re_core.rows import WorkerRecord
from tests.factories import simple
from tests.integration.core_loop.core_harness import CoreHarness

#: milliseconds for which a step has waited, so long that the journal is asked whether it still does
LONG = 60_000


def _read(harness: CoreHarness, waiting: WaitingSteps) -> dict[tuple[str, str], float]:
    """Name, and the value of its label or an empty text -> value."""
    worker = WorkerRecord("w1", 4, {"noop:A": {}, "sleep:*": {}}, (), 0, 1)
    figures = StoreFigures(harness.store, harness.clock, lambda: [worker], waiting)
    return {
        (sample.name.removeprefix("release_engine_"), "".join(sample.labels.values())): sample.value
        for metric in figures.collect()
        for sample in metric.samples
    }


def test_the_store_says_how_much_there_is_of_what_people_wait_for(harness: CoreHarness) -> None:
    harness.save(simple("noop:A"))
    harness.ask("d1")
    harness.core.turn(0)  # no worker takes the step
    waiting, sent = WaitingSteps(), harness.clock.now() - LONG
    waiting.sent([("noop", "d1/0/9", sent - LONG), ("noop", "no attempt", sent - LONG), ("noop", "d1/0/1", sent)])
    found = _read(harness, waiting)
    assert found["deployments", "accepted"] == 1
    assert found["deployments", "running"] == found["deployments", "other"] == 0
    harness.store.write_views([harness.store.rows(["d1"])[0]._replace(id="pipeline/p", group="")])
    assert _read(harness, waiting)["deployments", "accepted"] == 1, "a pipeline is no deployment"
    assert found["dead_letters", ""] == 0
    assert (found["workers", "noop"], found["workers", "sleep"]) == (1, 1)
    assert found["step_queue_age_seconds", "noop"] == LONG / 1000, "the others are not in the journal"
    assert found["store_up", ""] == 1


def test_of_a_store_that_does_not_answer_only_that_is_shown(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> list[str]:
        raise StoreUnavailable

    monkeypatch.setattr(harness.store, "active", away)
    assert _read(harness, WaitingSteps()) == {("store_up", ""): 0}
