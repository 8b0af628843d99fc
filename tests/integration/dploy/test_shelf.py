"""Lines of zones on their way into the store: which process they are about, and how far each log is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.rows import AppRow
from re_dploy.center.shelf import MOST_OF_A_NAME, Shelf, newest
from re_dploy.wire import Ask, LogPiece, LogText, Report, parse_ask


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(str(tmp_path / "re.db"))
    opened.save_app(AppRow("a1", "shop", "dploy", 1, ("eu",)))
    yield opened
    opened.close()


def test_what_a_zone_says_of_a_process_is_stored_as_a_line_of_that_process(store: SqliteStore) -> None:
    shelf, report = Shelf(store, SystemClock()), Report("eu", "z1")
    said = LogText(90, 5, "dploy", "web.1 State changed from starting to up")
    assert shelf.keep_lines(report, "a1", LogPiece("shop/dploy.0", 1, 90, (said,)))
    printed = LogText(40, 6, "app", "web.1 is what it printed")
    assert shelf.keep_lines(report, "a1", LogPiece("shop/web.1-17", 1, 40, (printed,)))
    lines = [(line.ps, line.source, line.text) for line in store.log_lines("a1")]
    assert lines == [
        ("web.1", "dploy", "State changed from starting to up"),
        ("web.1", "app", "web.1 is what it printed"),
    ]
    (cursor,) = store.log_cursors("eu")
    assert cursor.places == {"shop/dploy.0": (1, 90), "shop/web.1-17": (1, 40)}


def test_of_each_name_the_newest_instances_are_remembered_and_logs_without_a_number_always() -> None:
    places = {f"my-app/web.1-{n}": (1, n) for n in range(1, 40)} | {"my-app/web.2-7": (1, 1), "my-app/dploy.0": (3, 9)}
    kept = newest(places)
    assert sorted(place for _, place in (kept[log] for log in kept if "web.1" in log)) == list(
        range(40 - MOST_OF_A_NAME, 40)
    )
    assert {"my-app/web.2-7", "my-app/dploy.0"} <= kept.keys()


def test_a_question_names_the_logs_of_all_instances_of_a_large_zone() -> None:
    ask = Ask(logs={f"shop/web.1-{n}": (n, 10**6) for n in range(10_000)})
    body = ask.emit()
    assert len(body) < 1024 * 1024
    assert parse_ask(body) == ask
