"""Two cores on one store and one bus: whoever is slower judges again. Many cores under all kinds of bad luck: tests/simulation."""

from __future__ import annotations

from collections import Counter

from re_core.ports import Append, Appended
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House

NAMES = ("well", "badly", "stopped", "fails")


def _counting_lost(house: House, lost: Counter[str]) -> None:
    """Note every append that a core lost: of a new deployment, or of a later entry."""
    real = house.store.append

    def append(batch: list[Append]) -> list[Appended]:
        outcomes = real(batch)
        for one, outcome in zip(batch, outcomes, strict=True):
            if outcome is Appended.LOST:
                lost["creation" if one.entry.number == 1 else "advance"] += 1
        return outcomes

    house.store.append = append  # type: ignore[method-assign,assignment]


def test_a_core_whose_memory_is_stale_appends_nothing_wrong(build: Build) -> None:
    """The second core does a step in between; the first one remembers the deployment as it was."""
    house = build(sequencers=2)
    house.save(simple("noop:Hang", "noop:Hang", "noop:Hang"))
    lost = Counter[str]()
    _counting_lost(house, lost)
    house.ask("d1")
    first, second = house.cores
    for number, core in enumerate((first, second, first)):
        for _ in range(4):
            core.turn(0)
            house.worker.turn()
        house.reply(f"d1/{number}/1", {"status": "completed", "data": number})
        core.turn(0)
    house.worker.running.clear()
    house.settle()
    results = [house.state().steps[number].result for number in range(3)]
    assert [None if one is None else one.data for one in results] == [0, 1, 2]
    assert house.state().status == "completed"
    assert lost["advance"]


def test_an_entry_that_a_rival_wrote_under_the_same_number_is_respected(build: Build) -> None:
    """Creation, lost: the rival's request was another one, so this one hears no."""
    house = build(sequencers=2)
    house.save(simple("noop:A"))
    lost = Counter[str]()
    _counting_lost(house, lost)
    house.ask("d1", dynamic={"n": 1})
    house.ask("d1", dynamic={"n": 2})
    assert [core.turn(0) for core in house.cores] == [1, 1]
    house.settle()
    assert lost["creation"] == 1
    assert house.answers() == [("d1", ""), (None, "refused")]
    assert house.state().accepted.dynamic == {"n": 1}
