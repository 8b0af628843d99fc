"""What the steps of a plan would change, on a terminal: harmless, in lines, with a count."""

from __future__ import annotations

from typing import Any, cast

from re_client import foreseen
from re_core.api.answers import Plan


def _plan(*changes: tuple[str, str, str]) -> Plan:
    steps = [{"number": n, "name": "file:Copy", "label": "", "host": f"web{n}"} for n in range(len(changes))]
    said = [dict(zip(("will", "diff", "why"), one, strict=True)) for one in changes]
    return cast(Plan, {"steps": steps, "changes": said})


def _lines(plan: Plan) -> list[str]:
    return ["".join(part for part, _ in row) for row in foreseen.rows(plan)]


def test_each_step_has_a_mark_its_difference_and_why() -> None:
    lines = _lines(_plan(("yes", "-a\n+\x1b[2Jb\n", "content of /f"), ("no", "", ""), ("unknown", "", "two\nlines")))
    assert lines == [
        "",
        "~ step 0 file:Copy on web0: would change (content of /f)",
        "    -a",
        "    +b",
        "= step 1 file:Copy on web1: is as it should be",
        "? step 2 file:Copy on web2: not known (two lines)",
        "1 would change, 1 is as it should be, 1 not known",
    ]


def test_a_difference_has_the_colours_of_one() -> None:
    rows = list(foreseen.rows(_plan(("yes", "@@ 1 @@\n-a\n+b\n c\n", ""))))
    styles: list[Any] = [row[0][1] for row in rows[2:6]]
    assert styles == ["cyan", "red", "green", ""]
