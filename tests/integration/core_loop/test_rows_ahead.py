"""What a person changes is in the list before it is in the journal, where no transaction holds both: somebody must look after a crash."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from re_core.playbook.compiler import EnginePolicy
from re_core.sequencer.work import WRITER_GRACE
from re_core.wire.messages import Message
from tests.factories import simple
from tests.integration.core_loop.conftest import Build
from tests.integration.core_loop.faults import Death
from tests.integration.core_loop.house import House

AROUND = EnginePolicy(notify={phase: {"console": ("ops",)} for phase in ("started", "completed", "failed")})


@pytest.fixture
def house(build: Build, monkeypatch: pytest.MonkeyPatch) -> House:
    """A core whose store has no transactions; one deployment has failed."""
    monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", False)
    made = build(around=AROUND, script={"Bad": {"status": "failed"}}, shared=True)
    made.save(simple("noop:Bad", "noop:B"))
    made.save(simple("noop:Hang"), "hangs")
    return made


def _die_at_the_append(house: House, when: Literal["before", "after"]) -> None:
    """The core's next turn ends there: nothing was stored yet, or all of it."""

    def die(name: str, number: int) -> None:
        if name == "append":
            raise Death

    setattr(house.faults, when, die)
    with pytest.raises(Death):
        house.core.turn(0)
    house.faults.heal()


def _look(house: House) -> None:
    """The sweeper's event, and the core's turn."""
    house.say("d1", "due", id=f"d1/due/{house.clock.now()}")
    house.core.turn(0)


def _row(house: House) -> tuple[str, int | None]:
    (row,) = house.store.rows(["d1"])
    return row.status.value, row.due


def test_a_retry_is_in_the_list_before_it_is_in_the_journal(house: House) -> None:
    house.ask("d1")
    house.settle()
    assert _row(house) == ("failed", None)
    house.say("d1", "retry", {"user": "ann"})
    _die_at_the_append(house, "before")
    status, due = _row(house)
    assert status == "running"
    assert due is not None
    assert "retried" not in house.kinds()


def test_a_row_that_is_ahead_of_its_journal_is_mended_by_the_first_look(house: House) -> None:
    house.ask("d1")
    house.settle()
    house.say("d1", "retry", {"user": "ann"})
    _die_at_the_append(house, "before")
    house.boot()  # the message has gone with the process
    for _ in range(3):
        house.wait(WRITER_GRACE / 2 + 1)
    assert _row(house) == ("failed", None)


def test_a_cancel_that_ends_a_deployment_leaves_a_row_that_is_looked_at(house: House) -> None:
    house.ask("d1", "hangs")
    house.core.turn(0)
    house.cancel()
    _die_at_the_append(house, "before")
    assert _row(house)[1] is not None


def test_a_core_that_knows_nothing_of_a_deployment_tells_again_what_a_crash_may_have_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request has expired, so nothing comes again but the sweeper's look."""
    house.ask("d1", "hangs")
    house.core.turn(0)
    house.boot()
    sent = _listen(house, monkeypatch)
    _look(house)
    house.clock.pass_seconds(WRITER_GRACE)
    _look(house)
    assert "d1/started/console" in sent


def test_a_core_that_knows_nothing_of_a_deployment_does_not_repeat_what_its_row_says_was_published(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker comes for a while, and another core than the one that accepted it looks: nothing bad has happened."""
    house.ask("d1", "hangs")
    house.core.turn(0)
    house.clock.pass_seconds(1)
    house.core.turn(0)  # the row is written once more, behind what was published
    other = house._core(house.store, house.bus, "other")
    house.core.close()
    house.clock.pass_seconds(31)
    sent = _listen(house, monkeypatch)
    house.say("d1", "due")
    assert other.turn(0) == 1
    house.clock.pass_seconds(WRITER_GRACE)
    house.say("d1", "due", id="again")
    assert other.turn(0) == 1
    assert sent == []


def test_the_end_by_a_cancel_is_told_though_the_core_dies_before_it_publishes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message that asked for it expires; only the row is left to be looked at, with and without transactions."""
    for transactional in (True, False):
        monkeypatch.setattr("re_core.adapters.sqlite.store.SqliteStore.transactional", transactional)
        id = f"d{transactional}"
        house.ask(id, "hangs")
        house.core.turn(0)
        house.say(id, "cancel", {"user": "ann"})
        _die_at_the_append(house, "after")
        assert house.state(id).status == "cancelled"
        house.boot()
        sent = _listen(house, monkeypatch)
        for _ in range(4):
            house.wait(WRITER_GRACE / 2 + 1)
        assert f"{id}/failed/console" in sent


def test_what_another_core_may_be_telling_of_just_now_is_left_to_it_and_looked_at_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.ask("d1", "hangs")
    house.core.turn(0)
    before = _row(house)
    house.boot()
    sent = _listen(house, monkeypatch)
    _look(house)
    house.clock.pass_seconds(1)
    house.core.turn(0)
    assert (sent, _row(house)) == ([], before)
    house.clock.pass_seconds(WRITER_GRACE)
    _look(house)
    assert "d1/started/console" in sent


def test_a_look_that_comes_again_from_a_core_that_has_gone_is_not_put_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The core that held it wrote what it found, and died before it told of that."""
    house.ask("d1", "hangs")
    house.core.turn(0)
    house.boot()
    sent = _listen(house, monkeypatch)
    house.say("d1", "due")
    subscription: Any = house.core._taking.subscription
    real = subscription.take
    monkeypatch.setattr(subscription, "take", lambda *given: [one._replace(redelivered=True) for one in real(*given)])
    house.core.turn(0)
    assert "d1/started/console" in sent


def test_a_core_that_began_a_deployment_tells_of_it_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.ask("d1", "hangs")
    house.core.turn(0)
    sent = _listen(house, monkeypatch)
    house.say("d1", "due")
    house.core.turn(0)
    assert sent == []


def test_a_core_that_ended_a_deployment_tells_of_its_end_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.ask("d1")
    house.settle()
    sent = _listen(house, monkeypatch)
    house.say("d1", "due")
    house.core.turn(0)
    assert sent == []


def _listen(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the notifications that are published from now on."""
    sent: list[str] = []
    real = house.bus.publish

    def publish(messages: list[Message]) -> object:
        sent.extend(one.id for one in messages if one.key.startswith("notify."))
        return real(messages)

    monkeypatch.setattr(house.bus, "publish", publish)
    return sent
