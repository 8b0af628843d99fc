"""Whether cost stays flat: the same load, and the same questions, on an empty store and on one with a long past."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ulid import ULID

from benchmarks.child import call
from re_core.adapters.sqlite import SqliteStore
from re_core.model import View
from re_core.ports import Append, ViewFilter
from re_core.records import Entry
from re_core.state import fold, view_of

#: entries of one commit while the past is made
CHUNK = 5000


def measure(past: int, in_flight: int, total: int) -> dict[str, Any]:
    """Steps a second and the time of a list and a status, empty and with `past` finished deployments of ten steps."""
    with tempfile.TemporaryDirectory() as name:
        empty = call("benchmarks.flow", directory=name, in_flight=in_flight, total=total, repeatable=True)
        store = SqliteStore(str(Path(name) / "release-engine.db"))
        few = _questions(store)
        began = time.perf_counter()
        _fill(store, past)
        filled = time.perf_counter() - began
        many = _questions(store)
        size = (Path(name) / "release-engine.db").stat().st_size / 1024 / 1024
        store.close()
        full = call("benchmarks.flow", directory=name, in_flight=in_flight, total=total, repeatable=True)
    return {
        "past": past,
        "empty_steps_per_second": empty["steps_per_second"],
        "full_steps_per_second": full["steps_per_second"],
        "ratio": full["steps_per_second"] / empty["steps_per_second"],
        "list_ms": {"empty": few["list"], "full": many["list"]},
        "status_ms": {"empty": few["status"], "full": many["status"]},
        "store_mib": size,
        "seconds_to_fill": filled,
    }


def _fill(store: SqliteStore, count: int) -> None:
    """Copies of a deployment that really ran, under new ids."""
    page = store.views(ViewFilter(), 1)
    entries = store.entries(page.rows[0].id)
    view = view_of(fold(entries), None)
    chunk: list[Append] = []
    for _ in range(count):
        chunk.extend(_copy(entries, view, str(ULID())))
        if len(chunk) >= CHUNK:
            store.append(chunk)
            chunk = []
    store.append(chunk)


def _copy(entries: list[Entry], view: View, id: str) -> list[Append]:
    rows = [Append(entry._replace(deployment=id)) for entry in entries]
    rows[-1] = rows[-1]._replace(view=view._replace(id=id))
    return rows


def _questions(store: SqliteStore) -> dict[str, float]:
    id = store.views(ViewFilter(), 1).rows[0].id
    return {
        "list": _time(lambda: store.views(ViewFilter(groups=("bench",)), 50)),
        "status": _time(lambda: fold(store.entries(id))),
    }


def _time(question: Callable[[], object]) -> float:
    """Milliseconds, the median of many."""
    took = []
    for _ in range(200):
        began = time.perf_counter()
        question()
        took.append(time.perf_counter() - began)
    return sorted(took)[len(took) // 2] * 1000
