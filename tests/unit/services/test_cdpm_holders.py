"""Which core holds a key: one of those that live, and another one only where that has to be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.errors import StoreUnavailable
from re_core.services.cdpm_holders import BEAT, UNSEEN, Holders
from re_core.workforce.signs_of_life import FORGOTTEN_BEATS, SILENT_BEATS

KEYS = [f"pipeline/{number}" for number in range(200)]


class Time:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "re.db")
    yield opened
    opened.close()


def _holders(cores: dict[str, Holders]) -> dict[str, list[str]]:
    return {key: [name for name, core in cores.items() if core.holds(key)] for key in KEYS}


def _beat(time: Time, *cores: Holders, times: int = 1) -> None:
    for _ in range(times):
        time.now += BEAT
        for core in cores:
            core.turn()


def test_every_key_is_held_by_one_core_and_every_core_holds_some(store: SqliteStore) -> None:
    time = Time()
    cores = {name: Holders(store, name, monotonic=time) for name in "abc"}
    _beat(time, *cores.values(), times=2)
    held = _holders(cores)
    assert all(len(names) == 1 for names in held.values())
    assert {names[0] for names in held.values()} == set("abc")


def test_where_a_core_dies_only_its_keys_move(store: SqliteStore) -> None:
    time = Time()
    cores = {name: Holders(store, name, monotonic=time) for name in "abc"}
    _beat(time, *cores.values(), times=2)
    before = _holders(cores)
    dead = cores.pop("b")
    _beat(time, *cores.values(), times=SILENT_BEATS + 1)
    after = _holders(cores)
    assert all(len(names) == 1 for names in after.values())
    assert {key for key in KEYS if before[key] != after[key]} == {key for key in KEYS if before[key] == ["b"]}
    assert not any(map(dead.holds, KEYS))


def test_a_core_that_leaves_is_followed_at_once(store: SqliteStore) -> None:
    time = Time()
    one, other = Holders(store, "one", monotonic=time), Holders(store, "other", monotonic=time)
    _beat(time, one, other, times=2)
    assert not all(map(one.holds, KEYS))
    other.close()
    _beat(time, one)
    assert all(map(one.holds, KEYS))
    assert not any(map(other.holds, KEYS))


def test_a_core_that_the_store_does_not_hear_holds_nothing(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time()
    core = Holders(store, "one", monotonic=time)
    assert not any(map(core.holds, KEYS))
    _beat(time, core)
    assert all(map(core.holds, KEYS))

    def away(id: str, count: int) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "beat_gateway", away)
        time.now += UNSEEN
        with pytest.raises(StoreUnavailable):
            core.turn()
        assert all(map(core.holds, KEYS))
        time.now += 1
        assert not any(map(core.holds, KEYS))
    core.turn()
    assert all(map(core.holds, KEYS))


def test_a_core_that_is_alone_holds_all_and_says_nothing_of_itself(store: SqliteStore) -> None:
    core = Holders(store, "one", alone=True)
    core.turn()
    assert all(map(core.holds, KEYS))
    core.close()
    assert store.gateways() == {}


def test_what_is_left_of_cores_that_died_goes(store: SqliteStore) -> None:
    time = Time()
    core, dead = Holders(store, "one", monotonic=time), Holders(store, "dead", monotonic=time)
    dead.turn()
    _beat(time, core, times=FORGOTTEN_BEATS + 2)
    assert set(store.gateways()) == {"cdpm:one"}


def test_gateways_in_the_same_table_hold_nothing(store: SqliteStore) -> None:
    store.beat_gateway("gateway", 1)
    time = Time()
    core = Holders(store, "one", monotonic=time)
    _beat(time, core)
    assert all(map(core.holds, KEYS))
