"""The four tables of an app: every pair of a state and a word does what the design says, and the page shows it."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.apps.machine import EVENTS, AppWord
from re_core.apps.releasing import VersionWord
from re_core.apps.running import RunStatus, RunWord
from re_core.apps.values import AppStatus, Status
from re_core.jobs.table import JobStatus, JobWord
from tools.app_diagram import MACHINES, TARGET, document
from tools.machine_pages import Machine, outcomes

#: for each machine: a status, and what comes of each word, in the order of the words: statuses after it, `-` refused;
#: a line that begins with spaces goes on
EXPECTED = """
App
new: idle | - | - | - | - | - | - | - | - | - | - | - | - | - | - | new
idle: - idle | idle | idle releasing | - idle releasing | - releasing | - idle | - idle | - idle
    | ending gone | - idle | - | idle | idle | idle | idle | idle
releasing: - releasing | releasing | releasing | - releasing | - releasing | - releasing
    | - releasing | - releasing | ending | - releasing | - | idle releasing | idle releasing
    | releasing | releasing | releasing
ending: - | - | - | - | - | - | - | - | ending | - ending | - | ending | ending | ending gone
    | ending | ending
gone: - | - | - | - | - | - | - | - | gone | - | - | gone | gone | gone | - | gone
Version
pending: pending | building deploying | - | - | - | failed | failed | -
building: building | building | deploying | - | - | failed | failed | -
deploying: deploying | deploying | - deploying | - deploying | - succeeded | failed | failed | -
succeeded: succeeded | succeeded | succeeded | succeeded | succeeded | succeeded | succeeded
    | succeeded
failed: failed | - | - | - | - | failed | failed | -
Run
open: ended | ended
ended: ended | ended
Job
asked: accepted | refused | postponed | asked | accepted | ended | asked | asked
accepted: accepted | - | - | asked | accepted | ended | ended | accepted
postponed: accepted | refused | postponed | asked | accepted | ended | postponed | asked
ended: ended | ended | ended | ended | ended | ended | ended | ended
refused: refused | refused | refused | refused | refused | refused | refused | refused
"""


def _expected() -> dict[tuple[str, str, str], set[str]]:
    found: dict[tuple[str, str, str], set[str]] = {}
    machine: Machine | None = None
    for line in EXPECTED.replace("\n    | ", " | ").strip().splitlines():
        status, colon, cells = line.partition(": ")
        if not colon:
            [machine] = [one for one in MACHINES if one.title == line]
            continue
        assert machine is not None
        for word, cell in zip(machine.words, cells.split(" | "), strict=True):
            found[machine.title, status, str(word)] = {"" if one == "-" else one for one in cell.split()}
    return found


PAIRS = [
    pytest.param(one, status, word, id=f"{one.title}-{status}-{word}")
    for one in MACHINES
    for status in one.table
    for word in one.words
]


@pytest.mark.parametrize(("machine", "status", "word"), PAIRS)
def test_every_pair_of_a_state_and_a_word_ends_as_the_design_says(machine: Machine, status: Any, word: Any) -> None:
    found = list(outcomes(machine, status, word))
    assert found
    assert {one.after for one in found} == _expected()[machine.title, str(status), str(word)]
    for one in found:
        assert bool(one.after) is not bool(one.code), "a refusal has a code"
        assert one.after or not one.records, "what is refused leaves no record"


@pytest.mark.parametrize(
    ("machine", "statuses", "words"),
    list(
        zip(
            MACHINES,
            (AppStatus, Status, RunStatus, JobStatus),
            (AppWord, VersionWord, RunWord, JobWord),
            strict=True,
        )
    ),
    ids=[one.title for one in MACHINES],
)
def test_a_table_has_a_cell_for_every_state_and_every_word(machine: Machine, statuses: Any, words: Any) -> None:
    assert list(machine.table) == list(statuses)
    assert list(machine.words) == list(words)
    for row in machine.table.values():
        assert set(row) == set(words)


def test_every_word_of_an_app_is_that_of_an_event() -> None:
    assert set(EVENTS.values()) == set(AppWord)


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "out of date: run make docs-diagram"
