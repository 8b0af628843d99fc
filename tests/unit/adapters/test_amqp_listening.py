"""Whether anything hears a key: one message asks, and its answer stands for a second, or until one comes back."""

from __future__ import annotations

import pytest

from re_core.adapters.amqp import listening
from re_core.adapters.amqp.listening import KEYS, UNBOUND_LIFE, Listening
from re_core.ports import Published
from re_core.wire.messages import Message

ENDED, ACCEPTED = "event.deployment.ended", "event.deployment.accepted"


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(listening, "time", clock)
    return clock


@pytest.fixture
def heard(clock: Clock) -> Listening:
    return Listening("p", "re", lambda _, __: None)


def _note(heard: Listening, key: str, outcome: Published) -> None:
    heard.note([Message(key, b"{}", "id")], [outcome])


def test_while_nothing_is_bound_one_message_a_second_asks(heard: Listening, clock: Clock) -> None:
    for _ in range(3):
        assert [heard.listened(ENDED) for _ in range(4)] == [True, False, False, False]
        _note(heard, ENDED, Published.UNROUTABLE)
        assert not heard.listened(ENDED)
        clock.now += UNBOUND_LIFE


def test_once_a_message_was_taken_all_are_published_until_one_comes_back(heard: Listening) -> None:
    assert heard.listened(ENDED)
    _note(heard, ENDED, Published.TAKEN)
    assert [heard.listened(ENDED) for _ in range(3)] == [True] * 3
    _note(heard, ENDED, Published.UNROUTABLE)
    assert not heard.listened(ENDED)


def test_a_key_says_nothing_of_another(heard: Listening) -> None:
    assert heard.listened(ACCEPTED)
    _note(heard, ACCEPTED, Published.UNROUTABLE)
    assert heard.listened(ENDED)


def test_an_answer_that_never_came_is_asked_for_again(heard: Listening, clock: Clock) -> None:
    assert heard.listened(ENDED)
    clock.now += UNBOUND_LIFE
    assert heard.listened(ENDED)


def test_what_is_remembered_of_keys_is_bounded(heard: Listening) -> None:
    for number in range(3 * KEYS):
        heard.listened(f"event.k.{number}")
        _note(heard, f"event.t.{number}", Published.TAKEN)
    assert len(heard._unbound) <= KEYS and len(heard._taken) <= KEYS
