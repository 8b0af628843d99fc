"""Rows of releases: every end is one compare-and-swap, and the first one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.rows import Release
from re_gateways.forest.release_rows import (
    LONGEST,
    SLACK,
    ReleaseOver,
    ReleaseRows,
    TokenUnknown,
    end_of,
    is_cancelling,
)
from tests.contract.places import FakeClock

NOW = 1_700_000_000_000

DONE = end_of("completion", "", NOW, "success")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "re.db")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def rows(store: SqliteStore, clock: FakeClock) -> ReleaseRows:
    return ReleaseRows(store, clock, "me")


def _assigned(rows: ReleaseRows, id: str = "d1/0/1", digest: str = "digest", timeout: float | None = 60) -> Release:
    fresh = rows.fresh(id, b"saved", {"mode": "deploy"})
    assert rows.insert(fresh)
    row = rows.assign(fresh, "build-1", 5, digest, timeout)
    assert row
    return row


def _called(rows: ReleaseRows) -> Release:
    _assigned(rows)
    return rows.call("digest")


def test_an_attempt_has_one_row_whose_insertion_may_be_repeated(rows: ReleaseRows) -> None:
    fresh = rows.fresh("d1/0/1", b"saved", {})
    assert rows.insert(fresh)
    assert rows.insert(fresh)
    assert not rows.insert(fresh._replace(saved=b"of another delivery"))


def test_the_first_call_is_the_begin_and_the_following_change_nothing(rows: ReleaseRows, clock: FakeClock) -> None:
    row = _called(rows)
    assert (row.status, row.called) == ("running", NOW)
    clock.milliseconds += 1000
    assert rows.call("digest") == row


@pytest.mark.parametrize("digest", ["", "other"])
def test_a_digest_without_a_release_is_unknown(rows: ReleaseRows, digest: str) -> None:
    _assigned(rows)
    for call in (rows.call, rows.alive, lambda one: rows.complete(one, DONE)):
        with pytest.raises(TokenUnknown):
            call(digest)


def test_a_token_lives_as_long_as_its_step_may_take_and_an_hour(rows: ReleaseRows, clock: FakeClock) -> None:
    assert _assigned(rows).expires == NOW + 60_000 + SLACK
    assert _assigned(rows, "d2/0/1", "two", None).expires == NOW + LONGEST + SLACK
    clock.milliseconds += 60_000 + SLACK - 1
    rows.call("digest")
    clock.milliseconds += 1
    with pytest.raises(TokenUnknown):
        rows.call("digest")


def test_the_token_of_a_runner_that_was_revoked_opens_nothing_and_its_completion_counts(
    store: SqliteStore, clock: FakeClock
) -> None:
    revoked: set[str] = set()
    rows = ReleaseRows(store, clock, "me", lambda name, since: name in revoked)
    _called(rows)
    revoked.add("build-1")
    with pytest.raises(TokenUnknown):
        rows.call("digest")
    assert rows.complete("digest", DONE).status == "ended"


def test_what_was_fetched_is_not_taken_back(rows: ReleaseRows) -> None:
    """The take-back and the first call meet in the row, and one of them loses."""
    assigned = _assigned(rows)
    rows.call("digest")
    assert rows.take_back(assigned) is None


def test_what_was_taken_back_is_not_fetched(rows: ReleaseRows) -> None:
    assigned = _assigned(rows)
    row = rows.take_back(assigned)
    assert row
    assert (row.status, row.token, row.runner, row.excluded) == ("waiting", "", "", ())
    with pytest.raises(TokenUnknown):
        rows.call("digest")


def test_what_is_handed_back_excludes_its_runner(rows: ReleaseRows) -> None:
    _assigned(rows)
    row = rows.hand_back("digest")
    assert row
    assert (row.status, row.excluded) == ("waiting", ("build-1",))


def test_what_has_begun_cannot_be_handed_back(rows: ReleaseRows) -> None:
    _called(rows)
    assert rows.hand_back("digest") is None
    assert rows.hand_back("other") is None


def test_a_completion_wins_against_a_verdict_that_is_later(rows: ReleaseRows) -> None:
    row = _called(rows)
    assert rows.complete("digest", DONE).end == DONE
    assert rows.end(row, "lost", "away") is None


def test_a_verdict_wins_against_a_completion_that_is_later_and_is_noted(rows: ReleaseRows) -> None:
    row = _called(rows)
    assert rows.end(row, "lost", "away")
    with pytest.raises(ReleaseOver) as over:
        rows.complete("digest", DONE)
    assert (over.value.row.end or {})["kind"] == "lost"
    assert over.value.row.late == DONE
    with pytest.raises(ReleaseOver):
        rows.complete("digest", end_of("completion", "other", NOW, "failure"))
    found = rows.get("d1/0/1")
    assert found
    assert found.late == DONE


def test_an_equal_completion_counts_whenever_it_comes_and_another_does_not(rows: ReleaseRows, clock: FakeClock) -> None:
    _called(rows)
    row = rows.complete("digest", DONE)
    clock.milliseconds += 5000
    assert rows.complete("digest", {**DONE, "at": NOW + 5000}) == row
    reported = rows.reported(row)
    assert reported
    over = rows.over(reported)
    assert over
    assert rows.complete("digest", DONE) == over
    with pytest.raises(ReleaseOver):
        rows.complete("digest", end_of("completion", "no", NOW, "failure"))


def test_a_cancel_ends_the_token_and_a_completion_after_it_is_noted(rows: ReleaseRows) -> None:
    row = rows.cancel(_called(rows), "not today")
    assert row
    assert is_cancelling(row)
    with pytest.raises(ReleaseOver):
        rows.call("digest")
    with pytest.raises(ReleaseOver):
        rows.complete("digest", DONE)
    noted = rows.get("d1/0/1")
    assert noted
    assert (noted.status, noted.late) == ("running", DONE)


@pytest.mark.parametrize(
    "act",
    [
        lambda rows, row: rows.end(row, "failed", ""),
        lambda rows, row: rows.cancel(row, ""),
        lambda rows, row: rows.hand_over(row, "other"),
        lambda rows, row: rows.over(row),
        lambda rows, row: rows.reported(row),
        lambda rows, row: rows.assign(row, "x", 1, "y", 1),
    ],
)
def test_a_change_of_a_row_that_was_changed_meanwhile_does_nothing(
    rows: ReleaseRows, act: Callable[[ReleaseRows, Release], Any]
) -> None:
    old = _assigned(rows)
    new = rows.call("digest")
    assert act(rows, old) is None
    assert rows.get("d1/0/1") == new


def test_the_attempts_of_a_step_are_found_and_no_others(rows: ReleaseRows) -> None:
    assigned = [_assigned(rows, id, id) for id in ("d1/0/1", "d1/0/2", "d1/1/1", "d2/0/1")]
    assert rows.of_step(assigned[0]) == assigned[:2]
