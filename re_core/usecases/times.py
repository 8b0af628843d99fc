"""Times as people and HTTP see them: RFC 3339 in UTC. Must not know what happened then."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import overload

from re_core.errors import CallerError

#: characters of the longest time; the reader of the library drops any number of digits after the sixth
LONGEST = 40


@overload
def rfc3339(at: int) -> str: ...
@overload
def rfc3339(at: int | None) -> str | None: ...
def rfc3339(at: int | None) -> str | None:
    """Milliseconds since the epoch as `2026-01-31T12:00:00.000Z`; None stays None."""
    return None if at is None else _formatted(at)


@lru_cache(maxsize=1024)  # the lines of one message of output share their time
def _formatted(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str, name: str) -> int:
    """Milliseconds since the epoch; a time without an offset is UTC. Raises CallerError, which names the parameter."""
    try:
        if len(text) > LONGEST:
            raise ValueError(text)
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, round(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise CallerError(f"{name}: expected a time such as 2026-01-31T12:00:00Z, found {text[:60]!r}") from None


def seconds_between(start: int | None, end: int) -> float | None:
    """Seconds with three digits; None where it has not begun. A clock that was set back counts as no time."""
    return None if start is None else max(0, end - start) / 1000
