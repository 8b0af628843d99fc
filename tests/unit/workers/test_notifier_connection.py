"""The notifier's loop when its connection is lost, or its transport is away for long. No thread, no waiting."""

from __future__ import annotations

import pytest

from re_core.errors import BusUnavailable
from re_workers.notify.consumer import HELD, MAX_BACKOFF, PATIENCE
from re_workers.notify.handler import Notice, Undeliverable, Unreachable
from tests.unit.workers.loft import Loft


@pytest.fixture
def loft() -> Loft:
    return Loft()


def _miss_b(notice: Notice) -> None:
    if "b" in notice.target:
        raise Unreachable("b is away", ("b",))


def _lose_what_waits(loft: Loft) -> None:
    """One notification waits for its next try when the connection is lost."""
    loft.handler.fate = _miss_b
    loft.send("1")
    loft.notifier.turn(0)
    loft.line.lose()
    loft.notifier.turn(0)


def test_what_waits_for_its_next_try_comes_again_with_a_new_connection_and_is_gone_on_with(loft: Loft) -> None:
    _lose_what_waits(loft)
    assert len(loft.handler.told) == 1
    loft.handler.fate = lambda notice: None
    loft.later(MAX_BACKOFF)
    assert loft.handler.told == [("1", ("a", "b")), ("1", ("b",))]
    assert loft.unsettled() == 0


def test_what_waits_is_not_lost_with_the_process_after_a_lost_connection(loft: Loft) -> None:
    _lose_what_waits(loft)
    assert loft.unsettled() == 1


def test_patience_does_not_begin_anew_with_a_new_connection(loft: Loft) -> None:
    loft.handler.fate = _miss_b
    loft.send("1")
    loft.notifier.turn(0)
    for _ in range(int(PATIENCE / MAX_BACKOFF)):
        loft.line.lose()
        loft.later(MAX_BACKOFF)
    loft.later(MAX_BACKOFF)
    assert loft.buried() == ["unreachable"]
    assert loft.unsettled() == 0


def test_what_was_carried_out_while_the_connection_was_lost_is_not_carried_out_again(loft: Loft) -> None:
    loft.handler.fate = lambda notice: loft.line.lose()
    loft.send("1")
    loft.notifier.turn(0)
    loft.notifier.turn(0)
    assert len(loft.handler.told) == 1
    assert loft.unsettled() == 0


def test_what_was_refused_while_the_connection_was_lost_is_one_dead_letter(loft: Loft) -> None:
    def refuse(notice: Notice) -> None:
        if len(loft.handler.told) == 1:
            loft.line.lose()
        raise Undeliverable("no such nest")

    loft.handler.fate = refuse
    loft.send("1")
    loft.notifier.turn(0)
    loft.notifier.turn(0)
    assert loft.buried() == ["undeliverable"]
    assert loft.unsettled() == 0


def test_one_without_an_id_is_tried_again_too(loft: Loft) -> None:
    loft.handler.fate = _miss_b
    loft.send("")
    loft.notifier.turn(0)
    loft.handler.fate = lambda notice: None
    loft.later(MAX_BACKOFF)
    assert loft.handler.told == [("", ("a", "b")), ("", ("b",))]
    assert loft.unsettled() == 0


def test_nothing_is_held_for_as_long_as_a_broker_waits_though_every_try_takes_its_time(loft: Loft) -> None:
    oldest: list[int] = []

    def time_out(notice: Notice) -> None:
        loft.clock.time += 60_000
        oldest.append(max(loft.clock.time - came for came in loft.line.subscriptions[0].since(loft.clock.time)))
        raise Unreachable("no answer", notice.target)

    loft.handler.fate = time_out
    for number in range(100):
        loft.send(str(number))
    for _ in range(20):
        loft.notifier.turn(0)
    assert len(oldest) > 100
    assert max(oldest) < 30 * 60_000
    assert HELD > 100


def test_however_slow_the_tries_are_everything_ends(loft: Loft) -> None:
    def time_out(notice: Notice) -> None:
        loft.clock.time += 60_000
        raise Unreachable("no answer", notice.target)

    loft.handler.fate = time_out
    for number in range(50):
        loft.send(str(number))
    buried: list[str] = []
    for _ in range(100):
        loft.later(MAX_BACKOFF)
        buried += loft.buried()
    assert buried == ["unreachable"] * 50
    assert loft.unsettled() == 0


def test_while_the_bus_is_away_nothing_is_forgotten(loft: Loft) -> None:
    loft.send("1", body=b"{")
    loft.send("2")
    loft.line.away = True
    with pytest.raises(BusUnavailable):
        loft.notifier.turn(0)
    loft.line.away = False
    loft.notifier.turn(0)
    assert (loft.buried(), [id for id, _ in loft.handler.told]) == (["bad-message"], ["2"])
    assert loft.unsettled() == 0
