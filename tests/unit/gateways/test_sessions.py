"""Which runner gets a release, and what each of them has."""

from __future__ import annotations

from typing import Any

import pytest

from re_gateways.forest.sessions import FORGOTTEN, MOST_TYPES, RECENT, Registration, Session, Sessions
from re_gateways.forest.types import Type

FLUX = Type("forest", "flux", 1)


class _Time:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> _Time:
    return _Time()


@pytest.fixture
def sessions(time: _Time) -> Sessions:
    return Sessions(time)


def _enter(sessions: Sessions, name: str = "build-1", **more: Any) -> Session:
    about = Registration(name, "ipv4:10.0.0.1:1000", (FLUX,), 4)._replace(**more)
    return sessions.enter(about)[0]


def _choose(sessions: Sessions, attempt: str, *excluded: str, text: str = "forest/flux@1") -> str:
    found = sessions.choose(attempt, text, excluded)
    return found[0].name if found else ""


def test_a_runner_gets_one_release_at_once_whatever_it_offers(sessions: Sessions) -> None:
    _enter(sessions)
    assert [_choose(sessions, "a"), _choose(sessions, "b")] == ["build-1", ""]
    sessions.release("build-1", "a")
    assert _choose(sessions, "b") == "build-1"


def test_a_runner_that_works_in_parallel_gets_as_many_as_its_enrolment_says(sessions: Sessions) -> None:
    _enter(sessions, parallel=2)
    assert [_choose(sessions, one) for one in "abc"] == ["build-1", "build-1", ""]


def test_the_runner_with_the_most_free_places_is_chosen(sessions: Sessions) -> None:
    _enter(sessions, "one", parallel=3)
    _enter(sessions, "two", parallel=2)
    assert [_choose(sessions, attempt) for attempt in "abcde"].count("one") == 3
    assert _choose(sessions, "f") == ""


def test_among_equals_the_one_that_waited_longest_is_chosen(sessions: Sessions, time: _Time) -> None:
    for name in ("one", "two"):
        _enter(sessions, name)
    first = _choose(sessions, "a")
    sessions.release(first, "a")
    time.now += 1
    assert {first, _choose(sessions, "b")} == {"one", "two"}


def test_a_runner_that_does_not_take_the_type_or_handed_it_back_is_not_chosen(sessions: Sessions) -> None:
    _enter(sessions)
    assert _choose(sessions, "a", text="forest/flux@2") == ""
    assert _choose(sessions, "a", "build-1") == ""


def test_the_version_that_is_sent_is_the_one_of_the_chosen_runner(sessions: Sessions) -> None:
    _enter(sessions, types=(Type("forest", "flux", 3),))
    found = sessions.choose("a", "forest/flux", ())
    assert found
    assert found[1] == Type("forest", "flux", 3)


def test_the_end_of_an_old_stream_never_touches_the_session_that_replaced_it(sessions: Sessions) -> None:
    old = _enter(sessions)
    new, replaced = sessions.enter(old.about)
    assert replaced is old
    assert new.generation > old.generation
    assert sessions.leave(old) is False
    assert sessions.session("build-1") is new
    assert sessions.gone_since("build-1") is None
    assert sessions.leave(new) is True


def test_what_a_runner_has_is_counted_across_its_sessions(sessions: Sessions) -> None:
    session = _enter(sessions)
    _choose(sessions, "a")
    sessions.leave(session)
    _enter(sessions)
    assert _choose(sessions, "b") == ""


def test_a_reserved_place_goes_to_the_claim_that_reserved_it(sessions: Sessions) -> None:
    _enter(sessions)
    assert sessions.reserve("a", "t1", "forest/flux@1")
    assert not sessions.reserve("b", "t2", "forest/flux@1")
    assert [_choose(sessions, "b"), _choose(sessions, "a")] == ["", "build-1"]


def test_a_reservation_that_came_to_nothing_frees_the_place_and_no_other(sessions: Sessions) -> None:
    _enter(sessions, parallel=2)
    sessions.reserve("a", "t1", "forest/flux")
    sessions.reserve("a", "t2", "forest/flux")
    sessions.unreserve("a", "t2")
    sessions.unreserve("a", "t2")
    assert [_choose(sessions, "b"), _choose(sessions, "c")] == ["build-1", ""]


def test_a_runner_that_executes_something_else_is_not_free(sessions: Sessions) -> None:
    session = _enter(sessions)
    sessions.beat(session, 1)
    assert _choose(sessions, "a") == ""
    assert sessions.idle_since("build-1", "a") == float("inf")
    sessions.beat(session, 0)
    assert _choose(sessions, "a") == "build-1"


def test_a_heartbeat_that_counts_a_release_which_has_just_ended_does_not_make_a_runner_busy(
    sessions: Sessions, time: _Time
) -> None:
    session = _enter(sessions)
    _choose(sessions, "a")
    sessions.hold("build-1", "a", begun=True)
    sessions.release("build-1", "a")
    sessions.beat(session, 1)
    assert _choose(sessions, "b") == "build-1"
    sessions.release("build-1", "b")
    time.now += RECENT + 1
    sessions.beat(session, 1)
    assert _choose(sessions, "c") == ""


def test_a_runner_that_may_still_work_at_a_release_is_free_after_a_heartbeat_that_says_so(sessions: Sessions) -> None:
    session = _enter(sessions)
    _choose(sessions, "a")
    sessions.hold("build-1", "a", begun=True)
    sessions.release("build-1", "a", lingers=True)
    sessions.beat(session, 1)
    assert _choose(sessions, "b") == ""
    sessions.beat(session, 0)
    assert _choose(sessions, "b") == "build-1"


def test_lanes_are_the_types_of_all_connected_runners_with_their_places(sessions: Sessions) -> None:
    _enter(sessions, "one")
    _enter(sessions, "two", parallel=2, types=(FLUX, Type("acme", "x", 5)))
    assert sessions.lanes() == {"forest/flux@1": 3, "forest/flux": 3, "acme/x@5": 2, "acme/x": 2}


def test_claims_that_wait_for_a_runner_leave_their_slots_to_as_many_others(sessions: Sessions) -> None:
    _enter(sessions, parallel=2)
    text = "forest/flux@1"
    for at in range(3):
        sessions.wait(f"d{at}/0/1", text)
    assert sessions.lanes()[text] == 4
    sessions.stop_waiting("d0/0/1")
    sessions.stop_waiting("d1/0/1")
    assert sessions.lanes()[text] == 3
    assert sessions.choose("d2/0/1", text, ()) is not None
    assert sessions.lanes()[text] == 2


def test_the_types_that_a_gateway_serves_are_bounded(sessions: Sessions) -> None:
    for number in range(MOST_TYPES):
        _enter(sessions, f"r{number}", types=tuple(Type("o", f"n{number}-{one}", 1) for one in range(4)))
    assert len(sessions.lanes()) == MOST_TYPES


def test_a_release_is_known_by_its_connection_where_that_leaves_no_doubt(sessions: Sessions) -> None:
    session = _enter(sessions, peer="ipv4:1.1.1.1:5", parallel=2)
    sessions.hold("build-1", "a", begun=True)
    assert sessions.of_peer("ipv4:1.1.1.1:5") is session
    assert sessions.only(session) == "a"
    sessions.hold("build-1", "b", begun=True)
    assert sessions.only(session) == ""
    _enter(sessions, "behind-the-same-proxy", peer="ipv4:1.1.1.1:5")
    assert sessions.of_peer("ipv4:1.1.1.1:5") is None


def test_a_runner_that_is_gone_and_has_nothing_is_forgotten(sessions: Sessions, time: _Time) -> None:
    session = _enter(sessions)
    _choose(sessions, "a")
    time.now = 150.0
    sessions.leave(session)
    assert sessions.gone_since("build-1") == 150.0
    sessions.release("build-1", "a")
    assert sessions.gone_since("build-1") is None


def test_a_runner_that_never_comes_back_is_forgotten_after_a_day(sessions: Sessions, time: _Time) -> None:
    session = _enter(sessions)
    _choose(sessions, "a")
    sessions.leave(session)
    sessions.release("build-1", "a", lingers=True)
    assert sessions.gone_since("build-1") is not None
    time.now += FORGOTTEN
    _enter(sessions, "another")
    assert sessions.gone_since("build-1") is None


def test_what_waits_for_a_place_is_asked_again_when_there_is_one(time: _Time) -> None:
    calls: list[int] = []
    sessions = Sessions(time, lambda: calls.append(1))
    session = _enter(sessions)
    _choose(sessions, "a")
    before = len(calls)
    sessions.release("build-1", "a")
    assert len(calls) > before
    before = len(calls)
    sessions.leave(session)
    assert len(calls) > before


def test_only_sessions_that_were_not_heard_are_silent(sessions: Sessions, time: _Time) -> None:
    quiet, loud = _enter(sessions, "quiet"), _enter(sessions, "loud")
    time.now += 90
    sessions.heard(quiet)
    sessions.heard(loud, spoke=True)
    assert sessions.silent(90) == [quiet]
