"""What apps have beside their journals: the index, sealed config, what zones reported, and lines of logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from re_core.ports import Store
from re_core.ports.apps import MOST_CONFIGS, MOST_LOG_LINES, MOST_LOG_TEXT
from re_core.rows import AppRow, ConfigRow, LogCursor, LogLine, ZoneRow
from tests.contract.places import StorePlace
from tests.contract.racing import at_once


def _app(id: str = "a1", version: int = 1, **changes: Any) -> AppRow:
    return AppRow(id, f"shop-{id}", "dploy", version, ("eu", "us"))._replace(**changes)


def _config(id: str = "c1", created: int = 5, **changes: Any) -> ConfigRow:
    return ConfigRow(id, "a1", b"\x00sealed\xff", created)._replace(**changes)


def _zone(name: str = "eu", version: int = 1, **changes: Any) -> ZoneRow:
    return ZoneRow(name, 7, "z1", {"apps": {"a.b": {"$set": [1, "ü"]}}}, version)._replace(**changes)


def _cursor(version: int = 1, **changes: Any) -> LogCursor:
    return LogCursor("a1", "eu", "z1", {"web.1-17": (1, 4096 * version)}, version)._replace(**changes)


def _lines(*texts: str, zone: str = "eu") -> list[LogLine]:
    return [LogLine(1000 + number, zone, "web.1", "app", text) for number, text in enumerate(texts)]


def _texts(lines: Sequence[LogLine]) -> list[tuple[int, str]]:
    return [(line.number, line.text) for line in lines]


# -- the index ---------------------------------------------------------------------------------------


def test_an_app_is_replaced_only_from_the_version_before(store: Store) -> None:
    assert store.app("a1") is None and store.app_by_name("shop-a1") is None
    assert store.save_app(_app())
    assert store.save_app(_app())  # its answer was lost
    assert not store.save_app(_app(zones=("us",)))
    assert not store.save_app(_app(version=3))
    assert store.save_app(_app(version=2, zones=("us", "eu", "ap")))
    assert not store.save_app(_app(version=2))
    assert store.app("a1") == store.app_by_name("shop-a1") == _app(version=2, zones=("us", "eu", "ap"))


def test_a_name_belongs_to_one_app(store: Store) -> None:
    assert store.save_app(_app(name="shop"))
    assert not store.save_app(_app("a2", name="shop"))
    assert not store.save_app(_app("a2", 2, name="shop"))
    assert not store.save_app(_app("a1", 2, name="other")) and not store.save_app(_app(version=2, group="web"))
    assert store.app("a2") is None and store.app_by_name("shop") == _app(name="shop")


@pytest.mark.parametrize("version", [1, 2])
def test_of_two_saves_one_succeeds(store_place: StorePlace, version: int) -> None:
    stores = store_place.open(), store_place.open()
    for round in range(8):
        if version == 2:
            assert stores[0].save_app(_app(f"a{round}")) and stores[0].save_zone(_zone(f"z{round}"))
        apps, zones = dict[int, bool](), dict[int, bool]()

        def race(rival: int, round: int = round, apps: dict[int, bool] = apps, zones: dict[int, bool] = zones) -> None:
            apps[rival] = stores[rival].save_app(_app(f"a{round}", version, zones=(str(rival),)))
            zones[rival] = stores[rival].save_zone(_zone(f"z{round}", version, id=str(rival)))

        at_once(race)
        app, zone = stores[0].app(f"a{round}"), stores[1].zone(f"z{round}")
        assert app is not None and zone is not None
        assert apps == {rival: app.zones == (str(rival),) for rival in (0, 1)}
        assert zones == {rival: zone.id == str(rival) for rival in (0, 1)}


def test_apps_are_listed_by_group_and_name(store: Store) -> None:
    for group, name, id in [("b", "z", "a1"), ("a", "y", "a2"), ("b", "a", "a3")]:
        store.save_app(_app(id, group=group, name=name))
    assert [one.id for one in store.apps()] == ["a2", "a3", "a1"]
    assert [one.id for one in store.apps("b")] == ["a3", "a1"]
    assert store.apps("c") == []


def test_with_an_app_its_configs_and_its_log_go(store: Store) -> None:
    for app in ("a1", "a2"):
        store.save_app(_app(app))
        store.add_config(_config(f"c of {app}", app=app))
        assert store.add_log_lines(_lines(app), _cursor(app=app))
    assert store.drop_app("a1")
    assert not store.drop_app("a1")
    assert store.app("a1") is None and store.config("c of a1") is None and store.log_lines("a1") == []
    assert store.config("c of a2") is not None and _texts(store.log_lines("a2")) == [(1, "a2")]
    assert store.log_cursors("eu") == [_cursor(app="a2")]
    assert store.save_app(_app("a3", name="shop-a1"))


# -- configs -----------------------------------------------------------------------------------------


def test_a_config_is_stored_once_and_never_replaced(store: Store) -> None:
    assert store.config("c1") is None
    assert store.add_config(_config())
    assert store.add_config(_config())  # its answer was lost
    assert not store.add_config(_config(sealed=b"other"))
    assert not store.add_config(_config(app="a2"))
    assert store.config("c1") == _config()


def test_an_app_has_a_bounded_number_of_configs(store: Store) -> None:
    for number in range(MOST_CONFIGS):
        assert store.add_config(_config(f"c{number}"))
    assert not store.add_config(_config("more"))
    assert store.add_config(_config("c3"))
    assert store.add_config(_config("of another app", app="a2"))
    assert store.drop_configs("a1", (), 5) == 0
    assert store.drop_configs("a1", {"c3"}, 6) == MOST_CONFIGS - 1
    assert store.add_config(_config("more"))


def test_configs_that_are_old_and_in_no_release_are_dropped(store: Store) -> None:
    for created in range(5):
        store.add_config(_config(f"c{created}", created))
    store.add_config(_config("of another app", 0, app="a2"))
    assert store.drop_configs("a1", ["c1", "unknown"], 3) == 2
    assert store.drop_configs("a1", ["c1", "unknown"], 3) == 0
    there = [id for id in ("c0", "c1", "c2", "c3", "c4", "of another app") if store.config(id)]
    assert there == ["c1", "c3", "c4", "of another app"]


# -- zones -------------------------------------------------------------------------------------------


def test_what_a_zone_reported_is_replaced_only_from_the_version_before(store: Store) -> None:
    assert store.zones() == [] and store.zone("eu") is None
    assert not store.save_zone(_zone(version=2))
    assert store.save_zone(_zone("us")) and store.save_zone(_zone())
    assert not store.save_zone(_zone(at=6))
    assert store.save_zone(_zone(version=2, at=6, report={}))
    assert store.save_zone(_zone(version=2, at=6, report={}))  # its answer was lost
    assert not store.save_zone(_zone(version=2, at=8))
    assert store.zones() == [_zone(version=2, at=6, report={}), _zone("us")]
    assert store.zone("us") == _zone("us")
    assert store.drop_zone("us") and not store.drop_zone("us")
    assert store.zone("us") is None and store.save_zone(_zone("us"))


# -- logs --------------------------------------------------------------------------------------------


def test_lines_get_numbers_without_gaps_in_the_order_of_arrival(store: Store) -> None:
    store.save_app(_app())
    assert store.log_lines("a1") == [] and store.last_log_line("a1") == 0 and store.log_cursors("eu") == []
    assert store.add_log_lines(_lines("a", "b"), _cursor())
    assert store.add_log_lines(_lines("c", zone="us"), _cursor(zone="us", id="z2"))
    assert store.add_log_lines(_lines("d\x00ü\n"), _cursor(2))
    assert store.add_log_lines([], _cursor(3, places={}))
    assert _texts(store.log_lines("a1")) == [(1, "a"), (2, "b"), (3, "c"), (4, "d\x00ü\n")]
    assert store.log_lines("a1", 2, 1) == [LogLine(1000, "us", "web.1", "app", "c", 3)]
    assert store.log_lines("a1", 4) == [] and store.log_lines("a1", limit=0) == []
    assert store.last_log_line("a1") == 4
    assert store.log_cursors("eu") == [_cursor(3, places={})]
    assert store.log_cursors("us") == [_cursor(zone="us", id="z2")]


def test_lines_that_another_center_has_stored_are_not_stored_twice(store: Store) -> None:
    store.save_app(_app())
    assert store.add_log_lines(_lines("a"), _cursor())
    assert store.add_log_lines(_lines("a"), _cursor())  # its answer was lost
    assert not store.add_log_lines(_lines("a", "b"), _cursor(places={"web.1-17": (1, 9)}))
    assert not store.add_log_lines(_lines("c"), _cursor(3))
    assert _texts(store.log_lines("a1")) == [(1, "a")] and store.log_cursors("eu") == [_cursor()]


def test_of_two_centers_one_stores_the_lines(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    stores[0].save_app(_app())
    for round in range(8):
        done: dict[int, bool] = {}

        def race(rival: int, round: int = round, done: dict[int, bool] = done) -> None:
            cursor = _cursor(round + 1, id=str(rival))
            done[rival] = stores[rival].add_log_lines(_lines(f"{round} {rival}"), cursor)

        at_once(race)
        assert sorted(done.values()) == [False, True]
        (cursor,) = stores[0].log_cursors("eu")
        winner = next(rival for rival, won in done.items() if won)
        assert cursor == _cursor(round + 1, id=str(winner))
        assert _texts(stores[0].log_lines("a1", round)) == [(round + 1, f"{round} {winner}")]


def test_zones_of_one_app_store_their_lines_at_once(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    stores[0].save_app(_app())

    def add(rival: int) -> None:
        for version in range(1, 11):
            assert stores[rival].add_log_lines(_lines(f"{rival} {version}"), _cursor(version, zone=f"z{rival}"))

    at_once(add)
    lines = stores[0].log_lines("a1")
    assert [line.number for line in lines] == list(range(1, 21))
    for rival in (0, 1):
        assert [line.text for line in lines if line.text[0] == str(rival)] == [f"{rival} {n}" for n in range(1, 11)]


def test_the_newest_lines_of_an_app_stay(store: Store) -> None:
    store.save_app(_app())
    assert store.add_log_lines(_lines(*map(str, range(1, 11))), _cursor())
    assert store.add_log_lines(_lines(*map(str, range(11, MOST_LOG_LINES + 6))), _cursor(2))
    lines = store.log_lines("a1", limit=2 * MOST_LOG_LINES)
    assert _texts(lines) == [(number, str(number)) for number in range(6, MOST_LOG_LINES + 6)]
    assert store.add_log_lines(_lines("x" * (MOST_LOG_TEXT - 3), "last"[:3]), _cursor(3))
    assert [line.number for line in store.log_lines("a1")] == [MOST_LOG_LINES + 6, MOST_LOG_LINES + 7]
    assert store.add_log_lines(_lines("y"), _cursor(4))
    assert _texts(store.log_lines("a1")) == [(MOST_LOG_LINES + 7, "las"), (MOST_LOG_LINES + 8, "y")]


def test_no_log_is_kept_of_an_app_without_a_row(store: Store) -> None:
    assert not store.add_log_lines(_lines("a"), _cursor())
    assert store.log_lines("a1") == [] and store.log_cursors("eu") == []


def test_all_of_it_is_there_after_a_reopening_and_is_sound(store_place: StorePlace) -> None:
    first = store_place.open()
    first.save_app(_app())
    first.add_config(_config())
    first.save_zone(_zone())
    first.add_log_lines(_lines("a"), _cursor())
    first.close()
    again = store_place.open()
    assert (again.apps(), again.config("c1"), again.zones()) == ([_app()], _config(), [_zone()])
    assert (_texts(again.log_lines("a1")), again.log_cursors("eu")) == ([(1, "a")], [_cursor()])
    assert again.survey().problems == ()
