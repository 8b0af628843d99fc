"""SqliteStore: what is synced, and what the next sync takes along."""

from __future__ import annotations

from pathlib import Path

from re_core.adapters.sqlite import SqliteStore
from re_core.ports import KeyRecord
from tests.contract.samples import append

_FULL, _NORMAL = 2, 1


def _commits(store: SqliteStore) -> list[int]:
    """Filled, for every transaction of the store's from now on, with how far it is synced."""
    writer = store._database._writer
    seen: list[int] = []
    levels = {"PRAGMA synchronous = FULL": _FULL, "PRAGMA synchronous = NORMAL": _NORMAL}
    level = [writer.execute("PRAGMA synchronous").fetchone()[0]]

    def note(statement: str) -> None:
        level[0] = levels.get(statement, level[0])
        if statement == "COMMIT":
            seen.append(level[0])

    writer.set_trace_callback(note)
    return seen


def test_a_claim_waits_for_no_disk_and_the_append_after_it_does(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    commits = _commits(store)
    store.claim_all([KeyRecord("k", "d", "x")])
    store.append([append("d", 1)])
    store.claim(KeyRecord("k", "e", "x"))
    store.append([append("d", 2)])
    assert commits == [_NORMAL, _FULL, _NORMAL, _FULL]
    assert store._database._writer.execute("PRAGMA synchronous").fetchone()[0] == _FULL
    store.close()
