"""The notifier's loop: what it carries out, tries again, gives up and buries. No thread, no waiting."""

from __future__ import annotations

import pytest

from re_workers.notify.consumer import MAX_BACKOFF
from re_workers.notify.handler import Notice, Undeliverable, Unreachable
from re_workers.notify.steps import Announce, Shared
from re_workers.testing import run
from tests.unit.workers.loft import Loft, Recorder


@pytest.fixture
def loft() -> Loft:
    return Loft()


def _miss(notice: Notice) -> None:
    raise Unreachable("away")


def test_a_notification_is_carried_out_once_however_often_it_comes(loft: Loft) -> None:
    loft.send("1")
    loft.notifier.turn(0)
    loft.send("1")
    loft.notifier.turn(0)
    assert loft.handler.told == [("1", ("a", "b"))]
    assert (loft.buried(), loft.unsettled()) == ([], 0)


def test_what_is_out_of_reach_is_tried_again_for_those_who_were_missed_while_others_go_on(loft: Loft) -> None:
    def miss_b(notice: Notice) -> None:
        if notice.target != ("c",):
            raise Unreachable("b is away", ("b",))

    loft.handler.fate = miss_b
    loft.send("1")
    loft.send("2", ("c",))
    loft.notifier.turn(0)
    assert loft.handler.told == [("1", ("a", "b")), ("2", ("c",))]
    loft.notifier.turn(0)
    assert len(loft.handler.told) == 2
    loft.handler.fate = lambda notice: None
    loft.later(MAX_BACKOFF)
    assert loft.handler.told[2:] == [("1", ("b",))]
    loft.later(MAX_BACKOFF)
    assert len(loft.handler.told) == 3
    assert (loft.buried(), loft.unsettled()) == ([], 0)


def test_a_copy_of_one_that_waits_for_its_next_try_is_dropped(loft: Loft) -> None:
    loft.handler.fate = _miss
    loft.send("1")
    loft.notifier.turn(0)
    loft.send("1")
    loft.notifier.turn(0)
    assert len(loft.handler.told) == 1


def test_what_stays_out_of_reach_becomes_a_dead_letter_after_its_time(loft: Loft) -> None:
    def miss(notice: Notice) -> None:
        raise Unreachable("away", ("b",))

    loft.handler.fate = miss
    loft.send("1")
    loft.notifier.turn(0)
    for _ in range(14):
        loft.later(MAX_BACKOFF)
    assert loft.buried() == []
    loft.later(MAX_BACKOFF)
    assert loft.buried() == ["unreachable"]
    assert loft.unsettled() == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Undeliverable("no such nest", ("a",)), "undeliverable"), (ZeroDivisionError(), "notifier-error")],
)
def test_what_was_refused_is_a_dead_letter_at_once_and_the_next_goes_on(
    loft: Loft, error: Exception, reason: str
) -> None:
    def refuse(notice: Notice) -> None:
        if notice.target == ("a",):
            raise error

    loft.handler.fate = refuse
    loft.send("1", ("a",))
    loft.send("2", ("b",))
    loft.notifier.turn(0)
    assert (loft.buried(), len(loft.handler.told)) == ([reason], 2)
    assert loft.unsettled() == 0


def test_a_malformed_one_is_a_dead_letter_and_never_half_sent(loft: Loft) -> None:
    loft.send("1", body=b'{"slug":"s","message":"m","phase":"over","target":["a"]}')
    loft.notifier.turn(0)
    assert (loft.buried(), loft.handler.told) == (["bad-message"], [])


def test_a_stopping_notifier_gives_back_what_it_could_not_deliver(loft: Loft) -> None:
    loft.handler.fate = _miss
    loft.send("1")
    loft.notifier.turn(0)
    loft.notifier.drain()
    loft.send("2")
    loft.notifier.turn(0)
    assert len(loft.handler.told) == 1
    assert loft.notifier.idle
    assert loft.unsettled() == 2


class Pigeon(Announce):
    """The transport as a step."""


NOTICE = {"slug": "s", "message": "m", "phase": "completed", "target": ["a"]}


def test_a_notifier_is_a_step_too() -> None:
    recorder = Recorder()
    shared = Shared(recorder)
    assert run(Pigeon(shared), "pigeon:Send", NOTICE).status == "completed"
    assert recorder.told == [("test/0/1", ("a",))]
    shared.close()
    assert (shared.transport, recorder.closed) == ("pigeon", True)


def test_a_notice_that_is_refused_fails_its_step() -> None:
    recorder = Recorder()

    def refuse(notice: Notice) -> None:
        raise Undeliverable("no such nest")

    recorder.fate = refuse
    result = run(Pigeon(Shared(recorder)), "pigeon:Send", NOTICE)
    assert (result.status, result.message) == ("failed", "no such nest")


def test_a_step_tries_again_for_those_who_were_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.notify.steps.BACKOFF", 0.001)
    recorder = Recorder()

    def miss_once(notice: Notice) -> None:
        if len(recorder.told) == 1:
            raise Unreachable("b is away", ("b",))

    recorder.fate = miss_once
    assert run(Pigeon(Shared(recorder)), "pigeon:Send", {**NOTICE, "target": ["a", "b"]}).status == "completed"
    assert [target for _, target in recorder.told] == [("a", "b"), ("b",)]


def test_a_step_gives_up_on_a_transport_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("re_workers.notify.steps.PATIENCE", 0)
    recorder = Recorder()

    def miss(notice: Notice) -> None:
        raise Unreachable("away")

    recorder.fate = miss
    assert run(Pigeon(Shared(recorder)), "pigeon:Send", NOTICE).message == "away"


def test_a_notice_with_a_long_slug_fails_its_step() -> None:
    result = run(Pigeon(Shared(Recorder())), "pigeon:Send", {**NOTICE, "slug": "x" * 81})
    assert result.message == "expected at most 80 characters, found 81"
