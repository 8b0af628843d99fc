"""Checks the store, and rebuilds the list of deployments from the journals. Must not know any store.

The engine may go on meanwhile: what changed in the last moments is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from re_core.deployment.deadlines import next_look
from re_core.deployment.summary import view_of
from re_core.errors import NewerFormat, StoreRefused, StoreUnavailable
from re_core.ports import Journal, OtherKind, Store, ViewFilter, every_entry, read_state
from re_core.rows import View

#: journals that are read between two looks at the list
_PAGE = 200

#: milliseconds for which a row may be behind its journal, or ahead of a journal that is about to begin
SETTLED = 60_000

#: what stays the same in a deployment's life
_LASTING = ("group", "playbook_id", "playbook", "user", "created")

#: what must be the same in row and journal; what is due depends on the time of the look
_COMPARED = (*_LASTING, "status", "ended", "done", "total", "step", "reason", "entry")

_Item = TypeVar("_Item")

_REBUILD = "rectl store rebuild-views corrects it"


class Finding(NamedTuple):
    """One thing that is wrong, and what to do about it."""

    #: `store`, `journal`, `list` or `artifact`
    what: str
    #: empty where it is none's
    deployment: str
    message: str


class Read(NamedTuple):
    """One journal and its row as both were found."""

    deployment: str
    #: what the row should be; None where the journal cannot be read
    expected: View | None
    #: why it cannot
    reason: str
    #: when its last entry was written; 0 where that is unknown
    at: int
    row: View | None
    #: a newer engine wrote it, which can read it
    newer: bool = False
    #: it is of another kind than a deployment, and every entry of it can be read; `newer` is true too
    other: bool = False


class Rebuilt(NamedTuple):
    """What became of the list."""

    written: int
    dropped: int
    #: deployments whose journal cannot be read; their rows stay as they are
    unreadable: tuple[str, ...]


def check(store: Store, now: int) -> Iterator[Finding]:
    """Read every journal and compare it with the list. What the store says of itself is `Store.survey`."""
    seen: set[str] = set()
    for read in _read_all(store, now):
        seen.add(read.deployment)
        yield from _judge(read, now)
    for row in _all_rows(store):
        if row.id not in seen and not 0 <= now - row.created < SETTLED and not store.entries(row.id, limit=1):
            yield Finding(
                "list", row.id, "it is in the list but has no journal; rectl store rebuild-views deletes the row"
            )


def rebuild_views(store: Store, now: int) -> Rebuilt:
    """Make the list say what the journals say."""
    seen: set[str] = set()
    unreadable: list[str] = []
    written = dropped = 0
    for page in _pages(_read_all(store, now)):
        seen.update(read.deployment for read in page)
        unreadable += [read.deployment for read in page if read.expected is None and not read.other]
        readable = [(read.expected, read.row) for read in page if read.expected is not None]
        store.drop_views([new.id for new, old in readable if _in_the_way(new, old)])
        store.write_views([new for new, _ in readable])
        written += len(readable)
    for page_of_rows in _pages(_all_rows(store)):
        bare = [row.id for row in page_of_rows if row.id not in seen and not 0 <= now - row.created < SETTLED]
        bare = [id for id in bare if not store.entries(id, limit=1)]
        store.drop_views(bare)
        dropped += len(bare)
    return Rebuilt(written, dropped, tuple(unreadable))


def read_journal(store: Journal, deployment: str, row: View | None, now: int) -> Read | None:
    """What the journal says, and why not; None where there is none (any more).

    What a journal of another kind says is not judged here: only its kind can, and its row is in no list.
    """
    try:
        try:
            state = read_state(store, deployment)
        except OtherKind as error:
            for _ in every_entry(store, deployment):
                """An entry that cannot be read raises."""
            return Read(deployment, None, str(error), 0, row, newer=True, other=True)
        if state is None:
            return None
        # no journal says what was published: with less in the row, notifications would be sent once more
        published = 0 if row is None else min(row.published, state.entry)
        return Read(deployment, view_of(state, next_look(state, now), published), "", state.entry_at, row)
    except StoreUnavailable:
        raise
    except StoreRefused as error:
        return Read(deployment, None, str(error), 0, row, isinstance(error, NewerFormat))
    except Exception as error:  # a record that is none of ours may break the fold anywhere
        return Read(deployment, None, f"the journal of {deployment} is damaged: {error!r}", 0, row)


def _read_all(store: Store, now: int) -> Iterator[Read]:
    """All journals, each with its row; one may come twice."""
    cursor: str | None = ""
    while cursor is not None:
        page = store.journals(_PAGE, cursor)
        rows = {row.id: row for row in store.rows(page.ids)}
        for deployment in page.ids:
            read = read_journal(store, deployment, rows.get(deployment), now)
            if read is not None:
                yield read
        cursor = page.next


def _all_rows(store: Store) -> Iterator[View]:
    cursor: str | None = ""
    while cursor is not None:
        page = store.views(ViewFilter(), _PAGE, cursor)
        yield from page.rows
        cursor = page.next


def _judge(read: Read, now: int) -> Iterator[Finding]:
    expected, row = read.expected, read.row
    if read.other:
        return
    if expected is None:
        yield Finding("journal", read.deployment, f"{read.reason}; {_advice(row)}")
    elif 0 <= now - read.at < SETTLED:
        return
    elif row is None:
        yield Finding("list", read.deployment, f"it has a journal but is not in the list; {_REBUILD}")
    elif differing := [name for name in _COMPARED if getattr(row, name) != getattr(expected, name)]:
        yield Finding(
            "list",
            read.deployment,
            f"its row in the list differs from the journal in {', '.join(differing)}; {_REBUILD}",
        )
    elif (row.due is None) > (expected.due is None):
        yield Finding("list", read.deployment, f"its row has no due time, so no core continues it; {_REBUILD}")


def _advice(row: View | None) -> str:
    if row is not None and row.ended is not None:
        return "it had ended: this may be the rest of an interrupted prune, which the next prune deletes"
    return "it cannot continue; restore the store from a backup"


def _in_the_way(new: View, old: View | None) -> bool:
    """Whether a write would leave the row as it is, or half of it. One that cannot be read is none here."""
    return old is None or old.entry > new.entry or any(getattr(old, name) != getattr(new, name) for name in _LASTING)


def _pages(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    page: list[_Item] = []
    for item in items:
        page.append(item)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
