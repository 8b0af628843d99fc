"""What people say of hosts by the API: one document, replaced as a whole, by one of several callers."""

from __future__ import annotations

from re_core.ports import Store
from re_core.rows import StoredHosts
from tests.contract.places import StorePlace
from tests.contract.racing import at_once

_WEB = {"web1.example.com": {"words": {"groups": ["web"], "vars": {"a.b": [1, None, "é"]}}, "user": "ada", "at": 5}}


def test_nothing_was_said_at_first(store: Store) -> None:
    assert store.hosts_version() == 0
    assert store.stored_hosts() == StoredHosts()


def test_what_was_said_is_there_after_a_reopening(store_place: StorePlace) -> None:
    assert store_place.open().save_hosts(StoredHosts(1, _WEB))
    store = store_place.open()
    assert store.hosts_version() == 1
    assert store.stored_hosts() == StoredHosts(1, _WEB)
    assert store.save_hosts(StoredHosts(2, {}))
    assert (store.hosts_version(), store.stored_hosts()) == (2, StoredHosts(2, {}))


def test_only_the_next_version_is_stored(store: Store) -> None:
    assert not store.save_hosts(StoredHosts(2, _WEB))
    assert store.save_hosts(StoredHosts(1, _WEB))
    assert not store.save_hosts(StoredHosts(1, {}))
    assert not store.save_hosts(StoredHosts(3, {}))
    assert store.stored_hosts() == StoredHosts(1, _WEB)


def test_a_change_whose_answer_was_lost_can_be_repeated(store: Store) -> None:
    for version in (1, 2):
        assert store.save_hosts(StoredHosts(version, _WEB))
        assert store.save_hosts(StoredHosts(version, _WEB))
    assert store.hosts_version() == 2


def test_of_two_changes_at_once_one_succeeds(store_place: StorePlace) -> None:
    stores = store_place.open(), store_place.open()
    for version in range(1, 9):
        done: dict[int, bool] = {}

        def race(rival: int, version: int = version, done: dict[int, bool] = done) -> None:
            done[rival] = stores[rival].save_hosts(StoredHosts(version, {f"h{rival}": {"at": version}}))

        at_once(race)
        assert sorted(done.values()) == [False, True]
        winner = next(rival for rival, won in done.items() if won)
        assert stores[1 - winner].stored_hosts() == StoredHosts(version, {f"h{winner}": {"at": version}})
