"""What would grow for ever is bounded by the store, or forgotten with what is old."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.cdpm.ids import pipeline_key
from re_core.cdpm.records import Registered, Removed
from re_core.deployment.records import Entry, Void
from re_core.errors import StoreUnavailable
from re_core.ports import MOST_REVISIONS, Append, EntryCodec, KeyRecord, Store, ViewFilter
from re_core.rows import OVER, DeadLetter, PipelineKey, PipelineRow, Release, Token
from re_core.sequencer.pipelines import Pipelines
from re_core.usecases.ids import first_id
from re_core.usecases.maintenance import Pruned, prune_some, would_prune
from tests.contract.samples import append, playbook, view

#: milliseconds since the epoch
OLD, BEFORE, NEW = 1_700_000_000_000, 1_700_000_100_000, 1_700_000_200_000


def _id(at: int, number: int = 0) -> str:
    return first_id(at)[:-3] + f"{number:03d}"


def _prune(store: Store, limit: int = 3) -> Pruned:
    pruned = Pruned()
    while any(some := prune_some(store, BEFORE, limit)):
        pruned = pruned.plus(some)
    return pruned


# -- idempotency keys --------------------------------------------------------------------------------


def test_keys_come_in_the_order_of_ids_and_keys(store: Store) -> None:
    claims = [KeyRecord(key, id, "d") for key, id in (("k3", "a"), ("k1", "b"), ("k2", "b"), ("k0", "c"))]
    for one in claims:
        store.claim(one)
    assert store.old_claims("c", 10) == claims[:3]
    assert store.old_claims("z", 2) == claims[:2]
    assert store.old_claims("z", 2, claims[1]) == claims[2:]
    assert store.old_claims("z", 2, claims[3]) == []


def test_a_key_is_dropped_only_while_it_stands_for_the_same(store: Store) -> None:
    store.claim(KeyRecord("k", "a", "d"))
    assert (store.standing_claim("k"), store.standing_claim("other")) == (KeyRecord("k", "a", "d"), None)
    store.drop_claims([KeyRecord("k", "b", "d"), KeyRecord("other", "a", "d")])
    assert store.claim(KeyRecord("k", "new", "d")).deployment == "a"
    store.drop_claims([KeyRecord("k", "a", "d")])
    assert store.claim(KeyRecord("k", "new", "d")).deployment == "new"


def test_old_keys_of_all_kinds_are_forgotten_but_for_deployments_that_are_there(store: Store) -> None:
    running, recent = _id(OLD, 1), _id(NEW)
    store.append([append(running)._replace(view=view(running))])
    bare = _id(OLD, 2)
    store.append([append(bare)])  # its row was lost
    kept = [running, bare, recent, "not-one-of-ours", "0a" * 13]
    gone = [_id(OLD, 10 + number) for number in range(8)]
    for number, id in enumerate(kept + gone):
        store.claim(KeyRecord(f"key {number}", id, "digest"))
    assert would_prune(store, BEFORE) == Pruned(keys=8)
    assert _prune(store) == Pruned(keys=8)
    assert sorted(one.deployment for one in store.old_claims("~", 100)) == sorted(kept)


# -- journals ----------------------------------------------------------------------------------------


def test_old_journals_under_which_nothing_began_are_forgotten(store: Store) -> None:
    def void(id: str) -> Append:
        return Append(Entry(id, 1, OLD, "core", (Void("its core was away"),)))

    gone = [_id(OLD, number) for number in range(8)]
    store.append([void(id) for id in (*gone, _id(NEW), "theirs")])
    store.append([void(_id(OLD, 50))._replace(view=view(_id(OLD, 50)))])
    store.append([append(_id(OLD, 60))])
    store.claim(KeyRecord("key", gone[0], "digest"))
    assert would_prune(store, BEFORE) == Pruned(voids=8)
    assert _prune(store) == Pruned(voids=8)
    assert sorted(store.journals(100).ids) == sorted([_id(NEW), "theirs", _id(OLD, 50), _id(OLD, 60)])
    assert store.old_claims("~", 100) == []


# -- tokens ------------------------------------------------------------------------------------------


def test_tokens_that_expired_long_ago_are_forgotten(store: Store) -> None:
    for name, expires in (("gone", OLD), ("new", NEW), ("never", None)):
        store.add_token(Token(name, "ada", None, False, OLD, expires))
    assert would_prune(store, BEFORE) == Pruned(tokens=1)
    assert _prune(store) == Pruned(tokens=1)
    assert sorted(one.digest for one in store.tokens()) == ["never", "new"]


# -- releases ----------------------------------------------------------------------------------------


def test_old_releases_of_no_deployment_are_forgotten_once_they_are_over(store: Store) -> None:
    for id, status, created in (("gone/1/1", OVER, OLD), ("new/1/1", OVER, NEW), ("open/1/1", "ended", OLD)):
        assert store.save_release(Release(id, 1, "gateway", status, b"", created))
    assert would_prune(store, BEFORE) == Pruned(releases=1)
    assert _prune(store) == Pruned(releases=1)
    assert [len(store.releases_of(one)) for one in ("gone", "new", "open")] == [0, 1, 1]


# -- pipelines ---------------------------------------------------------------------------------------


def _pipeline(store: Store, id: str, removed: int | None, ended: int | None, *, begun: bool = True) -> None:
    """`removed`: when, by its journal; `ended`: by its row of the list."""
    key = pipeline_key(id)
    source = f"https://{id}.example/cdpm.yml"
    assert store.save_pipeline(PipelineRow(id, "shop", id, source, 1, {}))
    assert store.add_key(PipelineKey(id, "k", "public", b"sealed", OLD))
    assert store.open_position(f"s {id}", id, OLD, "j", 0)
    if begun:
        begin: Any = Registered("shop", id, source)
        end: Any = Removed("ann")
        entries = [Entry(key, 1, OLD, "core", (begin,), "pipeline")]
        if removed is not None:
            entries.append(Entry(key, 2, removed, "core", (end,), "pipeline"))
        row = view(key, group="", ended=ended, entry=len(entries))
        store.append([Append(entries[0], row), *map(Append, entries[1:])])


def _left(store: Store) -> list[str]:
    return sorted(one.id for one in store.pipelines())


@pytest.fixture
def piped(store: Store) -> Store:
    """A store that knows pipelines."""
    unsealed: Any = store
    unsealed._codec = EntryCodec(Pipelines)
    return store


def test_pipelines_that_were_removed_long_ago_are_forgotten_with_all_that_they_had(piped: Store) -> None:
    gone, lives, new, ahead, never, fresh = (_id(OLD if place != 5 else NEW, place) for place in range(6))
    _pipeline(piped, gone, OLD, OLD)
    _pipeline(piped, lives, None, None)
    _pipeline(piped, new, NEW, NEW)
    _pipeline(piped, ahead, None, OLD)
    _pipeline(piped, never, None, None, begun=False)
    _pipeline(piped, fresh, None, None, begun=False)
    assert would_prune(piped, BEFORE) == Pruned(pipelines=2)
    assert _prune(piped) == Pruned(pipelines=2)
    assert _left(piped) == sorted([lives, new, ahead, fresh])
    assert (piped.entries(pipeline_key(gone)), piped.rows([pipeline_key(gone)])) == ([], [])
    assert (piped.keys(gone), piped.position(f"s {gone}"), piped.keys(lives) != []) == ([], None, True)


def test_a_deletion_of_a_pipeline_that_was_cut_off_goes_on(piped: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = _id(OLD)
    _pipeline(piped, id, OLD, OLD)

    def away(*_: object) -> bool:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(piped, "drop_pipeline", away)
        with pytest.raises(StoreUnavailable):
            _prune(piped)
    assert (piped.entries(pipeline_key(id)), _left(piped)) == ([], [id])
    assert _prune(piped) == Pruned(pipelines=1)
    assert (_left(piped), piped.keys(id)) == ([], [])


def test_an_engine_that_does_not_know_pipelines_leaves_them(store: Store) -> None:
    unsealed: Any = store
    unsealed._codec = EntryCodec(Pipelines)
    _pipeline(store, _id(OLD), OLD, OLD)
    unsealed._codec = EntryCodec()
    assert _prune(store) == Pruned()
    assert _left(store) == [_id(OLD)]


# -- playbooks, dead letters -------------------------------------------------------------------------


def test_of_a_playbook_the_newest_revisions_are_kept(store: Store) -> None:
    for revision in (1, 2, 3, MOST_REVISIONS, MOST_REVISIONS + 2):
        assert store.save_playbook(playbook("p", revision))
    store.save_playbook(playbook("p:000001", 1))
    store.save_playbook(playbook("q", 1))
    assert [one.revision for one in store.revisions("p")] == [MOST_REVISIONS + 2, MOST_REVISIONS, 3]
    assert not store.save_playbook(playbook("p", 3)._replace(user="eve"))
    assert [one.revision for one in store.revisions("p")] == [MOST_REVISIONS + 2, MOST_REVISIONS, 3]
    assert {one.id for one in store.playbooks()} == {"p", "p:000001", "q"}


def test_the_oldest_dead_letters_are_dropped(store: Store) -> None:
    for number in range(7):
        store.store_letter(DeadLetter(f"{number:013d}-x", "q", "reason", "", "core", number, b"x", {}))
    assert store.drop_oldest_dead_letters(7) == 0
    assert store.drop_oldest_dead_letters(4) == 3
    assert [one.at for one in store.dead_letters(10)] == [6, 5, 4, 3]
    assert store.count_dead_letters() == 4


def test_a_prune_leaves_a_list_that_is_sound(store: Store) -> None:
    store.append([append(_id(OLD))._replace(view=view(_id(OLD)))])
    assert _prune(store) == Pruned()
    assert [row.id for row in store.views(ViewFilter(), 10).rows] == [_id(OLD)]
