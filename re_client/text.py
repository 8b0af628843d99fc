"""What a terminal is shown: harmless text, times, durations, columns. Pure; must not know what it is for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from re_core.wording import did_you_mean

#: what a terminal obeys: CSI … letter, OSC/DCS/PM/APC … terminator, other two-character escapes
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[P\\]X^_]|[\x90\x98\x9d\x9e\x9f]).*?(?:\x1b\\\\|\x07|\x9c|$)"
    "|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
#: controls left over, and characters that turn the direction of what follows
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: how alike two names must be, from 0 to 1, for one to be meant by the other; those of one group are a little
NEAR = 0.75
#: columns that the last column of a table should have, before another one is given up for it
LAST_COLUMN = 24
#: shown in a control's place
_PLACEHOLDER = "\ufffd"


def safe(text: object) -> str:
    """One line that a terminal only shows: no escape sequences, no controls, no tricks with direction.

    Of a line that a program overwrote (a progress bar) what stood last is kept.
    """
    if isinstance(text, str) and text.isascii() and text.isprintable():  # as most are
        return text
    line = _ESCAPES.sub("", "" if text is None else str(text)).rstrip("\r\n").rpartition("\r")[2]
    return _CONTROLS.sub(_PLACEHOLDER, line.expandtabs(4))


def duration(seconds: float | None) -> str:
    """`0.3 s`, `12 s`, `3 m 05 s`, `2 h 04 m`, `3 d 04 h`; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    minutes = whole // 60
    return (
        f"{minutes // 60} h {minutes % 60:02} m" if minutes < 1440 else f"{minutes // 1440} d {minutes // 60 % 24:02} h"
    )


def size(count: int) -> str:
    """Bytes: `512 B`, `12 KiB`, `3.4 MiB`."""
    if count < 1024:
        return f"{count} B"
    unit, number = ("KiB", count / 1024) if count < 1024**2 else ("MiB", count / 1024**2)
    return f"{number:.0f} {unit}" if number >= 10 else f"{number:.1f} {unit}"


def moment(text: str | None) -> datetime | None:
    """The time that an RFC 3339 text names; None for None and for what is none."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def since(start: str | None, end: str | None, now: datetime) -> float | None:
    """Seconds from start to end, or to `now` where it has not ended."""
    began = moment(start)
    return None if began is None else max(((moment(end) or now) - began).total_seconds(), 0.0)


def clock(text: str | None) -> str:
    """The time of day, here, of an RFC 3339 text."""
    found = moment(text)
    return found.astimezone().strftime("%H:%M:%S") if found else ""


def day(text: str | None) -> str:
    """Date and time of day, here, with the offset from UTC: `2026-11-22 13:00:00+01:00`."""
    found = moment(text)
    return found.astimezone().isoformat(" ", "seconds") if found else ""


def typed(text: str, now: datetime) -> datetime | None:
    """The time that a user types, in every form in which one is shown; without an offset it is one of here.

    `13:00` is of today, `11-22 13:00` of this year. None for what is none.
    """
    text, today = text.strip(), now.astimezone()
    # without a colon `2026` would be a time of day
    for begin in ("", f"{today:%Y-%m-%d} ", f"{today:%Y}-") if ":" in text else ("",):
        with suppress(ValueError):
            return datetime.fromisoformat(begin + text).astimezone()
    return None


def absolute(text: str, now: datetime) -> str:
    """What the user typed, as the engine reads it: a time in UTC, with its offset; whatever is no time stays as it is."""
    found = typed(text, now)
    return text if found is None else found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def short_day(text: str | None, now: datetime) -> str:
    """`12:00:00` of a time of today, else `11-22 12:00` (month and day), or `2025-11-22` of another year; all of them here."""
    found = moment(text)
    if found is None:
        return ""
    here, today = found.astimezone(), now.astimezone()
    if here.date() == today.date():
        return here.strftime("%H:%M:%S")
    return here.strftime("%m-%d %H:%M" if here.year == today.year else "%Y-%m-%d")


def width(text: str) -> int:
    """Columns that it takes on a terminal."""
    return sum(_columns(character) for character in text)


def fitted(text: str, columns: int, mark: str = "…") -> str:
    """`text`, its end cut off where it is wider than that; `mark`, one column wide, says so."""
    if width(text) <= columns:
        return text
    kept, room = [], max(columns - 1, 0)
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + mark


def table(
    head: Sequence[str], rows: Iterable[Sequence[object]], columns: int | None = None, spare: Sequence[str] = ()
) -> list[str]:
    """Lines of left-aligned columns, two spaces apart, the last one as long as it is.

    Where the terminal has so many `columns` only, those of `spare` are left out until the last one has some room.
    """
    cells = [list(head), *([safe(cell) for cell in row] for row in rows)]
    for name in spare:
        widths = _widths(cells)
        if columns is not None and sum(widths[:-1]) + 2 * len(widths) + min(widths[-1], LAST_COLUMN) > columns:
            place = cells[0].index(name)
            cells = [row[:place] + row[place + 1 :] for row in cells]
    widths = _widths(cells)
    return [
        "  ".join(cell + " " * (space - width(cell)) for cell, space in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def wrapped(words: Iterable[str], columns: int) -> list[str]:
    """Texts, commas between them, on lines of at most so many columns; a longer one has a line for itself."""
    lines = [""]
    for word in words:
        begun = f"{lines[-1]}, {word}" if lines[-1] else word
        if lines[-1] and width(begun) >= columns:
            lines[-1] += ","
            lines.append(word)
        else:
            lines[-1] = begun
    return lines


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'A' or 'B'?`, or nothing."""
    near = did_you_mean(name, [*known], count=2, cutoff=NEAR)
    return f"; {near}" if near else ""


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(width(row[column]) for row in cells) for column in range(len(cells[0]))]


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
