"""Views: the list of deployments, newest first, page by page."""

from __future__ import annotations

import pytest

from re_core.errors import BadDocument
from re_core.model import DeploymentStatus
from re_core.ports import Store, ViewFilter
from tests.contract.samples import view

EVERYTHING = ViewFilter()


def _ids(store: Store, wanted: ViewFilter = EVERYTHING, limit: int = 100) -> list[str]:
    return [one.id for one in store.views(wanted, limit).rows]


def test_views_come_newest_first_and_those_of_one_moment_by_id(store: Store) -> None:
    store.write_views([view("b", 2), view("d", 3), view("a", 1), view("c", 2)])
    assert _ids(store) == ["d", "c", "b", "a"]


def test_a_view_comes_back_as_it_was_written(store: Store) -> None:
    ended = view("a", status=DeploymentStatus.FAILED, ended=9, due=None, reason="because", done=2)
    open_one = view("b", due=77)
    store.write_views([ended, open_one])
    rows = store.views(EVERYTHING, 10).rows
    assert rows == [open_one, ended]
    assert isinstance(rows[0].status, DeploymentStatus)


def test_a_newer_summary_replaces_and_an_older_one_never_does(store: Store) -> None:
    store.write_views([view("a", entry=3, done=1)])
    store.write_views([view("a", entry=2, done=0)])
    assert store.views(EVERYTHING, 10).rows == [view("a", entry=3, done=1)]
    newer = view("a", entry=4, done=3, status=DeploymentStatus.COMPLETED, ended=8)
    store.write_views([newer, view("a", entry=1)])
    assert store.views(EVERYTHING, 10).rows == [newer]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (ViewFilter(groups=("red",)), ["6", "4", "2"]),
        (ViewFilter(groups=("red", "blue", "red")), ["6", "5", "4", "3", "2", "1"]),
        (ViewFilter(groups=()), []),
        (ViewFilter(groups=("nobody",)), []),
        (ViewFilter(playbook_id="p-2"), ["6", "3"]),
        (ViewFilter(playbook_id="p-2", groups=("blue",)), ["3"]),
        (ViewFilter(playbook_id="p-2", groups=()), []),
        (ViewFilter(statuses=(DeploymentStatus.COMPLETED,)), ["5", "1"]),
        (ViewFilter(statuses=(DeploymentStatus.COMPLETED, DeploymentStatus.FAILED)), ["5", "3", "1"]),
        (ViewFilter(statuses=(DeploymentStatus.RUNNING,), groups=("red",), user="eve"), ["6", "4"]),
        (ViewFilter(statuses=(DeploymentStatus.RUNNING,), playbook_id="p-2"), ["6"]),
        (ViewFilter(user="eve"), ["6", "5", "4"]),
        (ViewFilter(user="' OR 1=1 --"), []),
        (ViewFilter(since=4), ["6", "5", "4"]),
        (ViewFilter(since=10**30), []),
        (ViewFilter(since=2, user="ada"), ["3", "2"]),
    ],
)
def test_a_filter_finds_what_it_names(store: Store, wanted: ViewFilter, ids: list[str]) -> None:
    completed, failed, running = DeploymentStatus.COMPLETED, DeploymentStatus.FAILED, DeploymentStatus.RUNNING
    statuses = {1: completed, 3: failed, 5: completed}
    store.write_views(
        [
            view(
                str(number),
                number,
                group="red" if number % 2 == 0 else "blue",
                playbook_id="p-2" if number % 3 == 0 else "p-1",
                status=statuses.get(number, running),
                ended=number if number in statuses else None,
                user="eve" if number > 3 else "ada",
            )
            for number in range(1, 7)
        ]
    )
    assert _ids(store, wanted) == ids


@pytest.mark.parametrize("wanted", [EVERYTHING, ViewFilter(groups=("team", "other"))])
def test_paging_meets_every_row_once_while_new_ones_are_inserted(store: Store, wanted: ViewFilter) -> None:
    groups = ["team", "other"]
    store.write_views([view(f"{n:03d}", n // 3, group=groups[n % 2]) for n in range(50)])
    seen: list[str] = []
    cursor = ""
    for turn in range(100):
        page = store.views(wanted, 7, cursor)
        assert len(page.rows) <= 7
        seen += [one.id for one in page.rows]
        store.write_views([view(f"new {turn}", 1000 + turn), view(seen[0], 16, entry=2 + turn)])
        if page.next is None:
            break
        cursor = page.next
    assert seen == [f"{number:03d}" for number in reversed(range(50))]


def test_a_page_that_holds_the_last_row_has_no_next(store: Store) -> None:
    store.write_views([view("a"), view("b")])
    assert store.views(EVERYTHING, 2).next is None
    assert store.views(EVERYTHING, 1).next is not None


@pytest.mark.parametrize(
    "cursor", ["x", "!!!!", "ä", "\ud800", "W10", "WzFd", "WyJhIiwgMV0", "eyJhIjogMX0", "MQ", "bnVsbA", "A" * 100_000]
)
def test_a_cursor_that_is_none_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadDocument) as caught:
        store.views(EVERYTHING, 10, cursor)
    assert caught.value.problems[0].path == "/cursor"


def test_active_ones_are_those_that_have_not_ended_oldest_first(store: Store) -> None:
    completed = DeploymentStatus.COMPLETED
    store.write_views([view("c", 3), view("b", 2, status=completed, ended=5), view("a", 1)])
    assert store.active() == ["a", "c"]
    store.write_views([view("a", 1, 2, status=completed, ended=5)])
    assert store.active() == ["c"]


def test_due_ones_come_longest_due_first(store: Store) -> None:
    store.write_views([view("a", due=30), view("b", due=10), view("c", due=20), view("d", due=None)])
    assert store.due(20, 10) == ["b", "c"]
    assert store.due(100, 2) == ["b", "c"]
    assert store.due(9, 10) == []


def test_a_row_says_what_its_deployment_was_started_with(store: Store) -> None:
    store.write_views([view("d1", revision=3, dynamic='{"version":"1.4.2"}'), view("d2")])
    found = {row.id: (row.revision, row.dynamic) for row in store.views(ViewFilter(), 10).rows}
    assert found == {"d1": (3, '{"version":"1.4.2"}'), "d2": (0, "")}


def test_a_row_of_an_older_engine_gets_what_it_lacks_with_the_next_entry(store: Store) -> None:
    store.write_views([view("d1")])
    store.write_views([view("d1", entry=2, revision=3, dynamic="{}")])
    (row,) = store.views(ViewFilter(), 10).rows
    assert (row.revision, row.dynamic) == (3, "{}")
