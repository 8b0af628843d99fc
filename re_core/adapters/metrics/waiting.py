"""Steps that were sent and that no worker has taken yet, as far as this core knows. Must not know the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from threading import Lock

#: attempts of one command that are kept; of more the oldest are what counts
MOST = 10_000

#: seconds after which one is looked up in its journal before it is reported: another core may have its claim
DOUBTED = 30.0

#: attempts that one look looks up at most
LOOKED_UP = 20


class WaitingSteps:
    """By command, the oldest first."""

    def __init__(self) -> None:
        #: command -> attempt -> when it was sent first, milliseconds since the epoch
        self._sent: dict[str, dict[str, int]] = {}
        self._lock = Lock()

    def sent(self, steps: Iterable[tuple[str, str, int]]) -> None:
        """These are on their queues, perhaps once more: command, attempt, and when its turn came (milliseconds since the epoch)."""
        with self._lock:
            for command, attempt, at in steps:
                waiting = self._sent.get(command)
                if waiting is None:
                    waiting = self._sent[command] = {}
                if len(waiting) < MOST:
                    waiting.setdefault(attempt, at)

    def over(self, command: str, attempt: str) -> None:
        """A worker has taken it, or none will."""
        waiting = self._sent.get(command)
        if waiting:
            with self._lock:
                waiting.pop(attempt, None)

    def ages(self, now: int, waits: Callable[[str], bool]) -> dict[str, float]:
        """Command -> seconds for which its oldest step waits; 0 where none does. `now` in milliseconds.

        `waits`: whether the journal says so, of an attempt that seems to have waited for long.
        """
        with self._lock:
            oldest = {command: list(islice(waiting.items(), LOOKED_UP)) for command, waiting in self._sent.items()}
        return {command: self._age(command, first, now, waits) for command, first in oldest.items()}

    def _age(self, command: str, first: list[tuple[str, int]], now: int, waits: Callable[[str], bool]) -> float:
        for attempt, at in first:
            age = max(0.0, (now - at) / 1000)
            if age < DOUBTED or waits(attempt):
                return age
            self.over(command, attempt)
        return 0.0
