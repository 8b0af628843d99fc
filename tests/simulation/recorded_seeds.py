"""One seed of a cluster whose steps are recorded on a host, played and checked. Must not know what can go wrong in it."""

from __future__ import annotations

from collections import Counter

from tests.simulation.faults import Bias
from tests.simulation.play import play
from tests.simulation.recorded import RecordedCluster, check_records


def play_recorded(seed: int, loud: bool = False, bias: Bias | None = None) -> Counter[str]:
    """What happened, by kind. Raises AssertionError that names the seed."""
    return play(seed, loud, bias, RecordedCluster, check_records)
