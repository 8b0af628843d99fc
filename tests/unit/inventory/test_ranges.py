"""Ranges in names of hosts."""

from __future__ import annotations

import pytest

from re_core.inventory.findings import BadPattern
from re_core.inventory.ranges import MOST, expand, is_range


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("web1", ("web1",)),
        ("web[1:3]", ("web1", "web2", "web3")),
        ("web[08:11].example.com", tuple(f"web{n}.example.com" for n in ("08", "09", "10", "11"))),
        ("web[098:101]", ("web098", "web099", "web100", "web101")),
        ("n[0:10:5]", ("n0", "n5", "n10")),
        ("n[0:9:5]", ("n0", "n5")),
        ("db-[a:c]", ("db-a", "db-b", "db-c")),
        ("DB[A:C:2]", ("DBA", "DBC")),
        ("r[1:2]n[a:b]", ("r1na", "r1nb", "r2na", "r2nb")),
        ("web[7:7]", ("web7",)),
    ],
)
def test_a_range_is_the_names_from_its_first_to_its_last(text: str, names: tuple[str, ...]) -> None:
    assert expand(text) == names


@pytest.mark.parametrize(
    "text", ["[::1]", "[2001:db8::1]", "[fe80:db8]", "web[1]", "web[1-3]", "web[a:C]", "web[ab:cd]"]
)
def test_other_brackets_are_part_of_a_name(text: str) -> None:
    assert not is_range(text)
    assert expand(text) == (text,)


@pytest.mark.parametrize("text", ["web[3:1]", "web[c:a]", "web[1:3:0]"])
def test_a_range_without_names_is_refused(text: str) -> None:
    with pytest.raises(BadPattern, match=r"is empty|has the step 0"):
        expand(text)


@pytest.mark.parametrize("text", ["web[0:999999999]", "[1:101]-[1:100]", "".join(["[0:99]"] * 30)])
def test_a_range_of_too_many_is_refused_before_its_names_are_made(text: str) -> None:
    with pytest.raises(BadPattern, match=f"at most {MOST}"):
        expand(text)


def test_a_range_may_have_as_many_as_allowed() -> None:
    assert len(expand(f"web[1:{MOST}]")) == MOST
