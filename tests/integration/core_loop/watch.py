"""A core of a house that looks who lives, without its threads: its own heartbeats, the registry, and the roll. Must not know tests."""

from __future__ import annotations

from re_core.rows import WorkerRecord
from re_core.services.bookkeeping import Heartbeats
from re_core.workforce.presence import Presence
from tests.integration.core_loop.house import House


class Watch:
    """Heartbeats come and go by the bus and the store of the house, as those of workers do."""

    def __init__(self, house: House, presence: Presence | None = None) -> None:
        """`presence`: another core's, in place of the house's."""
        self.house = house
        self.heartbeats = Heartbeats(house.bus, house.store, house.clock, presence or house.presence)

    def second(self, *heard: str) -> None:
        """One second passes, in which these workers are heard."""
        self.house.clock.pass_seconds(1)
        for worker in heard:
            self.house.store.register(WorkerRecord(worker, 8, {}, (), self.house.clock.now()))
        self.heartbeats.turn(0)
        self.house.roll.poll()

    def seconds(self, count: int, *heard: str) -> None:
        for _ in range(count):
            self.second(*heard)

    def close(self) -> None:
        self.heartbeats.close()
