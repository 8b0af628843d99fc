"""Numbers as text that sorts like them, and as ranges. Pure; must not know what is numbered."""

from __future__ import annotations

from collections.abc import Iterable

#: the highest number that six digits hold, and the highest that has an ordinal
_SIX_DIGITS, MAX_ORDINAL = 10**6 - 1, 10**12 - 1


def ordinal(number: int) -> str:
    """The number, from 0 to MAX_ORDINAL, as text that sorts like it: six digits, beyond them `~` and twelve.

    Six digits stay six digits: a key decides between two writers only while every engine spells it alike, and those
    before know no other spelling.
    """
    return f"{number:06d}" if number <= _SIX_DIGITS else f"~{number:012d}"


def read_ordinal(text: str) -> int | None:
    """The number that it spells; None where it is no ordinal."""
    digits = text.removeprefix("~")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_ORDINAL))):
        return None
    number = int(digits)
    return number if ordinal(number) == text else None


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """First and last of each run of ascending numbers."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return tuple(ranges)
