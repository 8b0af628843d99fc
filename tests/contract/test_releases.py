"""Releases of forest gateways: one of several callers replaces a version, and what was saved is found again."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.ports import Store
from re_core.rows import OVER, Release
from tests.contract.places import StorePlace
from tests.contract.racing import at_once

_END = {"kind": "completion", "outcome": "success", "text": "done $ö", "plan": None, "at": 9}


def _release(id: str = "d-1/3/1", version: int = 1, **changes: Any) -> Release:
    return Release(id, version, "gateway-1", "waiting", b"\x00saved\xff", 5)._replace(**changes)


def _full(version: int = 1) -> Release:
    return _release(
        version=version,
        status="ended",
        runner="build-1",
        runner_since=3,
        token="a" * 64,
        excluded=("build-2", "build-3"),
        assigned=6,
        called=7,
        expires=8,
        end=_END,
        late={**_END, "outcome": "failure", "plan": "+ a"},
        document={"destination": {"metadata": {"a.b": "1", "$set": "2"}}, "mode": "deploy", "big": 2**62},
    )


def _save(store: Store, *releases: Release) -> None:
    for one in releases:
        assert store.save_release(one)


# -- replacing a version -----------------------------------------------------------------------------


def test_a_release_is_found_as_it_was_saved(store: Store) -> None:
    _save(store, _release(), _full(2))
    assert store.find_release("d-1/3/1") == _full(2)
    assert store.find_release("d-1/3/2") is None


def test_a_release_knows_its_deployment() -> None:
    assert _release("d/1/3/1").deployment == "d/1"


def test_only_the_version_before_is_replaced(store: Store) -> None:
    _save(store, _release(), _release(version=2, status="assigned"))
    assert not store.save_release(_release(version=2, status="running"))
    assert not store.save_release(_release(version=4, status="running"))
    assert not store.save_release(_release(status="other"))
    assert not store.save_release(_release("d-1/9/1", version=2))
    assert store.find_release("d-1/3/1") == _release(version=2, status="assigned")
    assert store.find_release("d-1/9/1") is None


@pytest.mark.parametrize("version", [1, 2])
def test_a_save_whose_answer_was_lost_can_be_repeated(store: Store, version: int) -> None:
    _save(store, _release())
    _save(store, *[_full(version)] * 2) if version == 2 else _save(store, _release())
    other = _full(version)._replace(owner="gateway-2")
    assert not store.save_release(other)


@pytest.mark.parametrize("version", [1, 2])
def test_of_several_callers_one_replaces_a_version(store_place: StorePlace, version: int) -> None:
    stores = store_place.open(), store_place.open()
    for round in range(10):
        id = f"d-1/{round}/1"
        if version == 2:
            _save(stores[0], _release(id))
        done: dict[int, bool] = {}

        def race(rival: int, id: str = id, done: dict[int, bool] = done) -> None:
            done[rival] = stores[rival].save_release(_release(id, version, owner=f"gateway-{rival}"))

        at_once(race)
        assert sorted(done.values()) == [False, True]
        winner = next(rival for rival, won in done.items() if won)
        assert stores[1].find_release(id) == _release(id, version, owner=f"gateway-{winner}")


# -- finding -----------------------------------------------------------------------------------------


def test_a_release_is_found_by_its_token_while_it_has_that(store: Store) -> None:
    _save(store, _release(), _release("d-1/4/1"), _full(2))
    assert store.release_by_token("a" * 64) == _full(2)
    assert store.release_by_token("b" * 64) is None
    assert store.release_by_token("") is None
    _save(store, _full(3)._replace(token="b" * 64))
    assert store.release_by_token("a" * 64) is None
    assert store.release_by_token("b" * 64) == _full(3)._replace(token="b" * 64)


def test_releases_of_a_deployment_come_oldest_first(store: Store) -> None:
    _save(store, _release("d-1/3/2", created=9), _release("d-1/3/1"), _release("d-10/3/1"), _release("d-1/2/1"))
    assert [one.id for one in store.releases_of("d-1")] == ["d-1/2/1", "d-1/3/1", "d-1/3/2"]
    assert store.releases_of("d") == []


def test_open_releases_are_found_by_their_owner(store: Store) -> None:
    other, free = _release("d/2/1", owner="gateway-2"), _release("d/3/1", owner="")
    over = _release("d/4/1", status=OVER)
    _save(store, _release("d/1/1"), _release("d/1/1", 2, status="reported"), other, free, over)
    mine = _release("d/1/1", 2, status="reported")
    assert store.open_releases() == [mine, other, free]
    assert store.open_releases("gateway-1") == [mine]
    assert store.open_releases("") == [free]
    assert store.open_releases("gateway-9") == []
    assert store.open_versions() == {"d/1/1": 2, "d/2/1": 1, "d/3/1": 1}
    assert store.open_versions("gateway-1") == {"d/1/1": 2}
    _save(store, mine._replace(version=3, status=OVER))
    assert store.open_versions("gateway-1") == {}


# -- deleting ----------------------------------------------------------------------------------------


def test_only_releases_that_are_over_and_old_are_forgotten(store: Store) -> None:
    for number in range(5):
        _save(store, _release(f"d/{number}/1", status=OVER, created=number))
    _save(store, _release("d/7/1", created=0), _release("d/8/1", status="reported", created=0))
    assert store.old_releases(4) == 4
    assert store.forget_releases(4, 3) == 3
    assert store.forget_releases(4, 3) == 1
    assert store.forget_releases(4, 3) == store.old_releases(4) == 0
    assert {one.id for one in store.releases_of("d")} == {"d/4/1", "d/7/1", "d/8/1"}


def test_releases_go_with_their_deployment(store: Store) -> None:
    _save(store, _release("d/1/1"), _release("d/2/1", status=OVER), _release("d1/1/1"))
    store.forget(["d"])
    assert store.releases_of("d") == []
    assert store.open_versions() == {"d1/1/1": 1}


# -- gateways ----------------------------------------------------------------------------------------


def test_each_gateway_has_its_last_number(store: Store) -> None:
    for id, count in (("a", 1), ("b", 1), ("a", 2), ("a", 2)):
        store.beat_gateway(id, count)
    assert store.gateways() == {"a": 2, "b": 1}
    store.forget_gateway("a")
    store.forget_gateway("a")
    assert store.gateways() == {"b": 1}


# -- the whole ---------------------------------------------------------------------------------------


def test_releases_are_there_after_a_reopening(store_place: StorePlace) -> None:
    first = store_place.open()
    _save(first, _release(), _full(2))
    first.close()
    again = store_place.open()
    assert again.releases_of("d-1") == [_full(2)]
    assert again.survey().problems == ()
    assert again.survey().counts["releases"] == 1
