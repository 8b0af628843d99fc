"""Whose turn it is to try a password."""

from __future__ import annotations

import threading

import pytest

from re_workers.hosts.refusals import REFUSED_FOR, TAKEN_FOR, Refusals


class _Unwanted(Exception):
    """A session does not wait for its turn any more."""


def _unwanted() -> None:
    raise _Unwanted


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _may_try(refusals: Refusals, what: str, session: object) -> bool:
    """Whether it may at once."""
    looks = iter((lambda: None, _unwanted))
    try:
        refusals.take_turn(what, session, lambda: next(looks)())
    except _Unwanted:
        return False
    return True


def test_one_session_tries_a_password_until_it_is_known_and_again_some_time_after() -> None:
    clock = _Clock()
    refusals = Refusals(clock)
    assert _may_try(refusals, "a", 1)
    assert not _may_try(refusals, "a", 2)
    assert _may_try(refusals, "b", 3), "another host's, or another password"
    refusals.end_turn("a", 2)
    assert not _may_try(refusals, "a", 4), "only the session whose turn it is ends it"
    refusals.end_turn("a", 1)
    assert _may_try(refusals, "a", 4), "a session that was cut says nothing of the password"
    refusals.end_turn("a", 4, taken=True)
    assert [_may_try(refusals, "a", one) for one in (5, 6)] == [True, True]
    clock.now += TAKEN_FOR
    assert [_may_try(refusals, "a", one) for one in (7, 8)] == [True, False], "it may have been changed there"
    refusals.end_turn("a", 7, taken=True)
    refusals.note("a", "wrong")
    assert [_may_try(refusals, "a", one) for one in (8, 9)] == [True, False], (
        "what was refused is not known to be right"
    )
    assert refusals.why("a") == "wrong"
    clock.now += REFUSED_FOR
    assert refusals.why("a") == ""


def test_what_waits_goes_on_when_the_turn_ends_and_leaves_when_it_is_not_wanted() -> None:
    refusals, wanted, went = Refusals(), threading.Event(), list[str]()
    wanted.set()

    def check() -> None:
        if not wanted.is_set():
            raise _Unwanted

    def wait(name: str, look: object) -> None:
        try:
            refusals.take_turn("a", name, look)  # type: ignore[arg-type]
            went.append(name)
        except _Unwanted:
            went.append(f"{name} left")

    refusals.take_turn("a", "first", check)
    stopped = threading.Thread(target=wait, args=("stopped", check))
    patient = threading.Thread(target=wait, args=("patient", lambda: None))
    stopped.start()
    patient.start()
    wanted.clear()
    stopped.join(30)
    assert went == ["stopped left"]
    refusals.end_turn("a", "first")
    patient.join(30)
    assert went == ["stopped left", "patient"]
    with pytest.raises(_Unwanted):
        refusals.take_turn("a", "late", check)
