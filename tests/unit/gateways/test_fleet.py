"""Which runner gets a release, and what each of them has."""

from __future__ import annotations

from typing import Any

import pytest

from re_gateways.forest.fleet import MOST_TYPES, RECENT, Fleet, Registration, Session
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
def fleet(time: _Time) -> Fleet:
    return Fleet(time)


def _enter(fleet: Fleet, name: str = "build-1", **more: Any) -> Session:
    about = Registration(name, "ipv4:10.0.0.1:1000", (FLUX,), 4)._replace(**more)
    return fleet.enter(about)[0]


def _choose(fleet: Fleet, attempt: str, *excluded: str, text: str = "forest/flux@1") -> str:
    found = fleet.choose(attempt, text, excluded)
    return found[0].name if found else ""


def test_a_runner_gets_one_release_at_once_whatever_it_offers(fleet: Fleet) -> None:
    _enter(fleet)
    assert [_choose(fleet, "a"), _choose(fleet, "b")] == ["build-1", ""]
    fleet.release("build-1", "a")
    assert _choose(fleet, "b") == "build-1"


def test_a_runner_that_works_in_parallel_gets_as_many_as_its_enrolment_says(fleet: Fleet) -> None:
    _enter(fleet, parallel=2)
    assert [_choose(fleet, one) for one in "abc"] == ["build-1", "build-1", ""]


def test_the_runner_with_the_most_free_places_is_chosen(fleet: Fleet) -> None:
    _enter(fleet, "one", parallel=3)
    _enter(fleet, "two", parallel=2)
    assert [_choose(fleet, attempt) for attempt in "abcde"].count("one") == 3
    assert _choose(fleet, "f") == ""


def test_among_equals_the_one_that_waited_longest_is_chosen(fleet: Fleet, time: _Time) -> None:
    for name in ("one", "two"):
        _enter(fleet, name)
    first = _choose(fleet, "a")
    fleet.release(first, "a")
    time.now += 1
    assert {first, _choose(fleet, "b")} == {"one", "two"}


def test_a_runner_that_does_not_take_the_type_or_handed_it_back_is_not_chosen(fleet: Fleet) -> None:
    _enter(fleet)
    assert _choose(fleet, "a", text="forest/flux@2") == ""
    assert _choose(fleet, "a", "build-1") == ""


def test_the_version_that_is_sent_is_the_one_of_the_chosen_runner(fleet: Fleet) -> None:
    _enter(fleet, types=(Type("forest", "flux", 3),))
    found = fleet.choose("a", "forest/flux", ())
    assert found
    assert found[1] == Type("forest", "flux", 3)


def test_the_end_of_an_old_stream_never_touches_the_session_that_replaced_it(fleet: Fleet) -> None:
    old = _enter(fleet)
    new, replaced = fleet.enter(old.about)
    assert replaced is old
    assert new.generation > old.generation
    assert fleet.leave(old) is False
    assert fleet.session("build-1") is new
    assert fleet.gone_since("build-1") is None
    assert fleet.leave(new) is True


def test_what_a_runner_has_is_counted_across_its_sessions(fleet: Fleet) -> None:
    session = _enter(fleet)
    _choose(fleet, "a")
    fleet.leave(session)
    _enter(fleet)
    assert _choose(fleet, "b") == ""


def test_a_reserved_place_goes_to_the_claim_that_reserved_it(fleet: Fleet) -> None:
    _enter(fleet)
    assert fleet.reserve("a", "t1", "forest/flux@1")
    assert not fleet.reserve("b", "t2", "forest/flux@1")
    assert [_choose(fleet, "b"), _choose(fleet, "a")] == ["", "build-1"]


def test_a_reservation_that_came_to_nothing_frees_the_place_and_no_other(fleet: Fleet) -> None:
    _enter(fleet, parallel=2)
    fleet.reserve("a", "t1", "forest/flux")
    fleet.reserve("a", "t2", "forest/flux")
    fleet.unreserve("a", "t2")
    fleet.unreserve("a", "t2")
    assert [_choose(fleet, "b"), _choose(fleet, "c")] == ["build-1", ""]


def test_a_runner_that_executes_something_else_is_not_free(fleet: Fleet) -> None:
    session = _enter(fleet)
    fleet.beat(session, 1)
    assert _choose(fleet, "a") == ""
    assert fleet.idle_since("build-1", "a") == float("inf")
    fleet.beat(session, 0)
    assert _choose(fleet, "a") == "build-1"


def test_a_heartbeat_that_counts_a_release_which_has_just_ended_does_not_make_a_runner_busy(
    fleet: Fleet, time: _Time
) -> None:
    session = _enter(fleet)
    _choose(fleet, "a")
    fleet.hold("build-1", "a", begun=True)
    fleet.release("build-1", "a")
    fleet.beat(session, 1)
    assert _choose(fleet, "b") == "build-1"
    fleet.release("build-1", "b")
    time.now += RECENT + 1
    fleet.beat(session, 1)
    assert _choose(fleet, "c") == ""


def test_a_runner_that_may_still_work_at_a_release_is_free_after_a_heartbeat_that_says_so(fleet: Fleet) -> None:
    session = _enter(fleet)
    _choose(fleet, "a")
    fleet.hold("build-1", "a", begun=True)
    fleet.release("build-1", "a", lingers=True)
    fleet.beat(session, 1)
    assert _choose(fleet, "b") == ""
    fleet.beat(session, 0)
    assert _choose(fleet, "b") == "build-1"


def test_lanes_are_the_types_of_all_connected_runners_with_their_places(fleet: Fleet) -> None:
    _enter(fleet, "one")
    _enter(fleet, "two", parallel=2, types=(FLUX, Type("acme", "x", 5)))
    assert fleet.lanes() == {"forest/flux@1": 3, "forest/flux": 3, "acme/x@5": 2, "acme/x": 2}


def test_the_types_that_a_gateway_serves_are_bounded(fleet: Fleet) -> None:
    for number in range(MOST_TYPES):
        _enter(fleet, f"r{number}", types=tuple(Type("o", f"n{number}-{one}", 1) for one in range(4)))
    assert len(fleet.lanes()) == MOST_TYPES


def test_a_release_is_known_by_its_connection_where_that_leaves_no_doubt(fleet: Fleet) -> None:
    session = _enter(fleet, peer="ipv4:1.1.1.1:5", parallel=2)
    fleet.hold("build-1", "a", begun=True)
    assert fleet.of_peer("ipv4:1.1.1.1:5") is session
    assert fleet.only(session) == "a"
    fleet.hold("build-1", "b", begun=True)
    assert fleet.only(session) == ""
    _enter(fleet, "behind-the-same-proxy", peer="ipv4:1.1.1.1:5")
    assert fleet.of_peer("ipv4:1.1.1.1:5") is None


def test_a_runner_that_is_gone_and_has_nothing_is_forgotten(fleet: Fleet, time: _Time) -> None:
    session = _enter(fleet)
    _choose(fleet, "a")
    time.now = 150.0
    fleet.leave(session)
    assert fleet.gone_since("build-1") == 150.0
    fleet.release("build-1", "a")
    assert fleet.gone_since("build-1") is None


def test_what_waits_for_a_place_is_asked_again_when_there_is_one(time: _Time) -> None:
    calls: list[int] = []
    fleet = Fleet(time, lambda: calls.append(1))
    session = _enter(fleet)
    _choose(fleet, "a")
    before = len(calls)
    fleet.release("build-1", "a")
    assert len(calls) > before
    before = len(calls)
    fleet.leave(session)
    assert len(calls) > before


def test_only_sessions_that_were_not_heard_are_silent(fleet: Fleet, time: _Time) -> None:
    quiet, loud = _enter(fleet, "quiet"), _enter(fleet, "loud")
    time.now += 90
    fleet.heard(quiet)
    fleet.heard(loud, spoke=True)
    assert fleet.silent(90) == [quiet]
