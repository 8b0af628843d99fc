"""Many seeds, and what became of them: a broken one stops no other. Must not know who asks for them."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.play import play

#: what plays a seed: what happened in it, by kind; raises AssertionError
Player = Callable[[int], Counter[str]]

#: seeds that a process takes at once
SHARE = 20

#: characters of a violation in a list
WIDTH = 300


@dataclass
class Played:
    """Seeds that were played."""

    seeds: int = 0
    #: what happened in those that kept every promise, by kind
    happened: Counter[str] = field(default_factory=Counter)
    #: seed -> its violation, as long as it is
    broken: dict[int, str] = field(default_factory=dict)

    def play(self, seed: int, player: Player | None = None) -> None:
        """One more, here; without `player` in a cluster of deployments alone."""
        self.add(*_one(seed, player))

    def add(self, seed: int, happened: Counter[str], violation: str) -> None:
        """One more that was played, perhaps by another process."""
        self.seeds += 1
        self.happened += happened
        if violation:
            self.broken[seed] = violation

    def lines(self) -> list[str]:
        """Each broken seed with the first line of its violation, in their order."""
        return [f"seed {seed}: {first_line(self.broken[seed])}" for seed in sorted(self.broken)]


def first_line(violation: str) -> str:
    """Of a violation, without the words `seed N: ` that it begins with, and at most WIDTH characters of it."""
    line = violation.partition("\n")[0]
    if line.startswith("seed "):
        line = line.partition(": ")[2]
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def each(seeds: Sequence[int], workers: int, player: Player | None = None) -> Iterator[tuple[int, Counter[str], str]]:
    """Seed, what happened in it, and its violation or nothing; in whatever order the processes come to them."""
    if workers == 1:
        yield from map(partial(_one, player=player), seeds)
        return
    with multiprocessing.Pool(workers) as pool:
        yield from pool.imap_unordered(partial(_one, player=player), seeds, chunksize=SHARE)


def play_within(seconds: float, seeds: Iterable[int], player: Player | None = None) -> Played:
    """As many of them, from the first on, as begin within the time: at least one."""
    played, end = Played(), time.monotonic() + seconds
    for seed in seeds:
        if played.seeds and time.monotonic() > end:
            break
        played.play(seed, player)
    return played


def say(text: str) -> None:
    """To whoever waits in front of the screen; what a program reads goes to stdout."""
    print(text, file=sys.stderr, flush=True)


def _one(seed: int, player: Player | None = None) -> tuple[int, Counter[str], str]:
    try:
        return seed, (player or play)(seed), ""
    except AssertionError as error:
        return seed, Counter(), str(error)
