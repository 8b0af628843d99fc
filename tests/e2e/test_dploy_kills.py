"""kill -9 at any moment, of agents of zones, of programs that build, and of the engine: no request of a client fails.

In `rectl up` core, center and builder are one process, and die together; tests/e2e/cluster/test_dploy_kills.py kills each alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dploy_rig import OneProcess, Rig
from tests.e2e.dploy_rounds import Rounds

#: what dies: agents, a program that builds, the engine, all of these; one of each kind in every run of the tests
VICTIMS = (("eu", "us", "zones"), ("program",), ("core", "engine"), ("all",))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, OneProcess(tmp_path))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_kills_at_random_moments_lose_no_request_and_no_release(rig: Rig) -> None:
    """A few rounds, each with another victim."""
    rounds = Rounds(rig, ("core", "engine"))
    rounds.play(rounds.few(VICTIMS))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_fifty_kills_lose_no_request_and_no_release(rig: Rig) -> None:
    """The same, for long."""
    rounds = Rounds(rig, ("core", "engine"))
    rounds.play(rounds.many(VICTIMS, 50))
