"""The state of a journal that never ends, from its newest checkpoint. Must not know any kind of aggregate.

A checkpoint stands in every entry whose number is a multiple of EVERY, so it is found by asking for numbers: no index and no row
is trusted. The journal from its first entry is always there as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from re_core.deployment.checkpoints import EVERY, Checkpoint
from re_core.deployment.records import Entry
from re_core.ports.reading import PAGE, every_entry
from re_core.ports.store import Journal

_State = TypeVar("_State")


def load(
    journal: Journal,
    key: str,
    begin: Callable[[], _State],
    fold: Callable[[_State, Entry], _State],
    revive: Callable[[Mapping[str, Any]], _State | None],
    note: Callable[[Entry], None] | None = None,
) -> _State:
    """The state after all entries; that of `begin` for a journal without any.

    `fold` is given entries in order; that of a checkpoint without the records before it. `revive` makes a state of a checkpoint;
    None where this engine does not read its older form, so that the one before is taken. `note` is given each entry that is read,
    whole, and those of a page before the checkpoint: what they cause may not be published yet.

    Raises StoreRefused for a damaged journal, NewerFormat for one of a newer engine.
    """
    see = note or _unseen
    first = journal.entries(key, 0, PAGE)
    if len(first) == PAGE and (found := _newest(journal, key, revive)) is not None:
        state, entry, rest = found
        for one in journal.entries(key, max(0, entry.number - 1 - PAGE), PAGE):
            if one.number < entry.number:
                see(one)
        see(entry)
        state = fold(state, entry._replace(records=rest))
        entries: Iterator[Entry] = every_entry(journal, key, entry.number)
    else:
        state, entries = begin(), _from_the_begin(journal, key, first)
    for one in entries:
        see(one)
        state = fold(state, one)
    return state


def _from_the_begin(journal: Journal, key: str, first: list[Entry]) -> Iterator[Entry]:
    yield from first
    if len(first) == PAGE:
        yield from every_entry(journal, key, first[-1].number)


def _newest(
    journal: Journal, key: str, revive: Callable[[Mapping[str, Any]], _State | None]
) -> tuple[_State, Entry, tuple[Any, ...]] | None:
    """The newest checkpoint that can be read: its state, its entry, and the records from it on."""
    for multiple in range(_highest(journal, key), 0, -1):
        for entry in journal.entries(key, multiple * EVERY - 1, 1):
            for place, record in enumerate(entry.records):
                if isinstance(record, Checkpoint) and (state := revive(record.state)) is not None:
                    return state, entry, entry.records[place:]
    return None


def _highest(journal: Journal, key: str) -> int:
    """The greatest multiple of EVERY that an entry has as its number, divided by it; 0 where none has."""
    there, beyond = 0, 1
    while journal.entries(key, beyond * EVERY - 1, 1):
        there, beyond = beyond, beyond * 2
    while beyond - there > 1:
        middle = (there + beyond) // 2
        if journal.entries(key, middle * EVERY - 1, 1):
            there = middle
        else:
            beyond = middle
    return there


def _unseen(entry: Entry) -> None:
    """The caller notes nothing."""
