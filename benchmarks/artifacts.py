"""Artifacts pushed and read through the store, and what that does to appends of the journal at the same moment.

python -m benchmarks.artifacts [mongodb://…]    (without a URL: a SQLite file in the current directory)

Prints, for each size, the seconds of a push and of a read, and the milliseconds of an append of 16 entries meanwhile.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from re_core import bootstrap, connections
from re_core.deployment.records import Dispatched, Entry
from re_core.ports import PIECE, Append, Store
from re_core.runtime.settings import load as settings
from re_core.usecases import artifact_pushing, artifact_reading
from re_core.usecases.artifact_pushing import Bounds, Wanted
from re_core.usecases.authorization import Binding, Principal
from re_core.usecases.ids import new_id

#: MiB
SIZES = (1, 16, 64)

#: entries of one append, and seconds between two
BATCH, PAUSE = 16, 0.005

#: seconds that each load lasts at least, so that there are enough appends
LEAST = 3.0

_USER = Principal("bench", (Binding("admin"),))


class Appender(threading.Thread):
    """Appends, and says how long each append took."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="appender")
        self._store = store
        self._ended = threading.Event()
        self.took: list[float] = []

    def run(self) -> None:
        number = 0
        while not self._ended.wait(PAUSE):
            number += 1
            ids = [f"{number}-{new_id()}" for _ in range(BATCH)]
            batch = [Append(Entry(id, 1, 1, "bench", (Dispatched(0, 1),))) for id in ids]
            began = time.perf_counter()
            self._store.append(batch)
            self.took.append(time.perf_counter() - began)

    def end(self) -> None:
        self._ended.set()
        self.join()


def main() -> None:
    """Measure one store."""
    with tempfile.TemporaryDirectory(dir=".") as directory:
        url = sys.argv[1] if sys.argv[1:] else f"sqlite:///{directory}/re.db"
        with closing(bootstrap.open_store(settings({"RE_STORE_URL": url}))) as store:
            _line("nothing else", *_during(store, lambda: time.sleep(LEAST)))
            for size in SIZES:
                names: list[str] = []
                _line(f"push {size} MiB", *_during(store, partial(_push, store, names, size)))
                _line(f"read {size} MiB", *_during(store, partial(artifact_reading.load, store, "bench", names[0])))
                _line(f"delete {size} MiB", *_during(store, partial(_delete, store, names), len(names)))


def _push(store: Store, names: list[str], size: int) -> None:
    names.append(f"bench-{size}-{new_id()}")
    wanted = Wanted("bench", names[-1], "archive", {})
    clock = connections.system_clock()
    artifact_pushing.push_archive(store, clock, _USER, wanted, _pieces(size), Bounds(quota=2**40))


def _pieces(size: int) -> Iterator[bytes]:
    """Of another content each time."""
    yield b"\x1f\x8b" + os.urandom(PIECE - 2)
    for _ in range(1, size):
        yield os.urandom(PIECE)


def _delete(store: Store, names: list[str]) -> None:
    artifact = store.artifact("bench", names.pop())
    assert artifact is not None
    assert store.delete_artifact(artifact)


def _during(store: Store, work: Callable[[], object], times: int = 0) -> tuple[float, list[float]]:
    """The median of the seconds that the work takes, and those of the appends meanwhile, sorted. `times` 0: for LEAST seconds."""
    appender = Appender(store)
    appender.start()
    runs: list[float] = []
    try:
        end = time.monotonic() + LEAST
        while len(runs) < times or (not times and time.monotonic() < end):
            began = time.perf_counter()
            work()
            runs.append(time.perf_counter() - began)
    finally:
        appender.end()
    return sorted(runs)[len(runs) // 2], sorted(appender.took)


def _line(what: str, seconds: float, appends: list[float]) -> None:
    def at(share: float) -> float:
        return appends[min(len(appends) - 1, int(len(appends) * share))] * 1000 if appends else 0.0

    print(
        f"{what:14} {seconds:7.3f} s; {len(appends):4} appends, ms: half {at(0.5):6.1f}, 99 of 100 {at(0.99):6.1f}, longest {at(1):6.1f}"
    )


if __name__ == "__main__":
    main()
