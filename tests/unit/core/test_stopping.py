"""A step whose time is over, from the word to its worker until that has ended it: whatever comes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from re_core.deployment import events as e
from re_core.deployment import records as r
from re_core.deployment.deadlines import due_at
from re_core.deployment.machine import Decision, Verdict
from re_core.deployment.plan import OnLost
from re_core.deployment.reasons import stop_reason
from re_core.deployment.records import entry_to_document
from re_core.model import Resolution
from re_core.playbook.compiler import EnginePolicy
from tests.factories import Run, action, check, simple

GO, NO_GO = ("t", True), ("u", False)


class Noting(Run):
    """It knows what it was sent last."""

    def send(self, event: e.Event) -> Decision:
        self.sent = event
        return super().send(event)


def _stopping(beside: dict[str, Any] | None = None, around: EnginePolicy | None = None) -> Noting:
    """Its first step has run for its 60 s, and its worker was told to end it."""
    run = Noting(simple({"noop:A": {}, "timeout": 60, **(beside or {})}, "noop:B"), around)
    run.claim(0)
    run.wait(60)
    assert (run.kinds(), run.stops(), run.statuses) == (["stop_requested"], [0], ["started", "pending"])
    return run


#: event -> what it makes of a step that may be repeated by `retries`, and of its deployment
TABLE: list[tuple[str, Callable[[Run], object], Verdict, list[str], list[int], list[str]]] = [
    ("its worker's claim", lambda run: run.claim(0), Verdict.REPEATED, [], [0], ["started", "pending"]),
    ("another's claim", lambda run: run.claim(0, "u"), Verdict.REFUSED, [], [0], ["started", "pending"]),
    (
        "completed",
        lambda run: run.complete(0),
        Verdict.APPLIED,
        ["completed", "dispatched"],
        [],
        ["completed", "dispatched"],
    ),
    (
        "failed",
        lambda run: run.fail(0),
        Verdict.APPLIED,
        ["timed_out", "fenced", "dispatched"],
        [],
        ["dispatched", "pending"],
    ),
    ("a copy's failed", lambda run: run.fail(0, token="u"), Verdict.REFUSED, [], [], ["started", "pending"]),
    ("declined", lambda run: run.decline(0), Verdict.APPLIED, ["fenced", "dispatched"], [], ["dispatched", "pending"]),
    ("another's declined", lambda run: run.decline(0, "u"), Verdict.REFUSED, [], [], ["started", "pending"]),
    (
        "released, by its worker",
        lambda run: run.release(0),
        Verdict.APPLIED,
        ["lost", "fenced", "dispatched"],
        [],
        ["dispatched", "pending"],
    ),
    ("another's released", lambda run: run.release(0, "u"), Verdict.REFUSED, [], [], ["started", "pending"]),
    (
        "lost, by its worker",
        lambda run: run.lose(0),
        Verdict.APPLIED,
        ["lost", "fenced", "dispatched"],
        [],
        ["dispatched", "pending"],
    ),
    ("lost, by another", lambda run: run.lose(0, "u"), Verdict.REFUSED, [], [], ["started", "pending"]),
    ("no queue", lambda run: run.nobody(0), Verdict.REFUSED, [], [], ["started", "pending"]),
    ("hand over", lambda run: run.send(e.HandOver(0, 1)), Verdict.REFUSED, [], [], ["started", "pending"]),
    ("in doubt", lambda run: run.send(e.HandedInDoubt(0, 1)), Verdict.REFUSED, [], [], ["started", "pending"]),
    (
        "a decision",
        lambda run: run.send(e.Resolved(0, Resolution.RERUN, "ann", "")),
        Verdict.REFUSED,
        [],
        [],
        ["started", "pending"],
    ),
    ("a retry", lambda run: run.send(e.RetryAsked("ann", "")), Verdict.REFUSED, [], [], ["started", "pending"]),
    ("a cancel", lambda run: run.cancel(), Verdict.APPLIED, ["cancel_requested"], [0], ["started", "pending"]),
    (
        "a take-back",
        lambda run: run.send(e.TakeBack("late")),
        Verdict.APPLIED,
        ["cancel_requested"],
        [0],
        ["started", "pending"],
    ),
    ("time, within the grace", lambda run: run.wait(29.9), Verdict.APPLIED, [], [], ["started", "pending"]),
    (
        "time, after it",
        lambda run: run.wait(30),
        Verdict.APPLIED,
        ["lost", "fenced", "dispatched"],
        [0],
        ["dispatched", "pending"],
    ),
    (
        "its worker gone",
        lambda run: run.gone(),
        Verdict.APPLIED,
        ["lost", "fenced", "dispatched"],
        [],
        ["dispatched", "pending"],
    ),
    ("another worker gone", lambda run: run.gone("x"), Verdict.APPLIED, [], [], ["started", "pending"]),
]


@pytest.mark.parametrize(
    ("what", "send", "verdict", "kinds", "stops", "statuses"), TABLE, ids=[row[0] for row in TABLE]
)
def test_what_comes_while_it_is_being_stopped(
    what: str,
    send: Callable[[Run], object],
    verdict: Verdict,
    kinds: list[str],
    stops: list[int],
    statuses: list[str],
) -> None:
    run = _stopping({"retries": 1})
    send(run)
    assert (run.last.verdict, run.kinds(), run.stops(), run.statuses) == (verdict, kinds, stops, statuses)
    assert not any(go for _, go in run.grants())


def test_the_table_speaks_of_every_event() -> None:
    sent = set()
    for _, send, *_ in TABLE:
        run = _stopping({"retries": 1})
        send(run)
        sent.add(type(run.sent))
    assert sent == set(get_args(e.Event))


def test_who_claims_what_is_being_stopped_hears_no_go() -> None:
    run = _stopping()
    run.claim(0, "u")
    assert (run.grants(), run.stops()) == ([NO_GO], [])


def test_it_is_awaited_for_30_seconds() -> None:
    run = _stopping()
    assert run.due == 30
    run.gone(None, before=0)
    assert run.stops() == [0]  # what is awaited is asked for again, and no grant


def test_what_its_worker_has_seen_of_it_is_kept() -> None:
    run = _stopping()
    run.fail(0, "exit code 143: half done", data={"output": ["half done"]}, cut=True)
    record = run.last.records[0]
    text = "it did not end within its timeout of 60 s; exit code 143: half done"
    assert record == r.TimedOut(0, 1, text, {"output": ["half done"]}, True, "failed")
    assert run.state.step(0).result is not None
    again = run.fail(0, "exit code 143: half done")
    assert again.verdict is Verdict.REFUSED  # the deployment has ended; and nobody is told again


def test_a_copy_of_the_word_that_it_was_ended_is_no_late_word() -> None:
    run = _stopping({"retries": 1})
    run.fail(0, attempt=1)
    again = run.fail(0, attempt=1)
    assert (again.verdict, again.records, run.dispatched()) == (Verdict.REPEATED, (), [(0, 2)])


def test_what_completes_all_the_same_is_completed_and_the_playbook_goes_on() -> None:
    run = _stopping()
    run.complete(0)
    assert run.statuses == ["completed", "dispatched"]


def test_a_check_whose_reply_is_not_the_expected_one_has_timed_out() -> None:
    around = EnginePolicy(checks=[check(expectation={"status": "completed"})])
    run = Run(simple("noop:A"), around)
    run.claim(0)
    run.wait(3600)
    run.complete(0, body={"status": "completed", "data": 1})
    assert run.statuses == ["timed_out", "skipped"]


def test_one_that_nobody_saw_end_is_lost_and_only_retries_repeat_it() -> None:
    for beside, statuses in (({"idempotent": True}, ["lost", "skipped"]), ({"retries": 1}, ["dispatched", "pending"])):
        run = _stopping(beside)
        run.wait(30)
        assert run.statuses == statuses
    assert "it did not end within its timeout of 60 s, and did not stop within 30 s" in str(run.records)


def test_one_that_nobody_saw_end_is_a_question_where_people_want_to_be_asked() -> None:
    run = _stopping(around=EnginePolicy(on_lost=OnLost.ASK))
    run.wait(30)
    assert (run.status, run.statuses) == ("waiting", ["lost", "pending"])


def test_a_cancel_does_not_make_its_grace_longer() -> None:
    run = _stopping()
    run.wait(20)
    run.cancel()
    assert run.due == 10
    run.fail(0, "cancelled")
    assert (run.status, run.statuses) == ("cancelled", ["timed_out", "skipped"])


def test_nothing_follows_before_its_end() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 60}, "noop:B"), EnginePolicy(actions=[action()]))
    run.claim(0)
    run.wait(60)
    assert (run.open, run.dispatched()) == ([0], [])
    run.fail(0)
    assert run.dispatched() == [(2, 1)]


def test_a_worker_that_cannot_be_told_has_no_grace() -> None:
    run = Run(simple({"noop:A": {}, "timeout": 60}))
    run.send(e.ClaimMade(0, 1))
    run.wait(60)
    assert (run.statuses, run.stops()) == (["timed_out"], [])


def test_what_an_engine_of_before_wrote_is_read_as_it_was() -> None:
    """It called a step over at its timeout, without a word of its worker."""
    run = Run(simple({"noop:A": {}, "timeout": 60}))
    run.claim(0)
    state = run.folded()
    state.apply(r.TimedOut(0, 1, "it did not end within its timeout of 60 s"), run.now)
    assert (state.step(0).status, state.open, state.late) == ("timed_out", set(), set())
    assert due_at(state, run.now) is None


def test_only_what_is_new_needs_a_newer_engine() -> None:
    formats = [
        entry_to_document(r.Entry("d1", 2, 0, "", (record,)))["v"]
        for record in (r.TimedOut(0, 1, "late"), r.TimedOut(0, 1, "late", said="failed"), r.StopRequested(0, 1))
    ]
    assert formats == [1, 3, 3]


def test_a_worker_hears_why_it_is_to_end_a_step() -> None:
    late = _stopping()
    assert stop_reason(late.state, 0, 1) == "it did not end within its timeout of 60 s"
    late.cancel(user="bob", reason="wrong day")  # comes too late to be the reason
    assert stop_reason(late.state, 0, 1) == "it did not end within its timeout of 60 s"
    assert stop_reason(late.state, 0, 2) == "the deployment does not await it any more"
    run = Run(simple({"noop:A": {}}))
    run.claim(0)
    assert stop_reason(run.state, 0, 1) == "the deployment does not await it any more"
    run.cancel(user="bob", reason="wrong day")
    assert stop_reason(run.state, 0, 1) == "cancelled by bob: wrong day"


def test_what_a_worker_says_of_its_timeout_is_not_said_twice() -> None:
    run = _stopping()
    run.fail(0, "it did not end within its timeout of 60 s")
    assert run.state.step(0).message == "it did not end within its timeout of 60 s"
