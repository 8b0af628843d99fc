"""What the workers themselves wrote down: which attempts they began and ended, when, in which process.

Must not know what the engine thinks of it.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One line of the ledger."""

    #: `begin`, `completed` or `failed`; of a forest runner, `ok-completed` and `ok-failed` once it was answered
    what: str
    deployment: str
    #: number of the step in the deployment, from 0
    step: int
    #: from 1
    attempt: int
    #: of the worker's process
    pid: int
    #: seconds of the machine's monotonic clock
    at: float


class Fall(NamedTuple):
    """A process was killed."""

    #: what kind of process
    kind: str
    #: seconds of the machine's monotonic clock
    at: float


class Ledger:
    """The file, which outlives all workers."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.touch()

    def count(self) -> int:
        """Lines so far."""
        return self.file.read_bytes().count(b"\n")

    def lines(self) -> list[Line]:
        """All lines that are whole, in the order in which they were written."""
        return [_read(line) for line in self.file.read_text().split("\n")[:-1]]

    def by_deployment(self) -> dict[str, list[Line]]:
        """The lines of each deployment, in order."""
        found: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines():
            found[line.deployment].append(line)
        return found


def begins(lines: Iterable[Line]) -> list[Line]:
    """Those that say that an attempt began."""
    return [line for line in lines if line.what == "begin"]


def largest_gap(lines: Iterable[Line], until: float = math.inf) -> float:
    """Seconds of the longest pause between two lines that follow each other, the first not after `until`."""
    pairs = itertools.pairwise(line.at for line in lines)
    return max((later - earlier for earlier, later in pairs if earlier <= until), default=0.0)


def _read(text: str) -> Line:
    what, attempt, pid, at = text.split()
    deployment, step, number = attempt.split("/")
    return Line(what, deployment, int(step), int(number), int(pid), float(at))
