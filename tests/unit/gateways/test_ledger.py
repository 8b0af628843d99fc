"""Rows of releases: every end is one compare-and-swap, whoever is first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from re_core.adapters.sqlite import SqliteStore
from re_core.rows import Release
from re_gateways.forest.ledger import LONGEST, SLACK, Ledger, ReleaseOver, TokenUnknown, end_of, is_cancelling
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
def ledger(store: SqliteStore, clock: FakeClock) -> Ledger:
    return Ledger(store, clock, "me")


def _assigned(ledger: Ledger, id: str = "d1/0/1", digest: str = "digest", timeout: float | None = 60) -> Release:
    fresh = ledger.fresh(id, b"saved", {"mode": "deploy"})
    assert ledger.insert(fresh)
    row = ledger.assign(fresh, "build-1", 5, digest, timeout)
    assert row
    return row


def _called(ledger: Ledger) -> Release:
    _assigned(ledger)
    return ledger.call("digest")


def test_an_attempt_has_one_row_whose_insertion_may_be_repeated(ledger: Ledger) -> None:
    fresh = ledger.fresh("d1/0/1", b"saved", {})
    assert ledger.insert(fresh)
    assert ledger.insert(fresh)
    assert not ledger.insert(fresh._replace(saved=b"of another delivery"))


def test_the_first_call_is_the_begin_and_the_following_change_nothing(ledger: Ledger, clock: FakeClock) -> None:
    row = _called(ledger)
    assert (row.status, row.called) == ("running", NOW)
    clock.milliseconds += 1000
    assert ledger.call("digest") == row


@pytest.mark.parametrize("digest", ["", "other"])
def test_a_digest_without_a_release_is_unknown(ledger: Ledger, digest: str) -> None:
    _assigned(ledger)
    for call in (ledger.call, ledger.alive, lambda one: ledger.complete(one, DONE)):
        with pytest.raises(TokenUnknown):
            call(digest)


def test_a_token_lives_as_long_as_its_step_may_take_and_an_hour(ledger: Ledger, clock: FakeClock) -> None:
    assert _assigned(ledger).expires == NOW + 60_000 + SLACK
    assert _assigned(ledger, "d2/0/1", "two", None).expires == NOW + LONGEST + SLACK
    clock.milliseconds += 60_000 + SLACK - 1
    ledger.call("digest")
    clock.milliseconds += 1
    with pytest.raises(TokenUnknown):
        ledger.call("digest")


def test_the_token_of_a_runner_that_was_revoked_opens_nothing_and_its_completion_counts(
    store: SqliteStore, clock: FakeClock
) -> None:
    revoked: set[str] = set()
    ledger = Ledger(store, clock, "me", lambda name, since: name in revoked)
    _called(ledger)
    revoked.add("build-1")
    with pytest.raises(TokenUnknown):
        ledger.call("digest")
    assert ledger.complete("digest", DONE).status == "ended"


def test_what_was_fetched_is_not_taken_back(ledger: Ledger) -> None:
    """The take-back and the first call meet in the row, and one of them loses."""
    assigned = _assigned(ledger)
    ledger.call("digest")
    assert ledger.take_back(assigned) is None


def test_what_was_taken_back_is_not_fetched(ledger: Ledger) -> None:
    assigned = _assigned(ledger)
    row = ledger.take_back(assigned)
    assert row
    assert (row.status, row.token, row.runner, row.excluded) == ("waiting", "", "", ())
    with pytest.raises(TokenUnknown):
        ledger.call("digest")


def test_what_is_handed_back_excludes_its_runner(ledger: Ledger) -> None:
    _assigned(ledger)
    row = ledger.hand_back("digest")
    assert row
    assert (row.status, row.excluded) == ("waiting", ("build-1",))


def test_what_has_begun_cannot_be_handed_back(ledger: Ledger) -> None:
    _called(ledger)
    assert ledger.hand_back("digest") is None
    assert ledger.hand_back("other") is None


def test_a_completion_wins_against_a_verdict_that_is_later(ledger: Ledger) -> None:
    row = _called(ledger)
    assert ledger.complete("digest", DONE).end == DONE
    assert ledger.end(row, "lost", "away") is None


def test_a_verdict_wins_against_a_completion_that_is_later_and_is_noted(ledger: Ledger) -> None:
    row = _called(ledger)
    assert ledger.end(row, "lost", "away")
    with pytest.raises(ReleaseOver) as over:
        ledger.complete("digest", DONE)
    assert (over.value.row.end or {})["kind"] == "lost"
    assert over.value.row.late == DONE
    with pytest.raises(ReleaseOver):
        ledger.complete("digest", end_of("completion", "other", NOW, "failure"))
    found = ledger.get("d1/0/1")
    assert found
    assert found.late == DONE


def test_an_equal_completion_counts_whenever_it_comes_and_another_does_not(ledger: Ledger, clock: FakeClock) -> None:
    _called(ledger)
    row = ledger.complete("digest", DONE)
    clock.milliseconds += 5000
    assert ledger.complete("digest", {**DONE, "at": NOW + 5000}) == row
    reported = ledger.reported(row)
    assert reported
    over = ledger.over(reported)
    assert over
    assert ledger.complete("digest", DONE) == over
    with pytest.raises(ReleaseOver):
        ledger.complete("digest", end_of("completion", "no", NOW, "failure"))


def test_a_cancel_ends_the_token_and_a_completion_after_it_is_noted(ledger: Ledger) -> None:
    row = ledger.cancel(_called(ledger), "not today")
    assert row
    assert is_cancelling(row)
    with pytest.raises(ReleaseOver):
        ledger.call("digest")
    with pytest.raises(ReleaseOver):
        ledger.complete("digest", DONE)
    noted = ledger.get("d1/0/1")
    assert noted
    assert (noted.status, noted.late) == ("running", DONE)


@pytest.mark.parametrize(
    "act",
    [
        lambda ledger, row: ledger.end(row, "failed", ""),
        lambda ledger, row: ledger.cancel(row, ""),
        lambda ledger, row: ledger.hand_over(row, "other"),
        lambda ledger, row: ledger.over(row),
        lambda ledger, row: ledger.reported(row),
        lambda ledger, row: ledger.assign(row, "x", 1, "y", 1),
    ],
)
def test_a_change_of_a_row_that_was_changed_meanwhile_does_nothing(
    ledger: Ledger, act: Callable[[Ledger, Release], Any]
) -> None:
    old = _assigned(ledger)
    new = ledger.call("digest")
    assert act(ledger, old) is None
    assert ledger.get("d1/0/1") == new


def test_the_attempts_of_a_step_are_found_and_no_others(ledger: Ledger) -> None:
    rows = [_assigned(ledger, id, id) for id in ("d1/0/1", "d1/0/2", "d1/1/1", "d2/0/1")]
    assert ledger.of_step(rows[0]) == rows[:2]
