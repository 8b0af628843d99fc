"""Registers every worker that claims a step, so that its death is noticed. Must not know what was claimed.

A worker that dies before its first heartbeat was written down has claimed steps all the same.
"""

from __future__ import annotations

from re_core.ports import Clock, Registry
from re_core.rows import WorkerRecord


class WorkerRegistrar:
    """One core's. One thread."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._known: set[str] = set()

    def met(self, worker: str) -> None:
        """It has claimed a step. Raises StoreUnavailable."""
        if worker in self._known:
            return
        registered = {one.id for one in self._registry.workers()}
        if worker not in registered:
            # its offers are unknown until its next heartbeat
            self._registry.register(WorkerRecord(worker, 1, {}, (), self._clock.now()))
        self._known = registered | {worker}
