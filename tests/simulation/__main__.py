"""By hand: python -m tests.simulation --seeds 100000 --workers 2, or --seed 123 with everything that happens in it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence

from tests.simulation.app_seeds import play_apps
from tests.simulation.many import Played, Player, each, say
from tests.simulation.pipeline_seeds import play_pipelines
from tests.simulation.play import play
from tests.simulation.recorded_seeds import play_recorded

#: a line on the screen after so many seeds
PROGRESS = 5_000


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every seed kept every promise, 1 where one broke one, 130 where Ctrl-C came before the last seed."""
    given = _parser().parse_args(arguments)
    if given.seed is not None:
        print(dict((_player(given) or play)(given.seed, loud=True)))
        return 0
    played, interrupted = Played(), False
    try:
        seeds = range(given.first, given.first + given.seeds)
        _play(played, seeds, given.workers, _player(given))
    except KeyboardInterrupt:
        interrupted = True
    _report(played, given.first)
    if interrupted:
        print(f"interrupted: {given.seeds - played.seeds} of {given.seeds} seeds were not played")
        return 130
    return 1 if played.broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="only this one, told step by step")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds")
    parser.add_argument("--seeds", type=_positive, default=2000, help="how many; a broken one stops no other")
    parser.add_argument("--pipelines", action="store_true", help="clusters with pipelines that subscribe to each other")
    parser.add_argument("--apps", action="store_true", help="apps, their zones and two centers")
    parser.add_argument("--hosts", action="store_true", help="steps that are recorded on a host")
    parser.add_argument("--workers", type=_positive, default=1, help="how many processes share them")
    return parser


def _player(given: argparse.Namespace) -> Callable[..., Counter[str]] | None:
    """None: a cluster of deployments alone."""
    if given.apps:
        return play_apps
    if given.hosts:
        return play_recorded
    return play_pipelines if given.pipelines else None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _play(played: Played, seeds: range, workers: int, player: Player | None) -> None:
    for seed, happened, violation in each(seeds, workers, player):
        played.add(seed, happened, violation)
        if violation:
            say(violation)
        if played.seeds % PROGRESS == 0:
            say(f"{played.seeds} of {len(seeds)} seeds, {len(played.broken)} broken")


def _report(played: Played, first: int) -> None:
    print(f"{played.seeds} seeds from {first} on, {len(played.broken)} broken; {dict(played.happened.most_common())}")
    for line in played.lines():
        print(line)


if __name__ == "__main__":
    sys.exit(main())
