"""Keeps a number of deployments in flight on a real engine without HTTP, and watches its store. Runs in a process of its own.

Called as `python -m benchmarks.flow <json>`; prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ulid import ULID

from re_core.adapters.sqlite import SqliteStore
from re_core.deployment.records import Ended, entry_to_document
from re_core.ports import Append, Appended
from re_core.rows import StoredPlaybook
from re_core.runtime.settings import load
from re_core.wire import messages as m
from re_core.wire.messages import Message
from re_core.wire.strict_json import dumps
from re_up.engine import Engine

#: steps of one deployment
STEPS = 10


class Watched:
    """Notes what the engine appends: how it batches, and when each deployment begins and ends."""

    def __init__(self, store: SqliteStore) -> None:
        self._append = store.append
        store.append = self.append  # type: ignore[method-assign]
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.batches: list[int] = []
        self.begun: dict[str, float] = {}
        self.took: list[float] = []
        self.ended = threading.Semaphore(0)

    def append(self, batch: Sequence[Append]) -> list[Appended]:
        outcomes = self._append(batch)
        now = time.perf_counter()
        self.batches.append(len(batch))
        for row in batch:
            if isinstance(row.entry.records[-1], Ended):
                self.took.append(now - self.begun.pop(row.entry.deployment))
                self.ended.release()
        return outcomes


def playbook(repeatable: bool, steps: int = STEPS) -> dict[str, Any]:
    """A playbook of steps that do nothing."""
    step: Any = {"noop:Step": {}, "idempotent": repeatable}
    return {"group": "bench", "name": "noop", "execution": [{"hosts": ["localhost"], "steps": [step] * steps}]}


def store_playbook(store: SqliteStore, name: str, repeatable: bool, steps: int = STEPS) -> None:
    """Put it where a deployment finds it."""
    document = playbook(repeatable, steps)
    store.save_playbook(StoredPlaybook(name, "bench", "noop", 1, document, 0, 0, "bench"))


def run(directory: str, in_flight: int, total: int, repeatable: bool) -> dict[str, Any]:
    """Steps a second, seconds a deployment, and what the store was asked to do."""
    engine = Engine(load({"RE_DATA_DIR": directory}))
    engine.start()
    store = engine.store
    assert isinstance(store, SqliteStore)
    store_playbook(store, "noop", repeatable)
    watched = Watched(store)
    _drive(engine, watched, min(in_flight, 20), 20)  # warm up: imports, caches, files
    watched.forget()
    cpu, began = time.process_time(), time.perf_counter()
    _drive(engine, watched, in_flight, total)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    engine.stop(5)
    took = sorted(watched.took)
    return {
        "in_flight": in_flight,
        "deployments": total,
        "repeatable": repeatable,
        "steps_per_second": total * STEPS / seconds,
        "seconds": seconds,
        "cpu_us_per_step": cpu / (total * STEPS) * 1e6,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[min(len(took) - 1, len(took) * 99 // 100)] * 1000,
        "documents_per_step": sum(watched.batches) / (total * STEPS),
        "batches": watched.batches,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "entry_bytes": _entry_bytes(directory),
    }


def _drive(engine: Engine, watched: Watched, in_flight: int, total: int) -> None:
    started = 0
    while started < total:
        wanted = min(in_flight - (started - len(watched.took)), total - started)
        if wanted > 0:
            _begin(engine, watched, wanted)
            started += wanted
        watched.ended.acquire()
    while len(watched.took) < total:
        watched.ended.acquire()


def _begin(engine: Engine, watched: Watched, count: int) -> None:
    body = m.encode({"group": "bench", "playbook_id": "noop"})
    messages = [Message("job.create", body, str(ULID())) for _ in range(count)]
    now = time.perf_counter()
    watched.begun.update((message.id, now) for message in messages)
    engine.bus.publish(messages)


def _entry_bytes(directory: str) -> int:
    """Mean size of what is stored of one entry."""
    store = SqliteStore(str(Path(directory) / "release-engine.db"))
    sizes = [len(dumps(entry_to_document(entry))) for id in _some(store) for entry in store.entries(id)]
    store.close()
    return sum(sizes) // len(sizes)


def _some(store: SqliteStore) -> list[str]:
    from re_core.ports import ViewFilter

    return [row.id for row in store.views(ViewFilter(), 20).rows]


if __name__ == "__main__":
    print(json.dumps(run(**json.loads(sys.argv[1]))))
