"""By hand: python -m tests.simulation --seeds 100000 --workers 2, or --seed 123 with everything that happens in it."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import Counter

from tests.simulation.play import play


def _one(seed: int) -> tuple[Counter[str], str]:
    try:
        return play(seed), ""
    except AssertionError as error:
        return Counter(), str(error)


def main() -> int:
    """0 where every seed went well."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one, told step by step")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--workers", type=int, default=1, help="how many processes share them")
    given = parser.parse_args()
    if given.seed is not None:
        print(dict(play(given.seed, loud=True)))
        return 0
    happened, failed = Counter[str](), 0
    with multiprocessing.Pool(given.workers) as pool:
        for one, problem in pool.imap_unordered(_one, range(given.first, given.first + given.seeds), chunksize=20):
            happened += one
            if problem:
                failed += 1
                print(problem[:1000], flush=True)
    print(f"{given.seeds} seeds, {failed} failed; {dict(happened.most_common())}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
