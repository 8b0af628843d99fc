"""What happens to a playbook when somebody else is faster, or goes on being faster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from re_core.adapters.clock_system import SystemClock
from re_core.adapters.sqlite import SqliteStore
from re_core.errors import Conflict, NotFound, PreconditionFailed
from re_core.rows import StoredPlaybook
from re_core.usecases import playbooks
from tests.factories import principal

DOCUMENT = {"group": "g", "name": "n", "execution": []}
CLOCK = SystemClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(str(tmp_path / "release-engine.db"))
    yield made
    made.close()


@pytest.fixture
def first(store: SqliteStore) -> StoredPlaybook:
    """The first revision of a playbook."""
    return playbooks.create(store, CLOCK, principal("olga"), "p", DOCUMENT)


def test_a_replacement_without_a_condition_goes_on_top_of_a_faster_one(
    store: SqliteStore, first: StoredPlaybook
) -> None:
    playbooks.replace(store, CLOCK, principal("theo"), first, {**DOCUMENT, "name": "faster"}, None)

    made = playbooks.replace(store, CLOCK, principal("olga"), first, {**DOCUMENT, "name": "mine"}, None)

    assert (made.revision, made.name, made.created) == (3, "mine", first.created)


def test_a_replacement_with_a_condition_loses_to_a_faster_one(store: SqliteStore, first: StoredPlaybook) -> None:
    playbooks.replace(store, CLOCK, principal("theo"), first, {**DOCUMENT, "name": "faster"}, None)

    with pytest.raises(PreconditionFailed):
        playbooks.replace(store, CLOCK, principal("olga"), first, DOCUMENT, lambda etag: etag == first.etag)
    assert playbooks.get(store, principal(), "p").name == "faster"


def test_a_deletion_without_a_condition_deletes_a_faster_revision_too(
    store: SqliteStore, first: StoredPlaybook
) -> None:
    playbooks.replace(store, CLOCK, principal("theo"), first, DOCUMENT, None)

    playbooks.delete(store, principal(), first, None)

    with pytest.raises(NotFound):
        playbooks.get(store, principal(), "p")
    assert playbooks.get(store, principal(), "p", 2).user == "theo"


def test_what_was_deleted_meanwhile_cannot_be_replaced_or_deleted(store: SqliteStore, first: StoredPlaybook) -> None:
    playbooks.delete(store, principal(), first, None)

    with pytest.raises(NotFound):
        playbooks.delete(store, principal(), first, None)


def test_others_who_are_always_faster_are_a_conflict_and_no_endless_loop(
    store: SqliteStore, first: StoredPlaybook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "save_playbook", lambda playbook: False)
    monkeypatch.setattr(store, "delete_playbook", lambda id, revision: False)

    with pytest.raises(Conflict):
        playbooks.replace(store, CLOCK, principal("olga"), first, DOCUMENT, None)
    with pytest.raises(Conflict):
        playbooks.delete(store, principal(), first, None)


def test_a_repeated_creation_answers_the_playbook_that_is_there(store: SqliteStore, first: StoredPlaybook) -> None:
    again = playbooks.create(store, CLOCK, principal("olga"), "p", DOCUMENT)

    assert again == first
