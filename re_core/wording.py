"""Pieces of messages for people: a quoted name, a choice, `did you mean …?`. Pure; must not know any message."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from heapq import nsmallest

#: characters of a value that a message shows, and of a name that are compared
SHOWN = 60
#: known names that one is compared with
_CANDIDATES = 500
#: how alike two names are at least (difflib's ratio, from 0 to 1)
CUTOFF = 0.6


def quoted(text: str) -> str:
    """In quotation marks, cut, and with every character visible: as every message of the engine quotes."""
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def one_of(words: Iterable[str]) -> str:
    """`this`, `this or that`, `this, that or those`."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} or {last}" if most else last


def did_you_mean(name: str, known: Collection[str], count: int = 1, cutoff: float = CUTOFF) -> str:
    """`did you mean 'that'?` for the nearest names, at most `count`; empty where none is near. Case does not matter."""
    wanted = name[:SHOWN].lower()
    # a comparison costs too much for a list whose length another party chooses
    if len(known) > _CANDIDATES:
        known = nsmallest(_CANDIDATES, (one for one in known if one[:1].lower() == wanted[:1]))
    lower = {one[:SHOWN].lower(): one for one in sorted(known)}
    near = difflib.get_close_matches(wanted, lower, n=count, cutoff=cutoff)
    return f"did you mean {one_of(quoted(lower[one]) for one in near)}?" if near else ""
