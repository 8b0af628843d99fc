"""SqliteStore: a file of an older layout is led to the newest one, whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore, layout
from re_core.errors import StoreRefused
from re_core.rows import Token
from tests.contract.samples import entry


def _version(path: Path) -> int:
    connection = sqlite3.connect(path)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    return int(version)


def test_the_layout_has_the_tables_that_it_names(path: Path) -> None:
    connection = sqlite3.connect(path)
    tables = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    }
    connection.close()
    assert tables == layout.TABLES


def test_an_older_layout_is_led_on_and_keeps_what_it_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = "ALTER TABLE tokens ADD COLUMN note TEXT;\nCREATE INDEX tokens_note ON tokens (note);\n"
    monkeypatch.setattr(layout, "STEPS", (*layout.STEPS, later))
    store = SqliteStore(path)
    assert store.entries("d-1") == [entry("d-1")]
    store.close()
    assert _version(path) == len(layout.STEPS)


def test_a_step_that_fails_leaves_the_file_at_its_layout(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(layout, "STEPS", (*layout.STEPS, "DROP TABLE tokens;\nDROP TABLE unheard_of;\n"))
        with pytest.raises(StoreRefused, match="no such table: unheard_of"):
            SqliteStore(path)
    assert _version(path) == len(layout.STEPS)
    store = SqliteStore(path)
    assert store.entries("d-1") == [entry("d-1")]
    assert store.tokens() == []
    store.close()


def test_a_file_that_was_created_and_never_filled_becomes_a_store(tmp_path: Path) -> None:
    """A process may die between the creation of the file and its first commit."""
    path = tmp_path / "store.db"
    path.touch()
    store = SqliteStore(path)
    store.ping()
    store.close()


def test_tokens_of_an_older_layout_go_on_without_an_end_and_without_new_rights(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    before = layout.STEPS.index(layout._TOKENS)
    connection = sqlite3.connect(path)
    for step in layout.STEPS[:before]:
        connection.executescript(step)
    connection.execute("INSERT INTO tokens VALUES (?, 'ada', '[\"red\"]', 0, 1)", ("1" * 64,))
    connection.execute(f"PRAGMA application_id = {layout.APPLICATION}")
    connection.execute(f"PRAGMA user_version = {before}")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    assert store.tokens() == [Token("1" * 64, "ada", ("red",), False, 1, expires=None, used=None, notify=False)]
    store.close()
