"""Lines of zones on their way into the store: which process they are about, and how far each log is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.rows import AppRow, ZoneRow
from re_dploy.center.shelf import AWAY, LOOK_AGAIN, MOST_OF_A_NAME, Kept, Shelf, newest
from re_dploy.wire import AppReport, Ask, LogPiece, LogText, Report, parse_ask


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(str(tmp_path / "re.db"))
    opened.save_app(AppRow("a1", "shop", "dploy", 1, ("eu",)))
    yield opened
    opened.close()


def test_what_a_zone_says_of_a_process_is_stored_as_a_line_of_that_process(store: SqliteStore) -> None:
    shelf, report = Shelf(store, SystemClock()), Report("eu", "z1")
    said = LogText(90, 5, "dploy", "web.1 State changed from starting to up")
    assert shelf.keep_lines(report, "a1", LogPiece("shop/dploy.0", 1, 90, (said,))) is Kept.STORED
    printed = LogText(40, 6, "app", "web.1 is what it printed")
    assert shelf.keep_lines(report, "a1", LogPiece("shop/web.1-17", 1, 40, (printed,))) is Kept.STORED
    lines = [(line.ps, line.source, line.text) for line in store.log_lines("a1")]
    assert lines == [
        ("web.1", "dploy", "State changed from starting to up"),
        ("web.1", "app", "web.1 is what it printed"),
    ]
    (cursor,) = store.log_cursors("eu")
    assert cursor.places == {"shop/dploy.0": (1, 90), "shop/web.1-17": (1, 40)}


def test_lines_of_an_app_without_a_row_and_lines_that_another_center_stored_are_told_apart(store: SqliteStore) -> None:
    first, second, report = Shelf(store, SystemClock()), Shelf(store, SystemClock()), Report("eu", "z1")
    piece = LogPiece("shop/web.1-1", 1, 40)
    assert first.keep_lines(report, "a1", piece) is Kept.STORED
    assert second.keep_lines(report, "a1", piece._replace(offset=50)) is Kept.RACED
    second.cursors("eu", "z1")
    assert second.keep_lines(report, "a1", piece._replace(offset=50)) is Kept.STORED
    assert second.keep_lines(report, "gone", piece) is Kept.NO_APP


# -- what zones are shown as -----------------------------------------------------------------------


class Clock:
    """In the test's hands."""

    def __init__(self) -> None:
        self.time = 1_700_000_000_000

    def now(self) -> int:
        return self.time


def test_a_zone_that_is_away_keeps_its_report_with_the_reason_until_it_answers(store: SqliteStore) -> None:
    clock = Clock()
    shelf = Shelf(store, clock)
    shelf.stored("eu")
    shelf.keep(Report("eu", "z1", apps={"shop": AppReport("shop", "a1", version=3)}), {})
    heard = clock.time
    shelf.away("eu", "no route")
    assert _row(store).report.get("trouble") is None, "another center may hear it"
    clock.time += AWAY
    shelf.away("eu", "no route")
    row = _row(store)
    assert (row.at, row.report["trouble"], row.report["apps"]["shop"]["version"]) == (heard, "no route", 3)
    clock.time += LOOK_AGAIN - 1
    shelf.away("eu", "no route")
    assert _row(store).version == row.version, "nothing new is not stored each two seconds"
    clock.time += 1
    shelf.away("eu", "no route")
    assert _row(store).report["looked"] == clock.time
    shelf.stored("eu")
    shelf.keep(Report("eu", "z1"), {})
    assert _row(store).report.get("trouble") is None


def test_a_zone_that_never_answered_has_a_row_too(store: SqliteStore) -> None:
    shelf = Shelf(store, Clock())
    shelf.away("eu", "no route")
    assert (_row(store).at, _row(store).report["trouble"]) == (0, "no route")
    assert shelf.stored("eu") == ("", {})
    shelf.keep(Report("eu", "z1"), {})
    assert _row(store).id == "z1"


def test_what_another_center_found_wrong_stays_as_long_as_the_app_is_not_as_it_should_be(store: SqliteStore) -> None:
    shelf, report = Shelf(store, Clock()), Report("eu", "z1")
    for errors, waiting, shown in (
        ({"shop": "web.1: code 3"}, (), {"shop": "web.1: code 3"}),
        ({}, ("shop",), {"shop": "web.1: code 3"}),
        ({"shop": "no port"}, ("shop",), {"shop": "no port"}),
        ({}, (), {}),
    ):
        shelf.stored("eu")
        shelf.keep(report, errors, waiting)
        assert _row(store).report["errors"] == shown


def _row(store: SqliteStore) -> ZoneRow:
    row = store.zone("eu")
    assert row is not None
    return row


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
