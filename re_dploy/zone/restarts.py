"""When a process that has ended is started again. Must not know clocks: times are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from re_dploy.zone.state import RELEASE, RUN, Slot

if TYPE_CHECKING:
    from re_dploy.zone.process import Process

#: seconds before the first restart, doubled with each further one, and at most
FIRST, LONGEST = 1.0, 300.0

#: seconds after which a process counts as one that runs
GOOD = 60.0


class Restarts:
    """Of one app. They begin from the start with a new version, and with a new agent."""

    def __init__(self) -> None:
        self._failures: dict[Slot, int] = {}
        self._counts: dict[Slot, int] = {}
        #: monotonic seconds before which a slot is not started again
        self.due: dict[Slot, float] = {}

    def ended(self, process: Process, now: float) -> None:
        """A process of what serves has ended; what was asked to end does not count."""
        instance = process.instance
        if process.asked or instance.type in (RELEASE, RUN):
            return
        slot = instance.type, instance.number
        self._counts[slot] = self._counts.get(slot, 0) + 1
        self._failures[slot] = self._failures.get(slot, 0) if process.age < GOOD else 0
        self.failed(slot, now)

    def failed(self, slot: Slot, now: float) -> None:
        """One more start was in vain."""
        failures = self._failures[slot] = self._failures.get(slot, 0) + 1
        self.due[slot] = now + min(LONGEST, FIRST * 2.0 ** min(failures - 1, 20))

    def count(self, slot: Slot) -> int:
        """How often it was started again."""
        return self._counts.get(slot, 0)

    def reset(self) -> None:
        """Another version runs."""
        self._failures, self._counts, self.due = {}, {}, {}
