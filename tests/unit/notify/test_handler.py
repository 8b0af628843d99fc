"""How the outcome of a delivery is told."""

from __future__ import annotations

import pytest

from re_core.errors import CallerError, TransientError
from re_workers.notify.handler import Undeliverable, Unreachable, settle


def test_a_delivery_that_reached_everybody_is_silent() -> None:
    settle({}, {})


def test_targets_refused_for_good_are_undeliverable_and_the_caller_must_act() -> None:
    with pytest.raises(Undeliverable, match=r"not delivered to 'x': no such nick; 'y': bad") as raised:
        settle({"x": "no such nick", "y": "bad"}, {})

    assert raised.value.targets == ("x", "y")
    assert isinstance(raised.value, CallerError)


def test_one_target_that_may_be_reached_later_makes_it_unreachable_and_nobody_is_forgotten() -> None:
    with pytest.raises(Unreachable) as raised:
        settle({"x": "no such nick"}, {"y": "try later"})

    assert raised.value.targets == ("x", "y")
    assert isinstance(raised.value, TransientError)
