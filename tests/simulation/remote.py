"""What runs outside of all processes: begun by one, seen to its end by whichever has it then. Must not know the engine.

Its table stands for the rows that a real worker of this kind keeps in a store: owner, number of moves, how it ended.
"""

from __future__ import annotations

from collections import Counter

from tests.simulation.clock import Time

#: beats of its own after which a process takes over what belongs to one that gave no sign meanwhile
BEATS = 4


class Run:
    """One attempt's."""

    def __init__(self, attempt: str, saved: bytes, owner: str, ends_at: int) -> None:
        self.attempt = attempt
        self.saved = saved
        #: name of the process that sees to it; empty where that has left
        self.owner = owner
        #: how often it was taken over
        self.moves = 0
        self.ends_at = ends_at
        self.ended = False
        #: the core does not want to hear of it any more
        self.over = False


class Remote:
    """All of a world's, and the signs of life of those that see to them."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._runs: dict[str, Run] = {}
        #: name of a process -> its signs of life
        self.beats: Counter[str] = Counter()

    def begin(self, attempt: str, saved: bytes, owner: str, takes: int) -> bool:
        """It begins; False where it has begun before."""
        if attempt in self._runs:
            return False
        self._runs[attempt] = Run(attempt, saved, owner, self._time.now + takes)
        return True

    def find(self, attempt: str) -> Run:
        return self._runs[attempt]

    def open(self) -> list[Run]:
        """Those that the core may want to hear of."""
        return [one for one in self._runs.values() if not one.over]


class Watch:
    """What one process has seen of the others' signs of life."""

    def __init__(self, remote: Remote, name: str) -> None:
        self._remote = remote
        self._name = name
        #: name -> its count, and how often this process had beaten when that last changed
        self._seen: dict[str, tuple[int, int]] = {}

    def beat(self) -> None:
        """One of its own; look at all others."""
        beats = self._remote.beats
        beats[self._name] += 1
        for name, count in beats.items():
            if self._seen.get(name, (None, 0))[0] != count:
                self._seen[name] = count, beats[self._name]

    def is_gone(self, owner: str) -> bool:
        """Whether that process gave no sign of life lately."""
        _, at = self._seen.get(owner, (None, 0))
        return not owner or self._remote.beats[self._name] - at >= BEATS
