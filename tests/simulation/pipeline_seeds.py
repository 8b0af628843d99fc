"""One seed of a cluster with pipelines, played and checked. Must not know what can go wrong in it."""

from __future__ import annotations

from collections import Counter

from tests.simulation.faults import Bias
from tests.simulation.pipeline_oracle import check_pipelines
from tests.simulation.pipelines import PipelineCluster
from tests.simulation.play import play


def play_pipelines(seed: int, loud: bool = False, bias: Bias | None = None) -> Counter[str]:
    """What happened, by kind. Raises AssertionError that names the seed."""
    return play(seed, loud, bias, PipelineCluster, check_pipelines)
