"""Tries something until it holds, or until its time is over. Must not know what is tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from re_workers.context import Context
from re_workers.outcomes import Failed

#: characters of a reason that the progress shows
_SHOWN = 200

T = TypeVar("T")


class Hopeless(Failed):
    """Trying again cannot help."""


class Pace(NamedTuple):
    """How often, and for how long."""

    #: seconds between two tries, at first and at most; each pause is longer than the one before by GROWTH until then
    first: float = 5.0
    longest: float = 5.0
    #: tries at most; None: no limit
    attempts: int | None = None
    #: seconds at most; None: the step's own time
    seconds: float | None = None


#: of one pause to the next
GROWTH = 1.3

#: no second try
ONCE = Pace(attempts=1)


def until(ctx: Context, pace: Pace, attempt: Callable[[], T], words: str = "") -> T:
    """What `attempt` returns, tried again while it raises Failed.

    Raises the last Failed, with how often it was tried, or `words` in front of it; Hopeless at once; Cancelled.
    """
    began, pause, tries = time.monotonic(), pace.first, 0
    while True:
        try:
            return attempt()
        except Hopeless:
            raise
        except Failed as error:
            problem = error
        ctx.check()
        tries += 1
        if why := _over(ctx, pace, tries, time.monotonic() - began, pause):
            if pace.attempts == 1:
                raise problem
            text = f"{words}: {problem}" if words else f"{problem} (tried {tries} times, {why})"
            raise Failed(text, problem.data)
        ctx.progress(0, 0, ctx.beginning(str(problem), _SHOWN))
        ctx.wait(pause)
        pause = min(pause * GROWTH, pace.longest)


def _over(ctx: Context, pace: Pace, tries: int, took: float, pause: float) -> str:
    """Why there is no further try; empty where there is."""
    if pace.attempts is not None and tries >= pace.attempts:
        return "as many as it may"
    if pace.seconds is not None and took + pause > pace.seconds:
        return f"in {took:.0f} s"
    if ctx.remaining is not None and ctx.remaining <= pause:
        return f"in {took:.0f} s, and the step's time is over"
    return ""
