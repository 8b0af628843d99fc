"""Sealed secrets: one row a name, versions that rise by one, and lists in the order of names."""

from __future__ import annotations

from re_core.ports import Store
from re_core.rows import SecretRow
from tests.contract.places import StorePlace
from tests.contract.racing import at_once


def _row(name: str = "shop/prod/db", version: int = 1, sealed: bytes = b"\x00sealed\xff") -> SecretRow:
    return SecretRow(name, sealed, version, 5, 5 + version, "ada")


def test_a_secret_is_set_once_and_replaced_in_turn(store: Store) -> None:
    assert store.save_secret(_row())
    assert not store.save_secret(_row(sealed=b"other"))
    assert not store.save_secret(_row(version=3))
    assert store.save_secret(_row(version=2, sealed=b"new"))
    assert store.secret("shop/prod/db") == _row(version=2, sealed=b"new")
    assert store.secret("shop/prod/other") is None


def test_a_row_whose_answer_was_lost_can_be_saved_again(store: Store) -> None:
    for version in (1, 2):
        assert store.save_secret(_row(version=version))
        assert store.save_secret(_row(version=version))


def test_of_two_that_replace_the_same_version_one_succeeds(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    assert stores[0].save_secret(_row())
    for round in range(2, 10):
        done: dict[int, bool] = {}

        def race(rival: int, version: int = round, done: dict[int, bool] = done) -> None:
            done[rival] = stores[rival].save_secret(_row(version=version, sealed=bytes([rival])))

        at_once(race)
        assert sorted(done.values()) == [False, True]


def test_secrets_are_listed_by_name_in_pages_and_counted(store: Store) -> None:
    for name in ("b/x", "a/y", "a/x", "B/x"):
        assert store.save_secret(_row(name))
    assert [row.name for row in store.secrets()] == ["B/x", "a/x", "a/y", "b/x"]
    assert [row.name for row in store.secrets("a/x", 1)] == ["a/y"]
    assert store.count_secrets() == 4


def test_a_secret_is_removed_once_and_its_name_is_free(store: Store) -> None:
    store.save_secret(_row())
    assert store.remove_secret("shop/prod/db")
    assert not store.remove_secret("shop/prod/db")
    assert store.save_secret(_row())
