"""A state is read from the newest checkpoint, and is the same as the one read from the first entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from re_core.cdpm.checkpoint import VERSION, from_document
from re_core.cdpm.state import State, begin, fold
from re_core.deployment import checkpoints as pace
from re_core.deployment.checkpoints import EVERY, Checkpoint
from re_core.deployment.records import Entry
from re_core.errors import NewerFormat
from re_core.ports import checkpoints
from tests.pipelines import BEGINNING, KEY, Run, release, reread, shown, subscribe, subscribed


class _Book:
    """A journal in memory, which gives back what a store would, and counts."""

    transactional = True

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = [reread(one) for one in entries]
        self.read = 0

    def entries(self, deployment: str, after: int = 0, limit: int | None = None) -> list[Entry]:
        found = [one for one in self._entries if one.number > after][:limit]
        self.read += len(found)
        return found

    def append(self, batch: Any) -> Any:
        raise NotImplementedError


def _load(book: _Book, seen: list[int] | None = None) -> State:
    def read(state: State, entry: Entry) -> State:
        return fold(state, entry.records, entry.number, entry.at)

    def revive(document: Mapping[str, Any]) -> State | None:
        return from_document(KEY, document)

    note = None if seen is None else lambda entry: seen.append(entry.number)
    return checkpoints.load(book, KEY, lambda: begin(KEY), read, revive, note)


def _grow(run: Run, number: int) -> None:
    """Releases are received, built and voted on until the journal has that many entries."""
    place = 0
    while run.state.entry < number:
        place += 1
        one = release(place % 50 + 1)
        # a day later every hour has room again
        run.now += 3_600_000
        run.send(one._replace(created_at=f"2024-{place // 28 % 12 + 1:02d}-{place % 28 + 1:02d}T00:00:00Z"))
        if run.state.jobs:
            run.fact("completed")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> int:
    """Checkpoints in each fourth entry, and pages of two."""
    monkeypatch.setattr(pace, "EVERY", 4)
    monkeypatch.setattr(checkpoints, "EVERY", 4)
    monkeypatch.setattr(checkpoints, "PAGE", 2)
    return 4


@pytest.mark.parametrize("together", [1, 2, 3, 5])
def test_the_state_after_every_entry_is_that_from_the_first_one_whatever_an_entry_has(
    often: int, together: int
) -> None:
    run = Run(beginning=())
    events: list[Any] = [*BEGINNING, subscribed(), subscribe(), *(release(n) for n in range(1, 30))]
    for place in range(0, len(events), together):
        run.send(*events[place : place + together])
        assert shown(_load(_Book(run.entries))) == shown(run.folded()) == shown(run.state)
    with_one = [one.number for one in run.entries if any(isinstance(record, Checkpoint) for record in one.records)]
    assert with_one == list(range(often, len(run.entries) + 1, often))


def test_records_behind_a_checkpoint_in_its_entry_fold_on_top(often: int) -> None:
    run = Run()
    run.send(subscribed("s2"), release(1), release(2))
    places: list[type[Any]] = [type(record) for record in run.entries[-1].records]
    assert Checkpoint in places
    assert places[-1] is not Checkpoint
    assert shown(_load(_Book(run.entries))) == shown(run.state)


def test_a_long_journal_is_read_from_its_end() -> None:
    run = Run(subscribed())
    _grow(run, 2 * EVERY + 3)
    book = _Book(run.entries)
    assert shown(_load(book)) == shown(run.state)
    assert book.read < 300
    assert shown(run.folded()) == shown(run.state)


def test_all_that_may_not_be_published_is_noted(often: int) -> None:
    run = Run(subscribed(), subscribe(), *(release(n) for n in range(1, 8)))
    seen: list[int] = []
    _load(_Book(run.entries), seen)
    last = max(number for number in range(0, len(run.entries) + 1, often))
    assert seen == list(range(last - 2, len(run.entries) + 1)), "from a page before the checkpoint"


def _with_version(run: Run, version: Any, number: int) -> list[Entry]:
    def other(record: Any) -> Any:
        return Checkpoint({"v": version, "odd": 1}) if isinstance(record, Checkpoint) else record

    return [
        one._replace(records=tuple(map(other, one.records))) if one.number == number else one for one in run.entries
    ]


def test_an_older_checkpoint_is_passed_over(often: int) -> None:
    run = Run(subscribed(), subscribe(), *(release(n) for n in range(1, 8)))
    newest = len(run.entries) // often * often
    assert newest > often
    assert shown(_load(_Book(_with_version(run, VERSION - 1, newest)))) == shown(run.state)
    run.entries = [one for one in run.entries if one.number < 2 * often]
    assert shown(_load(_Book(_with_version(run, VERSION - 1, often)))) == shown(run.folded()), "from the first entry"


def test_a_newer_checkpoint_is_left_to_a_newer_engine(often: int) -> None:
    run = Run(subscribed(), subscribe())
    with pytest.raises(NewerFormat, match="upgrade"):
        _load(_Book(_with_version(run, VERSION + 1, often)))


def test_a_key_without_a_journal_has_its_first_state() -> None:
    assert shown(_load(_Book([]))) == shown(begin(KEY))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33])
def test_the_highest_multiple_is_found_by_asking_for_numbers(often: int, count: int) -> None:
    entry = Run().entries[0]
    for more in (0, often - 1):
        book = _Book([entry._replace(number=number) for number in range(1, count * often + more + 1)])
        assert checkpoints._highest(book, KEY) == count
