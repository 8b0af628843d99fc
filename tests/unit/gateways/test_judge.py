"""Each row of the table of what happens to a release, as the judge sees it."""

from __future__ import annotations

from typing import Any

import pytest

from re_gateways.forest.judge import Beat, Evidence, HalfClosed, SessionView, judge

_UP = SessionView(7, heard=0.0)


def _seen(**changes: Any) -> Evidence:
    """Assigned at 0 to a runner whose session 7 is up."""
    return Evidence(assigned=0.0, idle=0.0, session=_UP, calm=-1000.0)._replace(**changes)


def _running(**changes: Any) -> Evidence:
    """Fetched at 10 by the runner of session 7."""
    return _seen(called=10.0, active=10.0, held_by=7)._replace(**changes)


def _kind(seen: Evidence, now: float) -> str:
    conclusion = judge(seen, now)
    return conclusion.kind if conclusion else ""


# assigned, no call with the token for 120 s while the runner is idle: taken back


def test_an_assignment_that_was_not_fetched_for_120_s_is_taken_back() -> None:
    assert (_kind(_seen(), 119.9), _kind(_seen(), 120.0)) == ("", "take back")


def test_the_120_s_begin_when_the_runner_has_nothing_else_to_do() -> None:
    assert (_kind(_seen(idle=100.0), 219.9), _kind(_seen(idle=100.0), 220.0)) == ("", "take back")
    assert _kind(_seen(idle=float("inf")), 10_000.0) == ""


def test_what_was_fetched_is_never_taken_back() -> None:
    assert _kind(_running(), 10_000.0) == ""


def test_an_assignment_of_a_runner_that_is_gone_is_taken_back_after_5_s() -> None:
    gone = _seen(session=None, gone=20.0)
    assert (_kind(gone, 24.9), _kind(gone, 25.0)) == ("", "take back")


# half-closed logs without completion for 5 s: failed


def _closed(heard: float, generation: int = 7, **changes: Any) -> Evidence:
    session = SessionView(generation, heard)
    return _running(half_closed=HalfClosed(50.0, 7), session=session, **changes)


def test_closed_logs_without_completion_for_5_s_are_a_failure_while_the_runner_is_there() -> None:
    assert (_kind(_closed(51.0), 54.9), _kind(_closed(51.0), 55.0)) == ("", "failed")


def test_a_stream_that_is_up_10_s_later_has_answered_pings() -> None:
    assert (_kind(_closed(49.0), 59.9), _kind(_closed(49.0), 60.0)) == ("", "failed")


def test_closed_logs_of_a_runner_that_is_gone_may_be_a_broken_connection() -> None:
    gone = _closed(51.0)._replace(session=None, gone=50.0)
    assert (_kind(gone, 139.9), _kind(gone, 140.0)) == ("", "lost")


def test_closed_logs_before_a_new_session_may_be_a_broken_connection() -> None:
    assert _kind(_closed(51.0, generation=8), 10_000.0) == ""


def test_logs_that_are_open_again_are_not_closed() -> None:
    assert _kind(_closed(51.0, logs=1), 55.0) == ""


# two heartbeats in a row with 0 active after the first call: failed


def _beats(first: Beat, second: Beat, generation: int = 7) -> SessionView:
    return SessionView(generation, second.at, (first, second))


def test_two_heartbeats_of_0_after_the_first_call_are_a_failure() -> None:
    seen = _running(session=_beats(Beat(30.0, 0), Beat(60.0, 0)))
    assert (_kind(seen, 64.9), _kind(seen, 65.0)) == ("", "failed")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Beat(30.0, 1), Beat(60.0, 0)),
        (Beat(30.0, 0), Beat(60.0, 1)),
        (Beat(9.0, 0), Beat(39.0, 0)),
        (Beat(59.0, 0), Beat(60.0, 0)),
    ],
    ids=["first busy", "second busy", "first before the call", "read together"],
)
def test_other_heartbeats_say_nothing(first: Beat, second: Beat) -> None:
    assert _kind(_running(session=_beats(first, second)), 80.0) == ""


def test_heartbeats_of_0_say_nothing_where_the_runner_has_called_since() -> None:
    assert _kind(_running(session=_beats(Beat(30.0, 0), Beat(60.0, 0)), active=31.0), 80.0) == ""


def test_a_runner_that_comes_back_without_the_release_has_lost_it() -> None:
    seen = _running(session=_beats(Beat(30.0, 0), Beat(60.0, 0), generation=8))
    conclusion = judge(seen, 65.0)
    assert conclusion
    assert (conclusion.kind, "came back without the release" in conclusion.text) == ("lost", True)


def test_a_runner_that_comes_back_with_the_release_is_awaited() -> None:
    assert _kind(_running(session=_beats(Beat(30.0, 1), Beat(60.0, 1), generation=8)), 10_000.0) == ""


# the stream ends after the first call: 90 s, or while its logs are open, then lost


def test_a_runner_that_is_gone_has_90_s() -> None:
    gone = _running(session=None, gone=100.0)
    assert (_kind(gone, 189.9), _kind(gone, 190.0)) == ("", "lost")


def test_a_runner_whose_logs_are_open_is_awaited() -> None:
    assert _kind(_running(session=None, gone=100.0, logs=1), 10_000.0) == ""


def test_after_a_restart_of_the_gateway_a_runner_that_did_not_come_back_is_awaited() -> None:
    assert _kind(_running(session=None, gone=None, held_by=0), 10_000.0) == ""


# a completion comes first, and a pause of the gateway proves nothing


def test_while_a_completion_is_stored_there_is_no_verdict() -> None:
    for seen in (_seen(), _closed(51.0), _running(session=None, gone=10.0), _running(cancelled=20.0)):
        assert _kind(seen._replace(completing=True), 10_000.0) == ""


@pytest.mark.parametrize(
    "seen",
    [_closed(51.0), _running(session=None, gone=10.0), _running(session=_beats(Beat(30.0, 0), Beat(60.0, 0)))],
    ids=["logs", "gone", "beats"],
)
def test_after_a_pause_of_the_gateway_what_has_arrived_is_read_before_any_verdict(seen: Evidence) -> None:
    assert _kind(seen._replace(calm=200.0), 204.9) == ""


def test_heartbeats_that_were_read_before_a_pause_are_not_counted() -> None:
    assert _kind(_running(session=_beats(Beat(30.0, 0), Beat(60.0, 0)), calm=61.0), 200.0) == ""


# a step is cancelled


def test_a_cancelled_release_that_was_not_fetched_is_cancelled_at_once() -> None:
    assert _kind(_seen(cancelled=20.0), 20.0) == "cancelled"


def test_a_cancelled_release_that_runs_is_lost_after_20_s() -> None:
    seen = _running(cancelled=20.0)
    assert (_kind(seen, 39.9), _kind(seen, 40.0)) == ("", "lost")
    conclusion = judge(seen, 40.0)
    assert conclusion
    assert "may still be working" in conclusion.text


def test_a_cancelled_release_whose_logs_are_closed_in_order_has_ended() -> None:
    seen = _closed(51.0)._replace(cancelled=49.0)
    assert (_kind(seen, 54.9), _kind(seen, 55.0)) == ("", "cancelled")


def test_a_cancelled_release_whose_runner_disconnects_may_still_be_worked_at() -> None:
    seen = _closed(51.0)._replace(cancelled=49.0, session=None, gone=50.0)
    assert (_kind(seen, 60.0), _kind(seen, 69.0)) == ("", "lost")
