"""What the center believes of a zone's report: it is another host's word, and says nothing of apps that are not the zone's."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from re_core.apps import events as e
from re_core.apps.names import app_id
from re_core.apps.state import State, begin
from re_core.errors import NotStorable
from re_dploy import wire
from re_dploy.center.keeping import MOST_REPORTED, MOST_STRANGERS, Keeper
from re_dploy.center.orders import Orders
from re_dploy.center.shelf import MOST_PLACES, Kept, newest
from re_dploy.center.tools import Tools
from tests.apps import ID, KEY, Shop

OTHER = "01M8OTHERAPP00000000000000"


class World:
    """The app `shop` in the zone `eu`, which says what the test gives it. It is zone, shelf, reader and cargoes too."""

    name = "eu"

    def __init__(self) -> None:
        self.shop = Shop(beginning=(e.Register("web", "shop", ["eu"]),))
        self.report = wire.Report("eu", "z1")
        self.stored_report: wire.Report | None = None
        self.lines: list[str] = []
        self.fails: Exception | None = None
        here: Any = self
        tools = Tools(here, here, {"eu": here}, Orders(here, here), lambda *_: None, time.monotonic, zone_wait=0.0)
        self.keeper = Keeper(here, tools, lambda: [self.shop.state], here, "c1")

    def reports(self, question: Callable[[str], wire.Ask]) -> Iterator[tuple[str, wire.Report]]:
        question("")
        yield "", self.report

    def fresh(self, id: str) -> State:
        return self.shop.state if id == app_id(KEY) else begin(f"app:{id}")

    def stop(self, stop: wire.Stop) -> wire.StopAnswer:
        return wire.StopAnswer({}, {})

    def stored(self, zone: str) -> tuple[str, Mapping[str, int]]:
        return "", {}

    def cursors(self, zone: str, zone_id: str) -> Mapping[str, tuple[int, int]]:
        return {}

    def keep(self, report: wire.Report, errors: Mapping[str, str], waiting: Collection[str]) -> None:
        if self.fails:
            raise self.fails
        self.stored_report = report

    def keep_lines(self, report: wire.Report, app: str, piece: wire.LogPiece) -> Kept:
        self.lines.append(app)
        return Kept.STORED

    def away(self, zone: str, why: str) -> None:
        self.stored_report = None

    def turn(self, *apps: wire.AppReport, **more: Any) -> Mapping[str, wire.AppReport]:
        """What is stored of a report of these, looked at twice: the first look reads how far logs are stored."""
        self.report = self.report._replace(apps={app.app: app for app in apps}, **more)
        self.keeper.turn()
        self.keeper.turn()
        return {} if self.stored_report is None else self.stored_report.apps


def _ps(many: int) -> tuple[wire.PsRow, ...]:
    return tuple(wire.PsRow(f"web.{n}", "up") for n in range(many))


def test_lines_go_to_the_apps_of_the_zone_alone_whatever_the_zone_calls_them() -> None:
    world = World()
    pieces = tuple(wire.LogPiece(f"{app}/web.1-1", 1, 9) for app in ("shop", "other"))
    world.turn(wire.AppReport("shop", ID), wire.AppReport("other", OTHER), logs=pieces)
    assert world.lines == [ID]
    world.turn(wire.AppReport("shop", OTHER), logs=pieces)
    assert world.lines == [ID], "an earlier app of this name has left lines there"
    world.shop.state.zones, world.shop.state.touched = ("us",), ("us",)
    world.turn(logs=pieces)
    assert world.lines == [ID]


def test_of_apps_that_are_not_the_zones_little_is_stored() -> None:
    world = World()
    strangers = [wire.AppReport(f"s{n}", OTHER, ps=_ps(3)) for n in range(MOST_STRANGERS + 5)]
    kept = world.turn(wire.AppReport("shop", ID, ps=_ps(3)), *strangers)
    assert len(kept) == MOST_STRANGERS + 1
    assert [len(kept[name].ps) for name in ("shop", "s0")] == [3, 0]


def test_a_report_that_is_too_long_loses_its_processes_and_says_so() -> None:
    world = World()
    row = wire.PsRow("web.1", "up")
    many = MOST_REPORTED // len(str(row._asdict())) + 1
    assert world.turn(wire.AppReport("shop", ID, ps=(row,) * many))["shop"].ps == ()
    assert "too long" in world.keeper.errors["shop"]


def test_what_cannot_be_stored_of_a_report_is_the_zones_trouble_and_ends_nothing() -> None:
    world = World()
    world.fails = NotStorable("longer than the store takes")
    world.turn()
    assert world.keeper.trouble == "longer than the store takes"
    world.fails = None
    world.turn()
    assert world.keeper.trouble == ""


def test_names_of_logs_that_a_zone_makes_up_are_bounded() -> None:
    kept = newest({f"shop/x{n}": (1, n) for n in range(MOST_PLACES + 10)})
    assert len(kept) == MOST_PLACES and f"shop/x{MOST_PLACES + 9}" in kept
