"""Locks: one deployment at a time, however many ask, take over and let go."""

from __future__ import annotations

from re_core.ports import Lock, Store
from tests.contract.places import StorePlace
from tests.contract.racing import at_once


def test_the_first_who_holds_a_lock_holds_it(store: Store) -> None:
    assert store.acquire("k", "d-1", 5) == Lock("k", "d-1", 5)
    assert store.acquire("k", "d-2", 6) == Lock("k", "d-1", 5)
    assert store.acquire("other", "d-2", 7) == Lock("other", "d-2", 7)


def test_who_holds_a_lock_already_keeps_the_hold_that_it_has(store: Store) -> None:
    store.acquire("k", "d-1", 5)
    assert store.acquire("k", "d-1", 9) == Lock("k", "d-1", 5)


def test_a_lock_is_released_by_its_holder_only(store: Store) -> None:
    store.acquire("k", "d-1", 5)
    assert not store.release("k", "d-2")
    assert not store.release("nobody's", "d-1")
    assert store.acquire("k", "d-2", 6) == Lock("k", "d-1", 5)
    assert store.release("k", "d-1")
    assert not store.release("k", "d-1")
    assert store.acquire("k", "d-2", 7) == Lock("k", "d-2", 7)


def test_a_hold_is_taken_over_while_it_stands(store: Store) -> None:
    held = store.acquire("k", "d-1", 5)
    assert store.compare_and_swap("k", held, "d-2", 6) == Lock("k", "d-2", 6)
    assert not store.release("k", "d-1")
    assert store.acquire("k", "d-3", 7) == Lock("k", "d-2", 6)


def test_a_hold_that_is_another_by_now_is_not_taken_over(store: Store) -> None:
    held = store.acquire("k", "d-1", 5)
    store.release("k", "d-1")
    store.acquire("k", "d-1", 8)
    assert store.compare_and_swap("k", held, "d-2", 9) == Lock("k", "d-1", 8)


def test_a_hold_that_was_released_meanwhile_is_nobodys_and_can_be_had(store: Store) -> None:
    held = store.acquire("k", "d-1", 5)
    store.release("k", "d-1")
    assert store.compare_and_swap("k", held, "d-2", 9) == Lock("k", "d-2", 9)


def test_a_take_over_whose_answer_was_lost_is_recognised(store: Store) -> None:
    held = store.acquire("k", "d-1", 5)
    store.compare_and_swap("k", held, "d-2", 6)
    assert store.compare_and_swap("k", held, "d-2", 7) == Lock("k", "d-2", 6)


def test_racing_deployments_agree_on_one_holder(store_place: StorePlace) -> None:
    """Half of the locks are free, the others are taken over."""
    stores = [store_place.open(), store_place.open()]
    old = {f"k-{n}": stores[0].acquire(f"k-{n}", "old", 1) for n in range(20)}
    stand: dict[int, list[Lock]] = {}

    def race(core: int) -> None:
        store, name = stores[core], f"d-{core}"
        taken = [store.compare_and_swap(key, held, name, 2 + core) for key, held in old.items()]
        stand[core] = taken + [store.acquire(f"free-{n}", name, 2 + core) for n in range(20)]

    at_once(race)
    assert stand[0] == stand[1]
    assert {hold.deployment for hold in stand[0]} <= {"d-0", "d-1"}


def test_a_hold_outlives_whoever_took_it(store_place: StorePlace) -> None:
    first = store_place.open()
    first.acquire("k", "d-1", 5)
    first.close()
    assert store_place.open().acquire("k", "d-2", 6) == Lock("k", "d-1", 5)
