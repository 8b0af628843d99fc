"""Targets that did not answer are left alone for a while, so that one which is away does not hold up all others. Pure.

Must not know transports. A notifier sends one notification after the other: a server that answers after fifteen seconds with nothing
would cost each of them that time.
"""

from __future__ import annotations

from collections.abc import Callable

from re_core.backoff import Backoff

#: seconds that a target rests, at first and at most
REST, MAX_REST = 5.0, 60.0

#: targets that are remembered; settings name fewer
MOST = 1000


class Resting:
    """Which targets rest; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._backoff = Backoff(REST, MAX_REST)
        #: target -> until when, how often it did not answer, and what was the matter
        self._away: dict[str, tuple[float, int, str]] = {}

    def why(self, target: str) -> str:
        """What was the matter with a target that still rests; empty where it may be tried."""
        until, _, what = self._away.get(target, (0.0, 0, ""))
        return what if self._clock() < until else ""

    def failed(self, target: str, what: str, least: float = 0.0) -> None:
        """It did not answer, or wants to be left alone for at least so many seconds."""
        _, times, _ = self._away.pop(target, (0.0, 0, ""))
        self._away[target] = (self._clock() + max(least, self._backoff.after(times + 1)), times + 1, what)
        if len(self._away) > MOST:
            del self._away[next(iter(self._away))]

    def answered(self, target: str) -> None:
        """Whatever it answered, it is there."""
        self._away.pop(target, None)
