"""What the steps of a plan would change, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from re_client import words
from re_client.screen import Row
from re_client.text import safe
from re_core.api.answers import Plan

#: will -> its mark, its words and their style
_WILLS = {
    "yes": ("~", "would change", "yellow"),
    "no": ("=", "is as it should be", "green"),
    "unknown": ("?", "not known", "dim"),
}
#: how a line of a diff begins -> its style
_DIFF = {"+": "green", "-": "red", "@": "cyan"}


def rows(plan: Plan) -> Iterator[Row]:
    """A line for each step, its difference below it, and how many there are of each kind."""
    counts = dict.fromkeys(_WILLS, 0)
    yield [("", "")]
    for step, change in zip(plan["steps"], plan.get("changes", []), strict=False):
        counts[change["will"]] += 1
        mark, says, style = _WILLS[change["will"]]
        yield [(f"{mark} {words.place(step)}: {says}", style), *_why(change["why"])]
        for line in change["diff"].splitlines():
            yield [(f"    {safe(line)}", _DIFF.get(line[:1], ""))]
    said = (f"{count} {_WILLS[will][1]}" for will, count in counts.items() if count)
    yield [(", ".join(said), "bold")]


def _why(why: str) -> list[tuple[str, str]]:
    return [(f" ({safe(' '.join(why.split()))})", "dim")] if why else []
