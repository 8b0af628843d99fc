"""Which notices wait for others, and what is said of all of them."""

from __future__ import annotations

from re_core.wire.notice_facts import Facts, StepFacts
from re_workers.notify.digest import SHOWN, URGENT, WITHIN, Digest, summary, summary_id
from re_workers.notify.handler import Told

A, B = ("a",), ("b", "c")


def test_the_first_come_alone_and_the_others_wait_together() -> None:
    digest = Digest(2)
    assert [digest.wait(A, "completed", now) for now in (0, 1, 2, 3)] == [0, 1, 2 + WITHIN, 2 + WITHIN]
    assert digest.wait(B, "completed", 4) == 4


def test_one_that_failed_takes_those_that_wait_with_it_soon() -> None:
    digest = Digest(1)
    digest.wait(A, "completed", 0)
    assert digest.wait(A, "completed", 5) == 5 + WITHIN
    assert digest.wait(A, "failed", 6) == 6 + URGENT
    assert digest.wait(A, "completed", 7) == 6 + URGENT


def test_after_a_quiet_minute_one_comes_alone_again() -> None:
    digest = Digest(1)
    digest.wait(A, "completed", 0)
    assert digest.wait(A, "completed", WITHIN) == WITHIN


def test_what_comes_after_a_digest_was_sent_begins_another() -> None:
    digest = Digest(1)
    digest.wait(A, "completed", 0)
    first = digest.wait(A, "completed", 1)
    digest.flushed(A)
    assert digest.wait(A, "completed", 10) == 10 + WITHIN > first


def test_none_waits_where_the_settings_want_none_to() -> None:
    digest = Digest(0)
    assert [digest.wait(A, "failed", 5) for _ in range(50)] == [5] * 50


def test_a_summary_counts_by_phase_and_begins_with_what_failed() -> None:
    step = StepFacts(1, "x:Y", message="disk full\nmore")
    notices = [
        Told("one", "", "completed", A, Facts("d1")),
        Told("two", "", "failed", A, Facts("d2", step=step)),
        Told("three", "", "started", A),
    ]
    said = summary(notices, "https://re")
    assert (said.slug, said.phase, said.target) == ("3 notifications: 1 failed, 1 completed, 1 started", "failed", A)
    assert said.message.split("\n") == [
        "two: disk full https://re/api/v1/deployments/d2",
        "one https://re/api/v1/deployments/d1",
        "three",
    ]


def test_a_summary_of_very_many_names_some_and_counts_the_others() -> None:
    said = summary([Told(str(number), "", "completed", A) for number in range(SHOWN + 5)], "")
    assert said.message.split("\n")[-1] == "and 5 more"
    assert len(said.message.split("\n")) == SHOWN + 1


def test_the_same_notices_have_the_same_id() -> None:
    assert summary_id(["a", "b"]) == summary_id(["a", "b"]) != summary_id(["ab"])
