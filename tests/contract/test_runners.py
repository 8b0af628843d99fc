"""Runners: which are enrolled, and how each was seen last."""

from __future__ import annotations

from typing import Any

from re_core.ports import Store
from re_core.rows import Runner
from tests.contract.places import StorePlace
from tests.contract.racing import at_once

_SEEN: dict[str, Any] = {
    "seen": 7,
    "connected": "gateway-1",
    "peer": "10.0.0.7:40001",
    "capabilities": ("forest/flux@1", "forest/terraform@2"),
    "active": 1,
    "offered": 4,
}


def _runner(name: str = "build-1", digest: str = "d" * 64, **changes: Any) -> Runner:
    return Runner(name, digest, 5, "ada")._replace(**changes)


def test_a_runner_is_enrolled_once(store: Store) -> None:
    assert store.enroll_runner(_runner())
    assert not store.enroll_runner(_runner(digest="e" * 64))
    assert store.runner("build-1") == _runner()
    assert store.runner("other") is None


def test_an_enrolment_whose_answer_was_lost_can_be_repeated(store: Store) -> None:
    assert store.enroll_runner(_runner())
    assert store.enroll_runner(_runner())
    assert store.runners() == [_runner()]


def test_of_two_enrolments_with_one_name_one_succeeds(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    for round in range(10):
        done: dict[int, bool] = {}

        def race(rival: int, name: str = f"r{round}", done: dict[int, bool] = done) -> None:
            done[rival] = stores[rival].enroll_runner(_runner(name, str(rival) * 64))

        at_once(race)
        assert sorted(done.values()) == [False, True]
        winner = next(rival for rival, won in done.items() if won)
        assert stores[0].runner(f"r{round}") == _runner(f"r{round}", str(winner) * 64)


def test_runners_are_listed_by_name(store: Store) -> None:
    for name in ("b", "a", "C"):
        store.enroll_runner(_runner(name))
    assert [one.name for one in store.runners()] == ["C", "a", "b"]


def test_a_runner_is_noted_as_it_was_seen_last(store: Store) -> None:
    store.enroll_runner(_runner())
    store.note_runner("build-1", **_SEEN)
    assert store.runner("build-1") == _runner(**_SEEN)
    store.note_runner("build-1", **{**_SEEN, "seen": 9, "connected": "", "active": 0, "capabilities": ()})
    assert store.runner("build-1") == _runner(**{**_SEEN, "seen": 9, "connected": "", "active": 0, "capabilities": ()})


def test_a_note_does_not_bring_a_runner_back(store: Store) -> None:
    store.note_runner("build-1", **_SEEN)
    assert store.runners() == []


def test_the_gateway_that_a_runner_left_does_not_overwrite_the_other_ones_note(store: Store) -> None:
    store.enroll_runner(_runner())
    store.note_runner("build-1", **{**_SEEN, "connected": "gateway-2"})
    store.note_runner("build-1", **{**_SEEN, "connected": ""}, held="gateway-1")
    assert store.runners()[0].connected == "gateway-2"
    store.note_runner("build-1", **{**_SEEN, "connected": ""}, held="gateway-2")
    assert store.runners()[0].connected == ""


def test_the_number_of_releases_at_once_can_be_changed(store: Store) -> None:
    store.enroll_runner(_runner())
    assert store.set_parallel("build-1", 3)
    assert store.set_parallel("build-1", 3)
    assert not store.set_parallel("other", 3)
    assert store.runner("build-1") == _runner(parallel=3)


def test_a_revoked_runner_keeps_its_name_until_it_is_forgotten(store: Store) -> None:
    store.enroll_runner(_runner())
    assert not store.forget_runner("build-1")
    assert store.revoke_runner("build-1", 8)
    assert not store.revoke_runner("build-1", 9)
    assert not store.revoke_runner("other", 9)
    assert store.runner("build-1") == _runner(revoked=8)
    assert not store.enroll_runner(_runner(digest="e" * 64))
    assert store.forget_runner("build-1")
    assert not store.forget_runner("build-1")
    assert store.enroll_runner(_runner(digest="e" * 64))
    assert store.runner("build-1") == _runner(digest="e" * 64)


def test_what_is_known_of_runners_is_there_after_a_reopening(store_place: StorePlace) -> None:
    first = store_place.open()
    first.enroll_runner(_runner())
    first.note_runner("build-1", **_SEEN)
    first.close()
    assert store_place.open().runners() == [_runner(**_SEEN)]
