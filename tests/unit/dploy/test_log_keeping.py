"""Logs of one zone: each has its turn, and what cannot be stored of one app stops no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from re_dploy import wire
from re_dploy.center.log_keeping import LogKeeper
from re_dploy.center.shelf import Kept


class Rows:
    """A shelf that stores what the test lets it."""

    def __init__(self, **outcomes: Kept) -> None:
        self.outcomes = outcomes
        self.stored: list[str] = []
        self.read = 0

    def cursors(self, zone: str, zone_id: str) -> Mapping[str, tuple[int, int]]:
        self.read += 1
        return {}

    def keep_lines(self, report: wire.Report, app: str, piece: wire.LogPiece) -> Kept:
        kept = self.outcomes.get(app, Kept.STORED)
        if kept is Kept.STORED:
            self.stored.append(piece.log)
        return kept


OWN = {"blog": "b", "shop": "s"}


def _keeper(rows: Any) -> LogKeeper:
    made = LogKeeper("eu", rows)
    made.keep(wire.Report("eu", "z1"), OWN)  # the first look reads how far logs are stored
    return made


def _report(*logs: str) -> wire.Report:
    return wire.Report("eu", "z1", logs=tuple(wire.LogPiece(log, 1, 9) for log in logs))


def test_an_app_without_a_row_stops_the_lines_of_no_other_app() -> None:
    rows = Rows(b=Kept.NO_APP)
    keeper = _keeper(rows)
    for _ in range(3):
        keeper.keep(_report("blog/web.1-1", "blog/web.2-2", "shop/web.1-1"), OWN)
    assert rows.stored == ["shop/web.1-1"] * 3
    assert rows.read == 1


def test_where_another_center_was_faster_the_cursors_are_read_again_and_other_apps_go_on() -> None:
    rows = Rows(b=Kept.RACED)
    keeper = _keeper(rows)
    keeper.keep(_report("blog/web.1-1", "shop/web.1-1"), OWN)
    assert rows.stored == ["shop/web.1-1"]
    keeper.keep(_report(), OWN)
    assert rows.read == 2


def test_each_page_asks_for_the_logs_of_its_apps_and_goes_on_behind_the_one_served_last() -> None:
    keeper = _keeper(Rows())
    keeper.keep(_report("blog/web.1-1", "shop/web.1-1"), OWN)
    assert set(keeper.behind("")) == {"blog/web.1-1", "shop/web.1-1"}
    assert set(keeper.behind("blog")) == {"shop/web.1-1"}
    keeper.take("", _report("blog/web.1-1"))
    keeper.take("blog", _report("shop/dploy.0", "shop/web.1-1"))
    assert (keeper.served(""), keeper.served("blog")) == ("blog/web.1-1", "shop/web.1-1")
    keeper.take("", _report())
    assert keeper.served("") == ""
