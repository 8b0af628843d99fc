"""Moments as messages say them. Pure: without a clock and without `datetime`."""

from __future__ import annotations

_DAY = 86_400_000


def written(at: int) -> str:
    """`2016-08-11T11:32:35.444Z`, of milliseconds since the epoch."""
    days, rest = divmod(at, _DAY)
    seconds, fraction = divmod(rest, 1_000)
    year, month, day = _date(days)
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:03d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}Z"


def _date(days: int) -> tuple[int, int, int]:
    """In the proleptic Gregorian calendar; a year begins in March here, so that its odd day comes last."""
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date = day - (153 * month + 2) // 5 + 1
    year += 400 * era
    return (year, month + 3, date) if month < 10 else (year + 1, month - 9, date)
