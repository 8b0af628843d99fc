"""Credentials of workers: one row a name, revoked once, removed only then; and what a worker's row says of its own."""

from __future__ import annotations

from re_core.ports import Store
from re_core.rows import WorkerCredential, WorkerPlace, WorkerRecord


def _row(name: str = "w1", public: str = "AAAA") -> WorkerCredential:
    return WorkerCredential(name, public, ("command", "file"), "dmz", ("prod",), 5, "ada")


def test_a_credential_is_added_once_and_again_only_with_the_same_key(store: Store) -> None:
    assert store.add_credential(_row())
    assert store.add_credential(_row())
    assert not store.add_credential(_row(public="BBBB"))
    assert store.credential("w1") == _row()
    assert store.credential("w2") is None


def test_credentials_are_listed_by_name(store: Store) -> None:
    for name in ("w2", "a-1", "w10"):
        assert store.add_credential(_row(name))
    assert [row.name for row in store.credentials()] == ["a-1", "w10", "w2"]


def test_a_credential_is_revoked_once_and_its_name_stays_taken_until_it_is_removed(store: Store) -> None:
    store.add_credential(_row())
    assert not store.remove_credential("w1")
    assert store.revoke_credential("w1", 9)
    assert not store.revoke_credential("w1", 10)
    assert not store.revoke_credential("w2", 9)
    assert store.credential("w1") == _row()._replace(revoked=9)
    assert not store.add_credential(_row(public="BBBB"))
    assert store.remove_credential("w1")
    assert not store.remove_credential("w1")
    assert store.add_credential(_row(public="BBBB"))


def test_the_row_of_a_worker_says_what_it_has_shown_and_what_is_wrong_with_it(store: Store) -> None:
    place = WorkerPlace("dmz", {"rack": "r3"}, ("prod",))
    row = WorkerRecord("w1~01", 8, {}, (), 5, place=place, credential="w1", fault="the credential w1 is revoked")
    store.register(row)
    assert store.workers() == [row]
