"""Every call that the core makes of its store and its bus fails once, before it did anything or after it did all of it."""

from __future__ import annotations

import pytest

from tests.integration.sequencer.lives import AROUND, SCRIPT, Seen, check_promises, play, play_on, save_all, seen
from tests.unit.sequencer.conftest import Build
from tests.unit.sequencer.house import House

LIVES = ["well", "badly", "stopped", "fails"]


@pytest.fixture
def home(build: Build) -> House:
    """A house whose settings put something around every deployment."""
    made = build(around=AROUND, script=SCRIPT)
    save_all(made)
    return made


def _undisturbed(house: House, name: str) -> tuple[Seen, int]:
    """What the world sees of such a life without faults, and how many calls the core made in it."""
    play(house, "calm", name)
    check_promises(house, "calm")
    return seen(house, "calm"), house.faults.total


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_call_that_fails_once_leaves_no_trace(home: House, name: str, after: bool) -> None:
    """The deployment ends exactly as without the fault, each step begun once, each notification sent once."""
    calm, calls = _undisturbed(home, name)
    for number in range(1, calls + 1):
        id = f"{name}{number}"
        home.faults.fail(number, after)
        play(home, id, name)
        home.faults.heal()
        check_promises(home, id)
        assert seen(home, id)._replace(history=()) == calm._replace(history=()), f"call {number} of {calls}"
    assert home.left() == []
