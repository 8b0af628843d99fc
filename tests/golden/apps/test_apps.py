"""Journals of apps of every form so far are read and go on as when they were taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from re_core.apps.checkpoint import VERSION, from_document
from re_core.apps.records import RECORDS
from re_core.deployment.checkpoints import Checkpoint
from tests.apps import KEY, shown
from tests.golden.apps.journals import entries_of, files, fold_all, read

ALL = [pytest.param(path, id=path.stem) for path in files()]


def test_there_is_a_golden_file_of_every_form() -> None:
    assert [path.stem for path in files()] == [f"form-{number}" for number in range(1, VERSION + 1)]


def test_every_kind_of_record_is_in_a_golden_journal() -> None:
    stored = [one for path in files() for one in read(path)]
    kinds = {record["kind"] for one in stored for entry in one["entries"] for record in entry["records"]}
    assert kinds == {*RECORDS, "void"}


@pytest.mark.parametrize("path", ALL)
def test_the_state_is_the_one_of_its_time(path: Path) -> None:
    """What came since may have been added; what was there then is the same."""
    for one in read(path):
        now = shown(fold_all(entries_of(one)))
        then = one["shown"]
        assert {name: now[name] for name in then if name != "v"} == {
            name: then[name] for name in then if name != "v"
        }, one["played"]


@pytest.mark.parametrize("path", ALL)
def test_the_state_from_each_checkpoint_is_that_from_the_first_entry(path: Path) -> None:
    found = 0
    for one in read(path):
        entries = entries_of(one)
        for place, entry in enumerate(entries):
            records: list[Any] = list(entry.records)
            at = next((at for at, record in enumerate(records) if isinstance(record, Checkpoint)), None)
            if at is None:
                continue
            found += 1
            revived = from_document(KEY, json.loads(json.dumps(records[at].state)))
            assert revived is not None
            again = fold_all([entry._replace(records=tuple(records[at:])), *entries[place + 1 :]], revived)
            assert shown(again) == shown(fold_all(entries)), one["played"]
    assert found > 3
