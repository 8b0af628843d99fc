"""Group and name of playbooks, on every store: one playbook has them, whoever stores it at the same time."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from re_core.errors import Conflict, PreconditionFailed
from re_core.ports import Store
from re_core.usecases import names, playbooks
from re_core.usecases.playbooks import Applied
from tests.contract.places import StorePlace
from tests.contract.samples import playbook
from tests.factories import principal, simple
from tests.integration.core_loop.core_harness import Clock

BOOK = simple("noop:A")
GROUP, NAME = str(BOOK["group"]), str(BOOK["name"])
OTHER = simple("noop:B")
RENAMED = {**BOOK, "name": "another name"}


def _apply(store: Store, id: str, document: dict[str, object] = BOOK, clock: Clock | None = None) -> Applied:
    return playbooks.apply(store, clock or Clock(), principal(f"user of {id}"), id, document, None)


def test_four_who_apply_a_new_name_at_once_make_one_playbook(store_place: StorePlace) -> None:
    stores = [store_place.open() for _ in range(4)]
    at_once = threading.Barrier(4)
    done: list[Applied] = []

    def run(number: int) -> None:
        at_once.wait(60)
        done.append(_apply(stores[number], f"p{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(one.done for one in done) == {"created": 1, "unchanged": 3}
    (head,) = stores[0].playbook_heads(GROUP, NAME)
    assert {(one.playbook.id, one.playbook.revision) for one in done} == {(head.id, 1)}


def test_four_who_apply_different_texts_at_once_make_four_revisions_of_one(store_place: StorePlace) -> None:
    stores = [store_place.open() for _ in range(4)]
    at_once = threading.Barrier(4)

    def run(number: int) -> None:
        at_once.wait(60)
        _apply(stores[number], f"p{number}", simple(f"noop:A{number}"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    (head,) = stores[0].playbook_heads(GROUP, NAME)
    assert head.revision == 4


def test_applying_says_what_it_did(store: Store) -> None:
    assert _apply(store, "p1").done == "created"
    assert _apply(store, "p2").done == "unchanged"
    updated = _apply(store, "p3", OTHER)
    assert (updated.done, updated.playbook.id, updated.playbook.revision) == ("updated", "p1", 2)


def test_a_name_is_free_once_its_playbook_is_deleted_or_has_another_one(store: Store) -> None:
    first = _apply(store, "p1").playbook
    store.delete_playbook("p1", 1)
    assert _apply(store, "p2").playbook.id == "p2"
    second = store.playbook("p2")
    assert second is not None
    playbooks.replace(store, Clock(), principal(), second, RENAMED, None)
    assert _apply(store, "p3") == Applied("created", first._replace(id="p3", user="user of p3"))
    assert _apply(store, "p4", RENAMED).playbook.id == "p2"


def test_the_lock_of_a_name_goes_with_its_playbook(store: Store) -> None:
    first = _apply(store, "p1").playbook
    lock = names.lock_of(GROUP, NAME)
    assert store.acquire(lock, "other", 1).deployment == "p1"
    playbooks.delete(store, principal(), first, None)
    assert store.acquire(lock, "other", 1).deployment == "other", "it was free"


def test_a_deletion_leaves_the_lock_to_who_has_taken_the_name_meanwhile(store: Store) -> None:
    first = _apply(store, "p1").playbook
    real = store.delete_playbook

    def delete(id: str, revision: int) -> bool:
        done = real(id, revision)
        assert _apply(store, "p2").done == "created"
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "delete_playbook", delete)
        playbooks.delete(store, principal(), first, None)
    with pytest.raises(Conflict, match="with the id p2"):
        playbooks.create(store, Clock(), principal(), "p3", BOOK)
    assert store.acquire(names.lock_of(GROUP, NAME), "other", 1).deployment == "p2"


def test_a_name_that_is_taken_is_refused_to_a_new_playbook_and_to_one_that_is_renamed(store: Store) -> None:
    _apply(store, "p1")
    with pytest.raises(Conflict, match="with the id p1"):
        playbooks.create(store, Clock(), principal(), "p2", OTHER)
    other = _apply(store, "p3", RENAMED).playbook
    with pytest.raises(Conflict, match="with the id p1"):
        playbooks.replace(store, Clock(), principal(), other, BOOK, None)
    assert playbooks.create(store, Clock(), principal(), "p1", BOOK).id == "p1", "a repeated request"


def test_who_dies_between_name_and_playbook_leaves_an_id_that_the_next_one_uses(store: Store) -> None:
    clock = Clock()
    assert names.take(store, GROUP, NAME, "dead", clock.now()) == "dead"
    with pytest.raises(Conflict, match="with the id dead"):
        playbooks.create(store, clock, principal(), "p1", BOOK)
    assert _apply(store, "p2", clock=clock).playbook.id == "dead"


def test_a_name_under_which_nothing_was_stored_for_a_minute_is_free(store: Store) -> None:
    clock = Clock()
    names.take(store, GROUP, NAME, "dead", clock.now() - names.ABANDONED)
    assert playbooks.create(store, clock, principal(), "p1", BOOK).id == "p1"


def test_several_of_one_name_that_an_older_engine_made_are_named_by_their_ids(store: Store) -> None:
    for id in ("p1", "p2"):
        store.save_playbook(playbook(id)._replace(group=GROUP, name=NAME, document=BOOK))
    with pytest.raises(Conflict, match=r"p2, p1|p1, p2"):
        _apply(store, "p3", OTHER)


def test_a_condition_on_what_is_not_there_fails(store: Store) -> None:
    with pytest.raises(PreconditionFailed):
        playbooks.apply(store, Clock(), principal(), "p1", BOOK, lambda etag: True)
    assert store.playbook_heads() == []
