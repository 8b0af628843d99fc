"""What a person changes is in the list before it is in the journal, where no transaction holds both: somebody must look after a crash."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from re_core.playbook.compiler import EnginePolicy
from re_core.sequencer.work import WRITER_GRACE
from re_core.wire.messages import Message
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.core_harness import CoreHarness
from tests.integration.core_loop.faults import Death

AROUND = EnginePolicy(notify={phase: {"console": ("ops",)} for phase in ("started", "completed", "failed")})


@pytest.fixture
def harness(build: Build, monkeypatch: pytest.MonkeyPatch) -> CoreHarness:
    """A core whose store has no transactions; one deployment has failed."""
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    made = build(around=AROUND, script={"Bad": {"status": "failed"}}, shared=True)
    made.save(simple("noop:Bad", "noop:B"))
    made.save(simple("noop:Hang"), "hangs")
    return made


def _die_at_the_append(harness: CoreHarness, when: Literal["before", "after"]) -> None:
    """The core's next turn ends there: nothing was stored yet, or all of it."""

    def die(name: str, number: int) -> None:
        if name == "append":
            raise Death

    setattr(harness.faults, when, die)
    with pytest.raises(Death):
        harness.core.turn(0)
    harness.faults.heal()


def _look(harness: CoreHarness) -> None:
    """The sweeper's event, and the core's turn."""
    harness.say("d1", "due", id=f"d1/due/{harness.clock.now()}")
    harness.core.turn(0)


def _row(harness: CoreHarness) -> tuple[str, int | None]:
    (row,) = harness.store.rows(["d1"])
    return row.status.value, row.due


def test_a_retry_is_in_the_list_before_it_is_in_the_journal(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    assert _row(harness) == ("failed", None)
    harness.say("d1", "retry", {"user": "ann"})
    _die_at_the_append(harness, "before")
    status, due = _row(harness)
    assert status == "running"
    assert due is not None
    assert "retried" not in harness.kinds()


def test_a_row_that_is_ahead_of_its_journal_is_mended_by_the_first_look(harness: CoreHarness) -> None:
    harness.ask("d1")
    harness.settle()
    harness.say("d1", "retry", {"user": "ann"})
    _die_at_the_append(harness, "before")
    harness.boot()  # the message has gone with the process
    for _ in range(3):
        harness.wait(WRITER_GRACE / 2 + 1)
    assert _row(harness) == ("failed", None)


def test_a_cancel_that_ends_a_deployment_leaves_a_row_that_is_looked_at(harness: CoreHarness) -> None:
    harness.ask("d1", "hangs")
    harness.core.turn(0)
    harness.cancel()
    _die_at_the_append(harness, "before")
    assert _row(harness)[1] is not None


def _a_core_that_knows_nothing(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """It was started after d1 was accepted; what it sends."""
    harness.ask("d1", "hangs")
    harness.core.turn(0)
    harness.boot()
    return _listen(harness, monkeypatch)


def test_a_core_that_knows_nothing_of_a_deployment_tells_again_what_a_crash_may_have_cut_off(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request has expired, so nothing comes again but the sweeper's look."""
    sent = _a_core_that_knows_nothing(harness, monkeypatch)
    for _ in range(2):
        _look(harness)
        harness.clock.pass_seconds(WRITER_GRACE)
    assert "d1/started/console" in sent


def test_a_core_that_knows_nothing_of_a_deployment_does_not_repeat_what_its_row_says_was_published(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker comes for a while, and another core than the one that accepted it looks: nothing bad has happened."""
    harness.ask("d1", "hangs")
    harness.core.turn(0)
    harness.clock.pass_seconds(1)
    harness.core.turn(0)  # the row is written once more, behind what was published
    other = harness._core(harness.store, harness.bus, "other")
    harness.core.close()
    harness.clock.pass_seconds(31)
    sent = _listen(harness, monkeypatch)
    harness.say("d1", "due")
    assert other.turn(0) == 1
    harness.clock.pass_seconds(WRITER_GRACE)
    harness.say("d1", "due", id="again")
    assert other.turn(0) == 1
    assert sent == []


def test_the_end_by_a_cancel_is_told_though_the_core_dies_before_it_publishes(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message that asked for it expires; only the row is left to be looked at, with and without transactions."""
    for transactional in (True, False):
        monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", transactional)
        id = f"d{transactional}"
        harness.ask(id, "hangs")
        harness.core.turn(0)
        harness.say(id, "cancel", {"user": "ann"})
        _die_at_the_append(harness, "after")
        assert harness.state(id).status == "cancelled"
        harness.boot()
        sent = _listen(harness, monkeypatch)
        for _ in range(4):
            harness.wait(WRITER_GRACE / 2 + 1)
        assert f"{id}/failed/console" in sent


def test_what_another_core_may_be_telling_of_just_now_is_left_to_it_and_looked_at_again(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = _a_core_that_knows_nothing(harness, monkeypatch)
    before = _row(harness)
    _look(harness)
    harness.clock.pass_seconds(1)
    harness.core.turn(0)
    assert (sent, _row(harness)) == ([], before)
    harness.clock.pass_seconds(WRITER_GRACE)
    _look(harness)
    assert "d1/started/console" in sent


def test_a_look_that_comes_again_from_a_core_that_has_gone_is_not_put_off(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core that held it wrote what it found, and died before it told of that."""
    sent = _a_core_that_knows_nothing(harness, monkeypatch)
    harness.say("d1", "due")
    subscription: Any = harness.core._inbox.subscription
    real = subscription.take
    monkeypatch.setattr(subscription, "take", lambda *given: [one._replace(redelivered=True) for one in real(*given)])
    harness.core.turn(0)
    assert "d1/started/console" in sent


def test_a_core_that_began_a_deployment_tells_of_it_once(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.ask("d1", "hangs")
    harness.core.turn(0)
    sent = _listen(harness, monkeypatch)
    harness.say("d1", "due")
    harness.core.turn(0)
    assert sent == []


def test_a_core_that_ended_a_deployment_tells_of_its_end_once(
    harness: CoreHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.ask("d1")
    harness.settle()
    sent = _listen(harness, monkeypatch)
    harness.say("d1", "due")
    harness.core.turn(0)
    assert sent == []


def _listen(harness: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the notifications that are published from now on."""
    sent: list[str] = []
    real = harness.bus.publish

    def publish(messages: list[Message]) -> object:
        sent.extend(one.id for one in messages if one.key.startswith("notify."))
        return real(messages)

    monkeypatch.setattr(harness.bus, "publish", publish)
    return sent
