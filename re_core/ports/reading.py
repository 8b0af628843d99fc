"""A journal page by page, and the state that it folds to. Must not know its callers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from re_core.deployment.records import DEPLOYMENT, Entry, never_began
from re_core.deployment.state import State, fold
from re_core.ports.entry_codec import foreign
from re_core.ports.store import Journal

#: entries of one page: a deployment of thirty steps is one, and one with results of 256 KiB each is not in memory as a whole
PAGE = 64


def every_entry(journal: Journal, deployment: str, after: int = 0) -> Iterator[Entry]:
    """The entries with a number above `after`, in order, read as they are taken; none for an unknown deployment."""
    while True:
        page = journal.entries(deployment, after, PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].number


def read_state(journal: Journal, deployment: str, note: Callable[[Entry], None] | None = None) -> State | None:
    """The deployment as its journal has it; None where it never began. Raises StoreRefused for a damaged journal.

    `note` is given each entry, in order.
    """
    entries = every_entry(journal, deployment)
    if note is not None:
        entries = _noted(entries, note)
    first = next(entries, None)
    if first is not None and first.kind != DEPLOYMENT:
        raise foreign(first)
    return None if first is None or never_began([first]) else fold(chain([first], entries))


def _noted(entries: Iterator[Entry], note: Callable[[Entry], None]) -> Iterator[Entry]:
    for entry in entries:
        note(entry)
        yield entry
