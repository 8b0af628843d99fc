"""Whether cost stays flat: the same load, and the same questions, on an empty store and on one with a long past."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ulid import ULID

from benchmarks.child import call
from re_core.adapters.sqlite import SqliteStore
from re_core.deployment.records import Entry
from re_core.deployment.state import fold
from re_core.deployment.summary import view_of
from re_core.ports import Append, ViewFilter
from re_core.rows import View

_T = TypeVar("_T")

#: how often each is measured
ROUNDS = 3

#: entries of one commit while the past is made
CHUNK = 5000


def measure(past: int, in_flight: int, total: int) -> dict[str, Any]:
    """Steps a second and the time of a list and a status, empty and with `past` finished deployments of ten steps.

    Both are measured in turn, several times, so that what else the machine does meets both alike.
    """
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as full:
        for directory in (empty, full):
            call("benchmarks.flow", directory=directory, in_flight=1, total=1, repeatable=True)
        began = time.perf_counter()
        _with_store(full, lambda store: _fill(store, past))
        filled = time.perf_counter() - began
        rates: dict[str, list[float]] = {empty: [], full: []}
        for _ in range(ROUNDS):
            for directory, found in rates.items():
                found.append(_rate(directory, in_flight, total))
        asked = {directory: _with_store(directory, _questions) for directory in rates}
        size = (Path(full) / "release-engine.db").stat().st_size / 1024 / 1024
    before, after = statistics.median(rates[empty]), statistics.median(rates[full])
    return {
        "past": past,
        "empty_steps_per_second": before,
        "full_steps_per_second": after,
        "ratio": after / before,
        "list_ms": {"empty": asked[empty]["list"], "full": asked[full]["list"]},
        "status_ms": {"empty": asked[empty]["status"], "full": asked[full]["status"]},
        "store_mib": size,
        "seconds_to_fill": filled,
    }


def _rate(directory: str, in_flight: int, total: int) -> float:
    row = call("benchmarks.flow", directory=directory, in_flight=in_flight, total=total, repeatable=True)
    return float(row["steps_per_second"])


def _with_store(directory: str, use: Callable[[SqliteStore], _T]) -> _T:
    store = SqliteStore(str(Path(directory) / "release-engine.db"))
    try:
        return use(store)
    finally:
        store.close()


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
