"""How far a step is, as a line of its output: what a worker writes, and what a client reads out of it. Pure.

The line is for people; a client that knows its form shows a bar in its place.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: of a line with a share
_LINE = re.compile(
    r"\[(?P<share>\d{1,3})%, (?P<done>[0-9.e+-]{1,24}) of (?P<of>[0-9.e+-]{1,24})(?:, (?P<words>.*))?\]", re.DOTALL
)


class Progress(NamedTuple):
    """`done` of `of`, which is above 0."""

    done: str
    of: str
    #: from 0 to 1
    share: float
    words: str


def line(done: float, of: float, words: str) -> str:
    """`[30%, 3 of 10, words]`; without a share where `of` is 0."""
    share = f"{min(done / of, 1):.0%}" if of else ""
    count = f"{_number(done)} of {_number(of)}" if of else _number(done) if done else ""
    return f"[{', '.join(part for part in (share, count, words) if part)}]"


def parse(text: str) -> Progress | None:
    """What such a line with a share says; None of any other text."""
    found = _LINE.fullmatch(text)
    if found is None:
        return None
    return Progress(found["done"], found["of"], min(int(found["share"]), 100) / 100, found["words"] or "")


def _number(value: float) -> str:
    return f"{int(value)}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:g}"
