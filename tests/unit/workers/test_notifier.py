"""The notifier's loop: what it carries out, tries again, gives up and buries. No thread, no waiting."""

from __future__ import annotations

import pytest

from re_workers.notify.consumer import HELD, MAX_BACKOFF
from re_workers.notify.digest import NoticePolicy
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


# -- a flood -------------------------------------------------------------------------------------------


@pytest.fixture
def flooded() -> Loft:
    """A loft in which two notices to the same targets come alone, and the others of a minute as one."""
    return Loft(NoticePolicy(digest=2))


def test_of_a_flood_the_first_come_alone_and_the_others_as_one(flooded: Loft) -> None:
    for number in range(6):
        flooded.send(str(number), slug=f"n{number}")
    flooded.notifier.turn(0)
    assert [id for id, _ in flooded.handler.told] == ["0", "1"]
    flooded.later(60)
    assert len(flooded.handler.told) == 3
    assert flooded.handler.notices[-1].slug == "4 notifications: 4 completed"
    assert flooded.handler.notices[-1].message == "n2\nn3\nn4\nn5"
    assert (flooded.buried(), flooded.unsettled()) == ([], 0)


def test_what_failed_is_not_held_back_for_long(flooded: Loft) -> None:
    for number in range(4):
        flooded.send(str(number), phase="failed" if number == 3 else "completed")
    flooded.notifier.turn(0)
    flooded.later(10)
    assert flooded.handler.notices[-1].slug == "2 notifications: 1 failed, 1 completed"


def test_a_digest_that_meets_a_server_that_is_away_is_tried_again_as_it_was(flooded: Loft) -> None:
    for number in range(4):
        flooded.send(str(number))
    flooded.notifier.turn(0)
    flooded.handler.fate = _miss
    flooded.later(60)
    first = flooded.handler.told[-1]
    flooded.send("4")
    flooded.handler.fate = lambda notice: None
    flooded.later(MAX_BACKOFF)
    assert flooded.handler.told.count(first) == 2
    assert "4" in [id for id, _ in flooded.handler.told]
    assert (flooded.buried(), flooded.unsettled()) == ([], 0)


def test_a_digest_that_is_refused_is_a_dead_letter_for_each_of_its_parts(flooded: Loft) -> None:
    for number in range(4):
        flooded.send(str(number))
    flooded.notifier.turn(0)

    def refuse(notice: Notice) -> None:
        raise Undeliverable("no such nest", notice.target)

    flooded.handler.fate = refuse
    flooded.later(60)
    assert flooded.buried() == ["undeliverable", "undeliverable"]
    assert flooded.unsettled() == 0


def test_what_waits_for_others_goes_back_when_the_process_stops(flooded: Loft) -> None:
    for number in range(5):
        flooded.send(str(number))
    flooded.notifier.turn(0)
    flooded.notifier.drain()
    flooded.later(60)
    assert len(flooded.handler.told) == 2
    assert flooded.unsettled() == 3


def test_a_flood_never_fills_the_notifier_so_that_others_wait(flooded: Loft) -> None:
    for number in range(HELD // 2 + 2):
        flooded.send(str(number))
    flooded.notifier.turn(0)
    assert flooded.handler.notices[-1].slug == f"{HELD // 2} notifications: {HELD // 2} completed"


# -- reports -------------------------------------------------------------------------------------------


def test_what_became_of_each_is_reported_to_the_core(loft: Loft) -> None:
    def miss_once(notice: Notice) -> None:
        if notice.target == ("a",):
            raise Undeliverable("no such nest", ("a",))
        if len(loft.handler.told) == 2:
            raise Unreachable("away", ("b",))

    loft.handler.fate = miss_once
    loft.send("1", ("a",))
    loft.send("2", ("b",))
    loft.notifier.turn(0)
    loft.later(MAX_BACKOFF)
    found = [(one.notification, one.outcome, one.why, one.tries, one.target) for one in loft.reported()]
    assert found == [("1", "failed", "no such nest", 1, ("a",)), ("2", "sent", "", 2, ("b",))]


def test_a_notice_is_sent_though_its_report_is_not(loft: Loft) -> None:
    loft.reports.close()
    loft.send("1")
    loft.notifier.turn(0)
    assert loft.handler.told == [("1", ("a", "b"))]
    assert loft.unsettled() == 0
