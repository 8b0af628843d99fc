"""MongoStore: entries that BSON or a document's size would not take, answers that are lost, documents that are not ours."""

from __future__ import annotations

import logging
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from re_core.adapters.mongo import MongoStore, journal, parts
from re_core.adapters.mongo.database import Database
from re_core.deployment.records import FORMAT, Completed, Entry
from re_core.errors import StoreRefused, StoreUnavailable
from re_core.ports import Append, Appended, ViewFilter
from re_core.rows import DeadLetter, StoredPlaybook
from tests.contract.samples import append, entry, playbook, view
from tests.integration.adapters.lossy_wire import LossyWire

STORED, LOST = Appended.STORED, Appended.LOST

#: characters of a reply that no document holds twice
_MUCH = 9 * 1024 * 1024

#: what JSON says and BSON does not, or not everywhere
_AWKWARD: dict[str, Any] = {
    "$set": {"a.b": 1, "": 2, "$ref": "x", "$id": 1},
    "big": [2**63, -(2**64), 10**299],
    "nul \x00": "\x00",
    "surrogate": "\ud800",
    "deep": [[[[[[[[[[1]]]]]]]]]],
    "float": [1.0, -0.0, 1e308, 5e-324],
}


def _entry(data: object, number: int = 1, id: str = "d-1") -> Entry:
    return Entry(id, number, 5, "core-1", (Completed(0, 1, data, "fine"),))


# -- what fits nowhere -------------------------------------------------------------------------------


def test_data_that_bson_cannot_hold_comes_back_as_it_was(mongo_store: MongoStore) -> None:
    whole = _entry(_AWKWARD)
    assert mongo_store.append([Append(whole), append("d-2")]) == [STORED, STORED]
    assert mongo_store.entries("d-1") == [whole]


def test_an_entry_larger_than_a_document_is_stored_with_its_batch(mongo_store: MongoStore) -> None:
    large = Entry("d-1", 1, 5, "core-1", tuple(Completed(step, 1, "ä" * _MUCH) for step in range(2)))
    batch = [append("d-0"), Append(large), append("d-2")]
    assert mongo_store.append(batch) == [STORED] * 3
    assert mongo_store.entries("d-1") == [large]
    assert mongo_store.append(batch) == [STORED] * 3
    rival = large._replace(writer="rival", records=large.records[:1])
    assert mongo_store.append([Append(rival)]) == [LOST]
    assert mongo_store.entries("d-1") == [large]


def test_a_batch_larger_than_a_message_is_stored_whole(mongo_store: MongoStore) -> None:
    batch = [Append(_entry("x" * 7_000_000, id=f"d-{number}")) for number in range(9)]
    assert mongo_store.append(batch) == [STORED] * 9
    mongo_store.append([append("d-9")])
    again = [*batch[:8], Append(_entry("y", id="d-8")), append("d-9"), append("d-10")]
    assert mongo_store.append(again) == [STORED] * 8 + [LOST, STORED, STORED]


def test_an_entry_of_which_a_part_is_missing_is_refused(mongo_store: MongoStore, mongo_database: Database) -> None:
    mongo_store.append([Append(_entry("x" * (2 * parts.WHOLE)))])
    mongo_database.parts.delete_one({})
    with pytest.raises(StoreRefused, match="parts of 'd-1:000001' are missing"):
        mongo_store.entries("d-1")


def test_the_parts_of_a_forgotten_deployment_go_with_it(mongo_store: MongoStore, mongo_database: Database) -> None:
    for id in ("d-1", "d-1:000001"):
        mongo_store.append([Append(_entry("x" * (parts.WHOLE + 1), id=id))])
    mongo_store.forget(["d-1"])
    assert mongo_database.parts.count_documents({}) == 2
    assert mongo_store.entries("d-1:000001") == [_entry("x" * (parts.WHOLE + 1), id="d-1:000001")]


def test_a_dead_letter_larger_than_a_document_is_kept_byte_for_byte(
    mongo_store: MongoStore, mongo_database: Database
) -> None:
    letter = DeadLetter("a", "q", "reason", "", "core", 5, bytes(range(256)) * 70_000, {})
    mongo_store.store_letter(letter)
    assert mongo_store.dead_letter("a") == letter
    assert mongo_store.dead_letters(10) == [letter]
    assert mongo_store.drop_dead_letter("a")
    assert mongo_database.parts.count_documents({}) == 0


# -- playbooks are readable where they can be --------------------------------------------------------


def test_a_playbook_is_stored_with_its_own_keys_at_the_top(mongo_store: MongoStore, mongo_database: Database) -> None:
    mongo_store.save_playbook(playbook("p"))
    found = mongo_database.playbooks.find_one({"group": "team", "name": "release"})
    assert found is not None and found["revision of the document"] == 1
    assert found["re"]["id"] == "p"


@pytest.mark.parametrize(
    "awkward",
    [{name: _AWKWARD[name]} for name in ("$set", "big", "nul \x00", "deep", "float")] + [{"re": 1}, {"_id": 1}],
    ids=str,
)
def test_a_playbook_that_bson_cannot_hold_comes_back_as_it_was(
    mongo_store: MongoStore, awkward: dict[str, Any]
) -> None:
    stored = StoredPlaybook("p", "team", "release", 1, {"group": "team", "x": awkward, **awkward}, 1, 2, "ada")
    assert mongo_store.save_playbook(stored)
    found = mongo_store.playbook("p")
    assert found == stored
    assert list(found.document) == list(stored.document)


# -- answers that are lost ---------------------------------------------------------------------------


def test_an_insert_whose_answer_is_lost_is_recognised_as_ones_own(mongo_url: str) -> None:
    with closing(LossyWire(mongo_url)) as wire:
        store = MongoStore(wire.url)
        try:
            store.append([append("d-2", writer="rival")])
            wire.lose_answer_to(b"insert\x00\x08\x00\x00\x00journal")
            batch = [append("d-1")._replace(view=view("d-1")), append("d-2"), append("d-3")]
            assert store.append(batch) == [STORED, LOST, STORED]
            assert wire.lost == 1
            assert store.entries("d-1") == [entry("d-1")]
            assert [row.id for row in store.views(ViewFilter(), 10).rows] == ["d-1"]
        finally:
            store.close()


def test_an_insert_whose_answers_are_all_lost_is_told_as_unavailable_and_can_be_repeated(mongo_url: str) -> None:
    with closing(LossyWire(mongo_url)) as wire:
        store = MongoStore(wire.url)
        try:
            wire.lose_answer_to(b"insert\x00\x08\x00\x00\x00journal", times=20)
            with pytest.raises(StoreUnavailable, match="the connection was lost"):
                store.append([append("d-1")])
            wire.lose_answer_to(b"")
            assert store.append([append("d-1")]) == [STORED]
        finally:
            store.close()


def test_the_hot_path_is_one_insert_for_a_batch(mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    inserted: list[int] = []
    add = Database.add

    def counted(self: Database, collection: Any, documents: list[Any]) -> list[int]:
        if documents:
            inserted.append(len(documents))
        return add(self, collection, documents)

    monkeypatch.setattr(Database, "add", counted)
    mongo_store.append([append(f"d-{number}", 2)._replace(view=view("d", entry=2)) for number in range(100)])
    assert inserted == [100]


def test_a_playbook_whose_answer_was_lost_can_be_saved_again(mongo_url: str) -> None:
    with closing(LossyWire(mongo_url)) as wire:
        store = MongoStore(wire.url)
        try:
            wire.lose_answer_to(b"insert\x00\x0a\x00\x00\x00playbooks")
            with pytest.raises(StoreUnavailable):
                store.save_playbook(playbook("p"))
            assert store.save_playbook(playbook("p"))
            assert not store.save_playbook(playbook("p", name="other"))
        finally:
            store.close()


# -- what a majority has not seen yet ----------------------------------------------------------------


def test_an_entry_that_is_there_and_not_to_be_seen_yet_is_waited_for(
    mongo_store: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A primary refuses the key at once, and shows the document when a majority has it."""
    mongo_store.append([append("d-1")])
    real, hidden = mongo_store._database.journal, mongo_store._database.raw["hidden"]
    looks: list[int] = []

    def find(query: dict[str, Any]) -> Any:
        looks.append(1)
        return (real if len(looks) > 2 else hidden).find(query)

    monkeypatch.setattr(MongoStore, "_insert", lambda self, documents: [0])
    monkeypatch.setattr(mongo_store._database, "journal", SimpleNamespace(find=find))
    assert mongo_store.append([append("d-1")]) == [STORED]
    assert len(looks) == 3
    monkeypatch.setattr(mongo_store._database, "journal", hidden)
    monkeypatch.setattr(journal, "SEEN", 0.0)
    with pytest.raises(StoreUnavailable, match="does not confirm reads"):
        mongo_store.append([append("d-1")])


# -- documents that are not ours ---------------------------------------------------------------------


def test_documents_that_are_not_ours_are_passed_over_in_lists_and_told(
    mongo_store: MongoStore, mongo_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    mongo_store.write_views([view("d-1", created=5), view("d-2", created=7)])
    mongo_store.save_playbook(playbook("p"))
    collections = ("views", "playbooks", "workers", "dead_letters", "tokens", "output")
    for name in collections:
        mongo_database.raw[name].insert_one({"_id": "foreign", "created": 6, "seen": 6, "deployment": "d-1", "last": 1})
    assert [row.id for row in mongo_store.views(ViewFilter(), 10).rows] == ["d-2", "d-1"]
    assert [one.id for one in mongo_store.playbooks()] == ["p"]
    assert (mongo_store.workers(), mongo_store.dead_letters(9), mongo_store.tokens()) == ([], [], [])
    assert mongo_store.output("d-1") == []
    assert mongo_store.token("foreign") is None
    for name in collections:
        assert f"the document 'foreign' in {name} was not written by the engine" in caplog.text
    problems = "\n".join(mongo_store.survey().problems)
    assert all(
        f"the document 'foreign' in {name} was not written by the engine, or is damaged; remove it" in problems
        for name in collections
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"_id": "d-1:x"}, "'d-1:x' in the journal was not written by the engine"),
        ({"_id": "d-1:2"}, "'d-1:2' in the journal was not written by the engine"),
        ({"_id": "d-1:000002"}, "is damaged: it has no format"),
        ({"_id": "d-1:000002", "v": FORMAT + 1}, "upgrade this engine"),
        ({"_id": "d-1:000002", "v": 1}, "entry d-1:000002 is damaged"),
        ({"_id": "d-1:000002", "v": 1, "at": 5, "writer": "w", "records": [1]}, "entry d-1:000002 is damaged"),
        ({"_id": "d-1:000002", "v": 1, "at": 5, "writer": "w", "records": '[{"kind":"x"}]'}, "unknown kind"),
    ],
)
def test_an_entry_that_is_not_ours_refuses_its_deployment_and_no_other(
    mongo_store: MongoStore, mongo_database: Database, document: dict[str, Any], words: str
) -> None:
    mongo_store.append([append("d-1"), append("d-2")])
    mongo_database.journal.insert_one(document)
    with pytest.raises(StoreRefused) as caught:
        mongo_store.entries("d-1")
    assert words in str(caught.value)
    assert mongo_store.entries("d-2") == [entry("d-2")]


def test_keys_of_the_journal_that_are_not_ours_are_told(mongo_store: MongoStore, mongo_database: Database) -> None:
    mongo_store.append([append("d-1")])
    mongo_database.journal.insert_many([{"_id": 7}, {"_id": "what"}, {}])
    assert mongo_store.journals(10).ids == ["d-1"]
    assert len(mongo_store.survey().problems) == 3


def test_a_row_that_a_core_left_before_it_died_is_mended_by_the_next_one(mongo_store: MongoStore) -> None:
    """The row is written before the entry, so the first core's may say when *it* took the request."""
    mongo_store.write_views([view("d-1", 1)])
    assert mongo_store.append([append("d-1")._replace(view=view("d-1", 9))]) == [STORED]
    mongo_store.write_views([view("d-1", 9, 2)])
    (row,) = mongo_store.rows(["d-1"])
    assert (row.created, row.entry) == (9, 2)
