"""One seed, played from its beginning to its end. Must not know what can go wrong in it."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from tests.simulation.faults import Bias, Death
from tests.simulation.oracle import check
from tests.simulation.simulated_cluster import SimulatedCluster


def play(
    seed: int,
    loud: bool = False,
    bias: Bias | None = None,
    made: type[SimulatedCluster] = SimulatedCluster,
    also: Callable[[Any], None] = lambda cluster: None,
) -> Counter[str]:
    """What happened, by kind, in a cluster that is `made`; `also` what must hold of it. Raises AssertionError that names the seed."""
    before, silent = random.getstate(), logging.root.manager.disable
    random.seed(seed)  # the engine's own jitter
    logging.disable()  # it complains a lot, and rightly so
    try:
        cluster = made(seed, loud, bias)
        # the engine measures by these how long it held something, and makes ids; nothing else runs here meanwhile
        with patch.multiple(time, monotonic=cluster.time.monotonic, time=cluster.time.seconds):
            cluster.run()
        check(cluster)
        also(cluster)
    except (Exception, Death) as error:
        again = f"python -m tests.simulation {made.option}--seed {seed}"
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\ntold step by step by: {again}") from error
    finally:
        random.setstate(before)
        logging.disable(silent)
    return cluster.faults.happened + Counter(deployments=len(cluster.server.journal))
