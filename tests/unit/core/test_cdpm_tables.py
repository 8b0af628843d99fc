"""The four tables of a pipeline: every pair of a state and a word does what the protocol says, and the page shows it."""

from __future__ import annotations

from typing import Any

import pytest

from re_core.cdpm.advancing import miss
from re_core.cdpm.jobs import JobWord
from re_core.cdpm.publishing import ReleaseWord
from re_core.cdpm.receiving import DependentWord, Result
from re_core.cdpm.values import DependentStatus, JobStatus, ReleaseStatus, Stability
from tools.machine_pages import Machine, outcomes
from tools.pipeline_diagram import MACHINES, TARGET, document

#: for each machine: a status, and what comes of each word, in the order of the words: statuses after it, `-` refused
EXPECTED = """
Dependent
initial: - subscribed | initial | - | initial | initial | initial | initial
subscribed: subscribed | initial | subscribed building | subscribed | subscribed | initial | subscribed building
building: building | initial | building | building subscribed | building subscribed | initial | building
Stability
initial: vote_stable | initial | initial
vote_stable: vote_stable | vote_unstable | vote_stable
vote_unstable: vote_stable | vote_unstable | vote_unstable
Dependency
initial: publishing | building | - | - | deployed | - | - | - | -
publishing: publishing | building | - | - | deployed | - | - | - | -
building: building | building | testing | - | - | publishing | - | - | -
testing: testing | testing | testing | deploying | - | publishing | - | - | -
deploying: deploying | deploying | deploying | deploying | deployed | publishing | - | - | -
deployed: deployed | deployed | deployed | deployed | deployed | deployed | promoted | demoted | deployed
promoted: promoted | promoted | promoted | promoted | promoted | promoted | promoted | demoted | promoted
demoted: demoted | demoted | demoted | demoted | demoted | demoted | - demoted | demoted | demoted
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
    for line in EXPECTED.strip().splitlines():
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
def test_every_pair_of_a_state_and_a_word_ends_as_the_protocol_says(machine: Machine, status: Any, word: Any) -> None:
    found = list(outcomes(machine, status, word))
    assert found
    assert {one.after for one in found} == _expected()[machine.title, str(status), str(word)]


@pytest.mark.parametrize(("machine", "status", "word"), PAIRS)
def test_what_is_refused_leaves_no_record_and_a_miss_is_always_refused(
    machine: Machine, status: Any, word: Any
) -> None:
    for one in outcomes(machine, status, word):
        assert one.after or not one.records
        if machine.table[status][word] is miss:
            assert not one.after


@pytest.mark.parametrize(
    ("machine", "statuses", "words"),
    list(
        zip(
            MACHINES,
            (DependentStatus, Stability, ReleaseStatus, JobStatus),
            (DependentWord, Result, ReleaseWord, JobWord),
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


def test_the_page_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == document(), "out of date: run make docs-diagram"
