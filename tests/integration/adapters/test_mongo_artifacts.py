"""What a push or a deletion that dies between two operations leaves on MongoDB, and the sweep after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from re_core.adapters.mongo import MongoStore
from re_core.errors import StoreUnavailable
from re_core.ports import ArtifactFilter
from re_core.rows import Artifact
from tests.contract.test_artifacts import ALL, _artifact, _content, _counts, _id, _push, _text
from tests.services.mongodb import MongoServer

pytestmark = pytest.mark.service("mongodb")


@pytest.fixture
def store(mongodb: MongoServer) -> Iterator[MongoStore]:
    with mongodb.database() as url:
        opened = MongoStore(url)
        yield opened
        opened.close()


def test_a_push_that_dies_before_its_artifact_leaves_an_id_that_is_swept(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _push(store, 1, "one")
    _die_at(store, monkeypatch, "add_or_find")
    with pytest.raises(StoreUnavailable):
        store.add_artifact(_artifact(2, "two", _content(2)), _content(2))
    monkeypatch.undo()
    assert store.delete_artifact(made)
    assert store.content(made.digest) is not None
    assert store.sweep_artifacts(_id(2)) == 0
    assert store.sweep_artifacts(ALL) == 1
    assert (store.content(made.digest), _counts(store)) == (None, [0, 0, 0])
    assert store.piece(_id(1), 0) is None


def test_a_deletion_that_dies_after_its_artifact_is_finished_by_the_sweep(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = _push(store, 1, "one", "1"), _push(store, 2, "two", "2")
    store.add_use("web", "one", "dep", 5)
    there = store.artifact("web", "one")
    assert there is not None

    def leave(id: str, digest: str) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store, "_leave", leave)
    with pytest.raises(StoreUnavailable):
        store.delete_artifact(there)
    monkeypatch.undo()
    assert store.content(made.digest) is not None
    assert store.sweep_artifacts(ALL) == 1
    assert (store.content(made.digest), store.uses(made.id)) == (None, [])
    assert _text(store, other) == b"2"


def test_a_deletion_that_dies_before_the_bytes_leaves_them_to_the_sweep(
    store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _push(store, 1, "one")

    def drop(holder: str) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store, "drop_pieces", drop)
    with pytest.raises(StoreUnavailable):
        store.delete_artifact(made)
    monkeypatch.undo()
    assert store.piece(_id(1), 0) == b"same"
    assert store.sweep_artifacts(ALL) == 1
    assert store.piece(_id(1), 0) is None


def test_a_document_that_is_no_artifact_is_reported_and_passed_over(store: MongoStore) -> None:
    made = _push(store, 1, "one")
    store._database.artifacts.insert_one({"_id": "x", "id": "x"})
    assert [one.id for one in _all(store)] == [made.id]
    assert any("'x' in artifacts" in problem for problem in store.survey().problems)


def _all(store: MongoStore) -> list[Artifact]:
    return store.artifacts(ArtifactFilter(), 10)


def _die_at(store: MongoStore, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    def die(*given: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(store._database, method, die)
