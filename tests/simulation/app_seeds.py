"""One seed of a world with apps, played and checked. Must not know what can go wrong in it."""

from __future__ import annotations

import logging
from collections import Counter

from tests.simulation.apps import AppWorld


def play_apps(seed: int, kinds: tuple[str, ...] | None = None, loud: bool = False) -> Counter[str]:
    """What happened, by kind; `kinds`: the faults that there are. Raises AssertionError that names the seed."""
    silent = logging.root.manager.disable
    logging.disable()  # it complains a lot, and rightly so
    try:
        world = AppWorld(seed, kinds, loud)
        world.run()
    except Exception as error:
        again = f"python -m tests.simulation --apps --seed {seed}"
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\ntold step by step by: {again}") from error
    finally:
        logging.disable(silent)
    committed = sum(state.current > 0 for state in world.states.values())
    versions = sum(state.last for state in world.states.values())
    return world.happened + Counter(committed=committed, versions=versions)
