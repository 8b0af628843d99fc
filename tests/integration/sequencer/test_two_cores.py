"""Two cores on one store and one bus: nobody owns a deployment, and whoever is slower judges again."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from re_core.ports import Append, Appended
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.house import House
from tests.integration.sequencer.lives import AROUND, SCRIPT, check_promises, save_all, seen

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


def _interleave(house: House, random: random.Random) -> None:
    """Each takes a turn when its number comes up, until nobody has anything to do."""
    actors: list[Any] = [*house.cores, house.worker, *house.notifiers]
    quiet = 0
    while quiet < 40:
        actor = random.choice(actors)
        handled = actor.turn(0) if actor in house.cores else actor.turn()
        quiet = 0 if handled else quiet + 1
    house.settle()


@pytest.mark.parametrize("seed", range(4))
def test_two_cores_share_many_deployments_and_keep_every_promise(build: Build, seed: int) -> None:
    house, chance, lost = build(around=AROUND, script=SCRIPT, sequencers=2), random.Random(seed), Counter[str]()
    save_all(house)
    _counting_lost(house, lost)
    ids = {f"{name}{number}": name for number in range(5) for name in NAMES}
    for id, name in ids.items():
        for _ in range(chance.choice((1, 1, 2))):  # a copy may reach the other core
            house.ask(id, name, headers={"re-key": f"key {id}"})
    _interleave(house, chance)
    for id, name in ids.items():
        if name == "stopped":
            house.cancel(id)
            house.say(id, "due")
    _interleave(house, chance)
    house.finish(list(ids))
    for id in ids:
        check_promises(house, id)
    for name in NAMES:
        one, *others = [seen(house, id)._replace(history=()) for id in ids if ids[id] == name]
        assert others == [one] * 4
    writers = {entry.writer.partition(".")[2][0] for id in ids for entry in house.store.entries(id)}
    assert writers == {"0", "1"}, "one core did all of it"
    assert lost["creation"] and lost["advance"], f"no race came about: {lost} (seed {seed})"
    assert all(times == 1 for times in house.world.told.values())
    assert house.left() == []


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
    assert [house.state().steps[number].data for number in range(3)] == [0, 1, 2]
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
