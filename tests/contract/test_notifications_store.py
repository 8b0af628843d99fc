"""Store: the list of notifications that were sent or failed."""

from __future__ import annotations

import pytest

from re_core.ports import NotifiedFilter, Store
from re_core.wire.notified import Notified

EVERY = NotifiedFilter()


def row(id: str, at: int = 5, **changes: object) -> Notified:
    one = Notified(
        id, f"{id}/n", "irc", ("#a", "b"), "failed", "a slug", "sent", "", 1, at, 0, "d1", "web", "site", "w"
    )
    return one._replace(**changes)  # type: ignore[arg-type]


def ids(store: Store, wanted: NotifiedFilter = EVERY, limit: int = 100, before: str = "") -> list[str]:
    return [one.id for one in store.notified(wanted, limit, before)]


def test_a_row_is_kept_whole_and_once(store: Store) -> None:
    whole = row("a", outcome="failed", why="away \N{SNOWMAN}", tries=4, together=7)
    store.add_notified([whole])
    store.add_notified([whole._replace(why="other"), row("b")])
    assert store.notified(EVERY, 10) == [row("b"), whole]


def test_rows_come_newest_first_page_by_page(store: Store) -> None:
    store.add_notified([row(id) for id in "badc"])
    assert ids(store, limit=3) == ["d", "c", "b"]
    assert ids(store, limit=3, before="b") == ["a"]
    assert ids(store, limit=0) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (NotifiedFilter(groups=("web",)), ["d", "a"]),
        (NotifiedFilter(groups=("db", "web")), ["d", "b", "a"]),
        (NotifiedFilter(groups=()), []),
        (NotifiedFilter(deployment="d2"), ["d", "b"]),
        (NotifiedFilter(outcome="failed", transport="email"), ["b"]),
        (NotifiedFilter(groups=("web",), deployment="d2"), ["d"]),
        (EVERY, ["d", "c", "b", "a"]),
    ],
)
def test_only_what_is_wanted_is_found(store: Store, wanted: NotifiedFilter, found: list[str]) -> None:
    store.add_notified(
        [
            row("a"),
            row("b", group="db", deployment="d2", outcome="failed", transport="email"),
            row("c", group="", deployment="", transport="email"),
            row("d", deployment="d2", outcome="failed"),
        ]
    )
    assert ids(store, wanted) == found


def test_old_rows_and_those_beyond_the_newest_are_dropped(store: Store) -> None:
    store.add_notified([row(f"{number}", at=number) for number in range(8)])
    assert store.trim_notified(0, 10) == 0
    assert store.trim_notified(3, 10) == 3
    assert store.trim_notified(3, 2) == 3
    assert ids(store) == ["7", "6"]
