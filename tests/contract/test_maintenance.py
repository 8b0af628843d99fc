"""Maintenance: what there is, what may go, and going on with what was cut off."""

from __future__ import annotations

import pytest

from re_core.model import DeploymentStatus
from re_core.ports import KeyRecord, Lock, Store, ViewFilter
from re_core.rows import DeadLetter, OutputChunk
from tests.contract.samples import append, entry, playbook, view


def _journals(store: Store, limit: int) -> list[str]:
    found: list[str] = []
    cursor = ""
    for _ in range(100):
        page = store.journals(limit, cursor)
        assert len(page.ids) <= limit
        found += page.ids
        if page.next is None:
            break
        cursor = page.next
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_every_journal_is_met_page_by_page(store: Store, limit: int) -> None:
    ids = ["a", "a!", "a:000001", "b", "", "ä"]
    store.append([append(id, number) for id in ids for number in (1, 2)])
    met = _journals(store, limit)
    assert set(met) == set(ids)
    assert len(met) <= len(ids) + 1


def test_a_store_without_journals_names_none(store: Store) -> None:
    assert _journals(store, 10) == []


def test_a_journal_without_its_first_entry_is_met(store: Store) -> None:
    store.append([append("d-1", 2)])
    assert _journals(store, 10) == ["d-1"]


def test_rows_are_found_by_their_ids(store: Store) -> None:
    store.write_views([view(f"d-{number:04d}") for number in range(1200)])
    wanted = [f"d-{number:04d}" for number in range(1199)]
    assert sorted(row.id for row in store.rows([*wanted, "nobody"])) == wanted
    assert store.rows([]) == []


def test_dropped_rows_are_gone_and_their_journals_stay(store: Store) -> None:
    store.append([append(id)._replace(view=view(id)) for id in ("d-1", "d-2")])
    store.drop_views(["d-1", "nobody"])
    assert [row.id for row in store.views(ViewFilter(), 10).rows] == ["d-2"]
    assert store.entries("d-1") == [entry("d-1")]


def test_those_that_ended_before_a_time_come_oldest_first(store: Store) -> None:
    completed = DeploymentStatus.COMPLETED
    store.write_views([view(id, ended=at, status=completed) for id, at in (("c", 30), ("a", 10), ("b", 20))])
    store.write_views([view("running", 1)])
    assert store.ended(30, 10) == ["a", "b"]
    assert store.ended(100, 2) == ["a", "b"]
    assert store.ended(10, 10) == []


def _fill(store: Store, id: str) -> None:
    store.append([append(id, number) for number in range(1, 12)])
    store.write_views([view(id, entry=11)])
    store.add_output([OutputChunk(f"chunk {id}", id, 1, 0, 5, ("a line",))])
    store.claim(KeyRecord(f"key {id}", id, "digest"))
    store.acquire(f"lock {id}", id, 5)


def _is_there(store: Store, id: str) -> list[bool]:
    """Journal, row, output, key, lock."""
    return [
        len(store.entries(id)) == 11,
        bool(store.rows([id])),
        bool(store.stored_output([f"chunk {id}"])),
        store.claim(KeyRecord(f"key {id}", "asked", "digest")).deployment == id,
        store.acquire(f"lock {id}", "asked", 9) == Lock(f"lock {id}", id, 5),
    ]


def test_a_forgotten_deployment_leaves_nothing_and_its_neighbours_stay(store: Store) -> None:
    ids = ["a", "a:000001", "b", "b ", "ä"]
    for id in ids:
        _fill(store, id)
    store.save_playbook(playbook("a"))
    store.forget(["a", "b", "nobody"])
    assert {id: _is_there(store, id) for id in ("a", "b")} == {"a": [False] * 5, "b": [False] * 5}
    assert store.entries("a") == []
    assert {id: _is_there(store, id) for id in ("a:000001", "b ", "ä")} == dict.fromkeys(
        ("a:000001", "b ", "ä"), [True] * 5
    )
    assert store.playbook("a") is not None


def test_forgetting_twice_is_the_same_as_once(store: Store) -> None:
    _fill(store, "a")
    store.forget(["a"])
    store.forget(["a"])
    store.forget([])
    assert store.entries("a") == []


def test_a_forgotten_id_can_be_used_again(store: Store) -> None:
    _fill(store, "a")
    store.forget(["a"])
    _fill(store, "a")
    assert _is_there(store, "a") == [True] * 5


def test_old_dead_letters_are_named_oldest_first(store: Store) -> None:
    for id, at in (("c", 30), ("a", 20), ("b", 10)):
        store.store_letter(DeadLetter(id, "q", "reason", "", "core", at, b"x", {}))
    assert store.old_dead_letters(30, 10) == ["b", "a"]
    assert store.old_dead_letters(100, 1) == ["b"]


def test_a_survey_counts_what_is_there_and_finds_nothing_wrong(store: Store) -> None:
    _fill(store, "a")
    store.save_playbook(playbook("p"))
    survey = store.survey()
    assert survey.problems == ()
    assert survey.layout >= 1
    expected = {"journal": 11, "views": 1, "requests": 1, "holds": 1, "output": 1, "playbooks": 1, "tokens": 0}
    assert {name: survey.counts[name] for name in expected} == expected
