"""What a simulated store must do as a real one does, or the simulation would accuse the engine of what its own parts did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from re_core.rows import WorkerRecord
from tests.simulation.faults import Bias, Faults
from tests.simulation.process import Process
from tests.simulation.simulated_cluster import SimulatedCluster
from tests.simulation.store import Server, SimStore


def test_a_worker_that_is_registered_while_old_ones_are_forgotten_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow store lets others act between the call and what it does."""
    server = Server(transactional=False)
    server.workers["old"] = WorkerRecord("old", 1, {}, (), 5)
    store = SimStore(server, Process(SimulatedCluster(0), "core0.1"), Faults(0, Bias(())))

    def write(self: SimStore, action: Callable[[], None]) -> None:
        server.workers["new"] = WorkerRecord("new", 1, {}, (), 20)
        action()

    monkeypatch.setattr(SimStore, "_write", write)
    store.forget_workers(10)
    assert list(server.workers) == ["new"]
