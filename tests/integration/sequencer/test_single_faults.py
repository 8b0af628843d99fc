"""Every call that the core makes of its store and its bus fails once, before it did anything or after it did all of it."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.sequencer.lives import AROUND, SCRIPT, Seen, check_promises, play, play_on, save_all, seen

LIVES = ["well", "badly", "stopped", "fails"]


@pytest.fixture
def home(build: Build) -> CoreHarness:
    """A harness whose settings put something around every deployment."""
    made = build(around=AROUND, script=SCRIPT)
    save_all(made)
    return made


def _undisturbed(harness: CoreHarness, name: str) -> tuple[Seen, int]:
    """What the world sees of such a life without faults, and how many calls the core made in it."""
    play(harness, "calm", name)
    check_promises(harness, "calm")
    return seen(harness, "calm"), harness.faults.total


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_call_that_fails_once_leaves_no_trace(home: CoreHarness, name: str, after: bool) -> None:
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


@pytest.mark.parametrize("name", LIVES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_at_a_call_leaves_every_promise_kept(home: CoreHarness, name: str, after: bool) -> None:
    """It ends as without the death, or says which step nobody knows about; nobody is told twice of anything."""
    calm, calls = _undisturbed(home, name)
    ends: Counter[str] = Counter()
    for number in range(1, calls + 1):
        id = f"{name}{number}"
        home.faults.fail(number, after, death=True)
        play_on(home, id, name)
        home.faults.heal()
        check_promises(home, id, deaths=1)
        after_all = seen(home, id)
        if "lost" in after_all.steps:
            ends["lost"] += 1
            assert after_all.status in ("failed", calm.status) and after_all.status != "completed"
            assert "/failed/console" in after_all.told
        else:
            ends["as ever"] += 1
            assert (after_all.status, after_all.reason, after_all.steps) == (calm.status, calm.reason, calm.steps)
            assert set(calm.told) <= set(after_all.told), f"call {number} of {calls}"
    assert home.left() == []
    assert ends["as ever"] > calls / 2
    assert ends["lost"] or name == "fails", "no death came while a step ran"
