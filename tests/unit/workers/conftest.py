"""What the tests of a worker's loop share."""

from __future__ import annotations

import pytest

from tests.unit.workers.worker_harness import Parked, Work, WorkerHarness


@pytest.fixture
def parked() -> Parked:
    """Steps that run when the test says so."""
    return Parked()


@pytest.fixture
def harness(parked: Parked) -> WorkerHarness:
    """A worker with two slots and no thread."""
    return WorkerHarness(Work(), slots=2, spawn=parked)
