"""Offers of many workers are one object, where they are equal."""

from __future__ import annotations

from re_core.adapters.offers import MOST, offers_of
from re_core.wire import strict_json


def test_equal_offers_are_read_once_and_not_for_ever() -> None:
    def text(summary: str) -> str:
        return strict_json.dumps({"greet:Hello": {"summary": summary}})

    first = offers_of(text("hello"))
    assert first == {"greet:Hello": {"summary": "hello"}}
    assert offers_of(text("hello")) is first
    for number in range(MOST):
        offers_of(text(f"{number}"))
    assert offers_of(text("hello")) is not first
