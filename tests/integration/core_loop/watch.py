"""A core of a harness that looks who lives, without its threads: its own heartbeats, the registry, and the roll. Must not know tests."""

from __future__ import annotations

from re_core.rows import WorkerRecord
from re_core.services.heartbeats import Heartbeats
from re_core.workforce.presence import Presence
from tests.integration.core_loop.core_harness import CoreHarness


class Watch:
    """Heartbeats come and go by the bus and the store of the harness, as those of workers do."""

    def __init__(self, harness: CoreHarness, presence: Presence | None = None) -> None:
        """`presence`: another core's, in place of the harness's."""
        self.harness = harness
        self.heartbeats = Heartbeats(harness.bus, harness.store, harness.clock, presence or harness.presence)

    def second(self, *heard: str) -> None:
        """One second passes, in which these workers are heard."""
        self.harness.clock.pass_seconds(1)
        for worker in heard:
            self.harness.store.register(WorkerRecord(worker, 8, {}, (), self.harness.clock.now()))
        self.heartbeats.turn(0)
        self.harness.roll.poll()

    def seconds(self, count: int, *heard: str) -> None:
        for _ in range(count):
            self.second(*heard)

    def close(self) -> None:
        self.heartbeats.close()
