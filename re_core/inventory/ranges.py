"""Ranges in names of hosts: `web[01:20].example.com` is twenty hosts. Pure.

A range has two or three parts, all of digits or the first two single letters of one case: first, last, and the step, 1 if
absent. Both ends belong to it. Digits are padded as the first part is. Brackets with anything else in them are no range but part
of a name: `[::1]` and `[2001:db8::1]` are addresses.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from re_core.inventory.findings import BadPattern

#: names that one text may stand for
MOST = 10_000

_RANGE = re.compile(r"\[(?:([0-9]{1,9}):([0-9]{1,9})|([a-z]):([a-z])|([A-Z]):([A-Z]))(?::([0-9]{1,9}))?\]")


def is_range(text: str) -> bool:
    """Whether it stands for several names."""
    return _RANGE.search(text) is not None


def expand(text: str) -> tuple[str, ...]:
    """The names that it stands for, in order: the last range changes first. Of a name without ranges: that name.

    Raises BadPattern where there are more than MOST, before any is made.
    """
    pieces: list[_Counting | str] = []
    end = 0
    for match in _RANGE.finditer(text):
        pieces += [text[end : match.start()], _counting(match)]
        end = match.end()
    pieces.append(text[end:])
    count = math.prod(len(one.numbers) for one in pieces if isinstance(one, _Counting))
    if count > MOST:
        raise BadPattern(f"{text[:80]!r} stands for {count} hosts; a range has at most {MOST}")
    parts = [[one] if isinstance(one, str) else one.texts() for one in pieces]
    return tuple(map("".join, itertools.product(*parts)))


class _Counting(NamedTuple):
    numbers: range
    #: digits at least, filled with zeros; 0: the numbers are letters
    width: int

    def texts(self) -> Iterable[str]:
        if not self.width:
            return map(chr, self.numbers)
        return (str(number).zfill(self.width) for number in self.numbers)


def _counting(match: re.Match[str]) -> _Counting:
    first, last, *letters, step = match.groups()
    by = 1 if step is None else int(step)
    if by == 0:
        raise BadPattern(f"the range {match[0]} has the step 0; a step is 1 or more")
    if first is not None:
        numbers, width = range(int(first), int(last) + 1, by), len(first)
    else:
        low, high = (one for one in letters if one is not None)
        numbers, width = range(ord(low), ord(high) + 1, by), 0
    if not numbers:
        raise BadPattern(f"the range {match[0]} is empty: its first part is above its last")
    return _Counting(numbers, width)
