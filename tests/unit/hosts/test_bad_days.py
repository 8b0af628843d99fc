"""The page of bad days names the test of each, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_each_bad_day_of_the_page_has_a_test() -> None:
    page = (ROOT / "docs/how-to/run-on-hosts.md").read_text()
    rows = page.partition("## Bad days")[2].partition("\n## ")[0].splitlines()
    days = [row for row in rows if row.startswith("| ") and not row.startswith(("| the day", "| ---"))]
    there = {
        name
        for path in (ROOT / "tests/integration").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(days) > 20
    for day in days:
        named = re.findall(r"`(test_\w+)`", day)
        assert named, f"{day} has no test"
        assert set(named) <= there, day
