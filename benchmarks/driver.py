"""Keeps a number of deployments in flight by messages alone, and hears of their ends. Must not know who carries them.

A deployment begins with `job.create`; its end is told by the notification that the setting PHASE_NOTIFICATION asks for.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import psutil
from ulid import ULID

from benchmarks.flow import STEPS
from benchmarks.usage import cpu_seconds
from re_core import connections
from re_core.runtime.settings import load
from re_core.wire import messages as m
from re_core.wire.messages import Message

#: the transport that tells of ends, its queue, and the text of a settings file that makes it do so
TRANSPORT = "bench"
QUEUE = f"notify.{TRANSPORT}"
SETTINGS = f"PHASE_NOTIFICATION:\n  completed: {{{TRANSPORT}: [ended]}}\n  failed: {{{TRANSPORT}: [failed]}}\n"

#: deployments before the clock runs: imports, caches, files
WARMING = 20

#: seconds without any end after which something is wrong
STUCK = 60.0


class Driver:
    """One bus connection; made before the load, so that the queue of ends is there."""

    def __init__(self, bus_url: str) -> None:
        self._bus = connections.open_bus(load({"RE_BUS_URL": bus_url}), None)
        self._ends = self._bus.subscribe([QUEUE], 2000)
        self._begun: dict[str, float] = {}
        self._took: list[float] = []

    def warm_up(self) -> None:
        """Some deployments for which no clock runs."""
        self._drive(WARMING, WARMING)

    def drive(self, in_flight: int, total: int, members: Mapping[str, psutil.Process]) -> dict[str, Any]:
        """So many deployments, `in_flight` of them at any time: steps a second, times, and what CPU the parts used."""
        before, began = cpu_seconds(members), time.perf_counter()
        self._drive(in_flight, total)
        seconds, after = time.perf_counter() - began, cpu_seconds(members)
        took = sorted(self._took)
        return {
            "steps_per_second": total * STEPS / seconds,
            "p50_ms": took[len(took) // 2],
            "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)],
            "cpu_us_per_step": {name: (after[name] - before.get(name, 0)) / (total * STEPS) * 1e6 for name in after},
        }

    def close(self) -> None:
        self._bus.close()

    def _drive(self, in_flight: int, total: int) -> None:
        self._begun, self._took, started = {}, [], 0
        while len(self._took) < total:
            wanted = min(in_flight - len(self._begun), total - started)
            self._begin(wanted)
            started += wanted
            self._await_some()

    def _begin(self, count: int) -> None:
        if count <= 0:
            return
        body = m.encode({"group": "bench", "playbook_id": "noop"})
        messages = [Message("job.create", body, str(ULID())) for _ in range(count)]
        now = time.perf_counter()
        self._begun.update((message.id, now) for message in messages)
        self._bus.publish(messages)

    def _await_some(self) -> None:
        deliveries = self._ends.take(1000, STUCK)
        now = time.perf_counter()
        if not deliveries:
            raise RuntimeError(f"no deployment has ended for {STUCK:g} s; {len(self._begun)} are under way")
        for delivery in deliveries:
            if b'"phase":"completed"' not in delivery.message.body:
                raise RuntimeError(f"a deployment failed: {delivery.message.body!r:.500}")
            began = self._begun.pop(delivery.message.correlation_id, None)
            if began is not None:
                self._took.append((now - began) * 1000)
        self._ends.ack(deliveries)
