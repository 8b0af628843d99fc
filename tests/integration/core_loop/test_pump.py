"""A thread that takes turns: it waits out what passes, and says aloud what does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from re_core.backoff import Backoff
from re_core.errors import BadSettings, BusUnavailable, StoreRefused, StoreUnavailable
from re_core.services.polling import PollingThread

#: seconds to wait for what must come
SOON = 10.0


class _Turns:
    """Does what it is told at each turn, then waits for the end."""

    def __init__(self, *errors: Exception | None) -> None:
        self._errors = list(errors)
        self.taken = 0
        self.over = threading.Event()
        self.fatal: list[Exception] = []
        self.died = threading.Event()
        self.pump = PollingThread("test", self, self.on_fatal)

    def __call__(self) -> None:
        if self.over.is_set():
            self.pump.pause(SOON)
            return
        self.taken += 1
        error = self._errors.pop(0) if self._errors else None
        if not self._errors:
            self.over.set()
        if error is not None:
            raise error

    def on_fatal(self, error: Exception) -> None:
        self.fatal.append(error)
        self.died.set()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that pumps make, none of them longer than a blink."""
    made: list[float] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is not None:
                made.append(timeout)
            return super().wait(0.001 if timeout is not None and timeout < SOON else timeout)

    monkeypatch.setattr("re_core.services.polling.threading.Event", Impatient)
    monkeypatch.setattr("re_core.services.polling.Backoff", lambda first, longest: Backoff(first, longest, lambda: 1.0))
    return made


def test_it_takes_turns_until_it_is_told_to_stop() -> None:
    turns = _Turns(None, None, None)
    assert not turns.pump.alive
    turns.pump.start()
    assert turns.over.wait(SOON) and turns.pump.alive
    turns.pump.request_stop()
    assert turns.pump.join(SOON) and not turns.pump.alive
    assert (turns.taken, turns.fatal) == (3, [])


def test_it_says_when_the_last_turn_does_not_end() -> None:
    held = threading.Event()
    turns: list[Callable[[], object]] = [lambda: held.wait(SOON)]
    pump = PollingThread("test", turns[0], lambda error: None)
    pump.start()
    pump.request_stop()
    assert pump.join(0.01) is False
    held.set()
    assert pump.join(SOON)


def test_it_waits_longer_and_longer_while_the_store_or_the_bus_is_away(waits: list[float]) -> None:
    errors = [StoreUnavailable(), BusUnavailable()] * 4
    turns = _Turns(*errors, None)
    turns.pump.start()
    assert turns.over.wait(SOON)
    turns.pump.request_stop()
    assert turns.pump.join(SOON)
    assert [one for one in waits if one < SOON] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert turns.fatal == []


def test_a_turn_that_goes_well_makes_it_patient_again(waits: list[float]) -> None:
    turns = _Turns(StoreUnavailable(), StoreUnavailable(), None, StoreUnavailable(), None)
    turns.pump.start()
    assert turns.over.wait(SOON)
    turns.pump.request_stop()
    assert turns.pump.join(SOON)
    assert [one for one in waits if one < SOON] == [0.1, 0.2, 0.1]


@pytest.mark.parametrize("error", [StoreRefused("damaged"), BadSettings("wrong"), ZeroDivisionError("a bug")])
def test_what_somebody_must_see_to_ends_it_and_is_told(error: Exception) -> None:
    turns = _Turns(None, error)
    turns.pump.start()
    assert turns.died.wait(SOON)
    assert turns.pump.join(SOON)
    assert (turns.taken, turns.fatal) == (2, [error])


def test_it_says_what_it_waits_for_until_a_turn_settles_something(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("re_core.services.polling.time.monotonic", lambda: now[0])
    steps: list[Exception | int] = [StoreUnavailable("the disk is full"), 0, 1]
    seen: list[str] = []
    over = threading.Event()

    def turn() -> int:
        seen.append(pump.trouble)
        if not steps:
            over.set()
            pump.pause(SOON)
            return 0
        step = steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    pump = PollingThread("test", turn, lambda error: None)
    pump.start()
    assert over.wait(SOON)
    pump.request_stop()
    assert pump.join(SOON)

    # a turn that finds nothing to do proves nothing, one that settles something does
    assert seen == ["", "the disk is full", "the disk is full", ""]


def test_what_it_waits_for_is_believed_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("re_core.services.polling.time.monotonic", lambda: now[0])
    turns = _Turns(StoreUnavailable("the disk is full"))
    turns.pump.start()
    assert turns.over.wait(SOON)
    turns.pump.request_stop()
    assert turns.pump.join(SOON)

    assert turns.pump.trouble == "the disk is full"
    now[0] += 60
    assert turns.pump.trouble == ""
