"""Times as peers write them, and lengths of time. Pure: without a clock and without `datetime`."""

from __future__ import annotations

import re

from re_core.wire.rfc3339 import written as written

_MINUTE, _DAY = 60_000, 86_400_000

#: RFC 3339, seconds with any fraction; without an offset it is UTC, as in the founding document
_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))?"
)
_LENGTH = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS = {"s": 1_000, "m": _MINUTE, "h": 60 * _MINUTE, "d": _DAY}


def milliseconds(text: str) -> int | None:
    """Milliseconds since the epoch; None where the text is no moment."""
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[place]) for place in range(1, 7))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    since = _days(year, month, day) * _DAY + (hour * 60 + minute) * _MINUTE + second * 1_000
    since += int((found[7] or "0")[:3].ljust(3, "0"))
    away = (int(found[9]) * 60 + int(found[10])) * _MINUTE if found[8] else 0
    return since - away if found[8] != "-" else since + away


def length(text: str) -> int | None:
    """Milliseconds of `90s`, `30m`, `24h` or `7d`; None where the text is no length of time."""
    found = _LENGTH.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None


def _days(year: int, month: int, day: int) -> int:
    """Since 1970-01-01, in the proleptic Gregorian calendar; a year begins in March here, so that its odd day comes last."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 1 - 719_468
