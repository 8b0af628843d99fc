"""Read deployments: one from its journal, many from the views. Must not know who asks; callers check the group."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from re_core import ports
from re_core.errors import BadDocument, CallerError, NotFound
from re_core.model import OutputLine
from re_core.ports import Page, ViewFilter
from re_core.records import Entry, entry_to_document, never_began
from re_core.state import State, fold
from re_core.usecases.ids import plausible
from re_core.usecases.times import rfc3339

#: lines that one reading of the store brings where all are wanted
PAGE = 1000


class Wanted(NamedTuple):
    """Which lines of output."""

    #: only lines with a number above it
    after: int = 0
    #: how many at most; None brings all
    limit: int | None = None
    #: only of this step
    step: int | None = None


def find(journal: ports.Journal, id: str) -> State:
    """The deployment as it is now. Raises NotFound."""
    entries = journal.entries(id) if plausible(id) else []
    if not entries or never_began(entries):
        raise NotFound(f"there is no deployment {id[:60]!r}")
    return fold(entries)


def listed(views: ports.Views, wanted: ViewFilter, limit: int, cursor: str) -> Page:
    """One page of the list. Raises CallerError for a cursor that is not one."""
    try:
        return views.views(wanted, limit, cursor)
    except BadDocument as error:
        raise CallerError(f"cursor: {error}") from None


def journal_documents(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The records in order, entry by entry."""
    return [
        {"number": entry.number, **entry_to_document(entry), "at": rfc3339(entry.at)}
        for entry in entries
    ]  # fmt: skip


def lines(output: ports.Output, id: str, wanted: Wanted) -> Iterator[OutputLine]:
    """The lines in order, read page by page, so that a long output is never in memory as a whole."""
    after, left = wanted.after, wanted.limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page = output.output(id, after, size, wanted.step)
        yield from page
        if len(page) < size:
            return
        after = page[-1].number
        left = None if left is None else left - size


def tail(output: ports.Output, id: str, wanted: Wanted, count: int) -> list[OutputLine]:
    """The last `count` of the lines wanted, looked for from the end of a long output on, farther and farther back."""
    end, back = output.last_line(id), max(count, PAGE)
    while True:
        after = max(wanted.after, end - back)
        found = deque(lines(output, id, wanted._replace(after=after)), maxlen=count)
        if len(found) == count or after == wanted.after:
            return list(found)
        back *= 8


def advance(state: State, entries: Sequence[Entry]) -> None:
    """Fold in the entries that follow those which the state has."""
    for entry in entries:
        for record in entry.records:
            state.apply(record, entry.at)
        state.entry = entry.number
