"""Reports of notifiers on the bus."""

from __future__ import annotations

import pytest

from re_core.errors import BadMessage
from re_core.wire.messages import encode
from re_core.wire.notified import TARGETS, TEXT, Notified, parse_report, report

ONE = Notified("1", "d/failed/irc", "irc", ("#a",), "failed", "s", "failed", "away", 3, 5, 2, "d", "g", "p", "w")


def test_what_is_reported_is_read_again() -> None:
    assert parse_report(report(ONE, "re-worker").body) == ONE


def test_a_report_is_cut_to_its_bounds_and_never_refused_for_them() -> None:
    long = ONE._replace(target=("t" * 999,) * 99, slug="s" * 999, why="w" * 9999)
    found = parse_report(report(long, "re-worker").body)
    assert (len(found.target), len(found.slug), len(found.why)) == (TARGETS, TEXT, TEXT)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "gone"},
        {"target": "x"},
        {"target": ["x"] * 21},
        {"tries": -1},
        {"at": 1.5},
        {"why": "x" * 501},
        {"id": 3},
    ],
)
def test_a_report_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        parse_report(encode({**ONE._asdict(), "target": ["#a"], **change}))


def test_a_report_without_a_key_that_is_needed_is_refused_and_later_keys_are_passed_over() -> None:
    document = {**ONE._asdict(), "target": ["#a"], "later": 1}
    assert parse_report(encode(document)) == ONE
    del document["transport"]
    with pytest.raises(BadMessage, match="is missing"):
        parse_report(encode(document))
