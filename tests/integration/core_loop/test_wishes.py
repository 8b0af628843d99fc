"""What people ask of a deployment that is under way: cancel it."""

from __future__ import annotations

from typing import Any

import pytest

from re_core import strict_json
from tests.factories import simple
from tests.integration.core_loop.house import House


@pytest.fixture(autouse=True)
def playbooks(house: House) -> None:
    house.save(simple("noop:A", "noop:B"))
    house.save(simple("noop:Hang", "noop:B"), "hangs")


def _begin(house: House, playbook: str = "hangs") -> None:
    """A deployment whose first step runs."""
    house.ask("d1", playbook)
    house.settle()
    house.ear.hear()


def _asked(house: House) -> list[dict[str, Any]]:
    return [strict_json.loads(one.body) for one in house.ear.hear()]


def test_a_running_step_is_told_to_stop_and_the_deployment_is_cancelled(house: House) -> None:
    _begin(house)
    house.cancel(user="ann", reason="wrong day")
    house.settle()
    assert _asked(house) == [{"accepted": True}]
    assert house.world.stopped == ["d1/0/1"]
    assert (house.state().status, house.state().reason) == ("cancelled", "cancelled by ann: wrong day")
    assert house.statuses() == ["cancelled", "skipped"]


def test_a_cancel_of_what_has_ended_is_refused_with_the_reason(house: House) -> None:
    house.ask("d1")
    house.settle()
    house.ear.hear()
    house.cancel()
    house.settle()
    assert _asked(house) == [{"accepted": False, "reason": "the deployment is completed"}]


def test_a_second_cancel_is_accepted_and_changes_nothing(house: House) -> None:
    _begin(house)
    house.cancel()
    house.core.turn(0)
    house.cancel()
    house.core.turn(0)
    assert _asked(house) == [{"accepted": True}, {"accepted": True}]
    assert house.kinds().count("cancel_requested") == 1


def test_a_cancel_before_the_step_began_begins_nothing(house: House) -> None:
    house.ask("d1")
    house.core.turn(0)
    house.worker.turn()  # it claims
    house.cancel()
    house.settle()
    assert house.state().status == "cancelled"
    assert house.world.begun in ([], house.world.begun[:1])
    house.settle()
    assert (house.worker.waiting, house.worker.running) == ({}, {})
