"""How much of an output is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_core.deployment.quota import LEAST, MOST, Quota, read_quota

MARK = "[the output quota of 10 bytes is used up; further output of this step is dropped]"


def test_what_does_not_fit_is_dropped_and_that_is_said_once() -> None:
    kept, quota = Quota.of(10).take(["four", "äöx"])
    assert (kept, quota.spent) == (["four", MARK], True)
    assert quota.take(["x", ""]) == ([], quota)


def test_what_just_fits_is_kept() -> None:
    kept, quota = Quota.of(10).take(["four", "four"])
    assert (kept, quota.left, quota.spent) == (["four", "four"], 0, False)
    assert quota.take([""])[0] == [MARK]


@given(st.lists(st.lists(st.text(max_size=9)), max_size=6), st.integers(0, 100))
def test_what_is_kept_has_no_more_bytes_than_the_quota_but_for_its_mark(batches: list[list[str]], size: int) -> None:
    quota, kept = Quota.of(size), list[str]()
    for batch in batches:
        some, quota = quota.take(batch)
        kept += some
    printed = [line for batch in batches for line in batch]
    without = kept[:-1] if quota.spent else kept
    assert without == printed[: len(without)]
    assert sum(len(line.encode("utf-8", "replace")) + 1 for line in without) <= size
    assert quota.spent == (len(without) < len(printed))


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1e9", "\u0661\u0660\u0662\u0664", str(LEAST - 1), str(MOST + 1), "9" * 5000]
)
def test_what_is_no_quota_is_not_read(text: str) -> None:
    assert read_quota(text) is None


def test_a_quota_is_read_from_a_header() -> None:
    assert [read_quota(str(size)) for size in (LEAST, MOST)] == [LEAST, MOST]
