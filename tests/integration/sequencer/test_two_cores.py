"""Two cores on one store and one bus: whoever is slower judges again. Many cores under all kinds of bad luck: tests/simulation."""

from __future__ import annotations

from collections import Counter

from re_core.ports import Append, Appended
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness

NAMES = ("well", "badly", "stopped", "fails")


def _counting_lost(harness: CoreHarness, lost: Counter[str]) -> None:
    """Note every append that a core lost: of a new deployment, or of a later entry."""
    real = harness.store.append

    def append(batch: list[Append]) -> list[Appended]:
        outcomes = real(batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome is Appended.LOST:
                lost["creation" if one.entry.number == 1 else "advance"] += 1
        return outcomes

    harness.store.append = append  # type: ignore[method-assign,assignment]


def test_a_core_whose_memory_is_stale_appends_nothing_wrong(build: Build) -> None:
    """The second core does a step in between; the first one remembers the deployment as it was."""
    harness = build(sequencers=2)
    harness.save(simple("noop:Hang", "noop:Hang", "noop:Hang"))
    lost = Counter[str]()
    _counting_lost(harness, lost)
    harness.ask("d1")
    first, second = harness.cores
    for number, core in enumerate((first, second, first)):
        for _ in range(4):
            core.turn(0)
            harness.worker.turn()
        harness.reply(f"d1/{number}/1", {"status": "completed", "data": number})
        core.turn(0)
    harness.worker.running.clear()
    harness.settle()
    results = [harness.state().steps[number].result for number in range(3)]
    assert [None if one is None else one.data for one in results] == [0, 1, 2]
    assert harness.state().status == "completed"
    assert lost["advance"]


def test_an_entry_that_a_rival_wrote_under_the_same_number_is_respected(build: Build) -> None:
    """Creation, lost: the rival's request was another one, so this one hears no."""
    harness = build(sequencers=2)
    harness.save(simple("noop:A"))
    lost = Counter[str]()
    _counting_lost(harness, lost)
    harness.ask("d1", dynamic={"n": 1})
    harness.ask("d1", dynamic={"n": 2})
    assert [core.turn(0) for core in harness.cores] == [1, 1]
    harness.settle()
    assert lost["creation"] == 1
    assert harness.answers() == [("d1", ""), (None, "refused")]
    assert harness.state().accepted.dynamic == {"n": 1}
