"""A week of ten steps that print: neither the file nor the process grows with it. `python -m benchmarks.week` plays all of it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.week import play


def test_a_week_of_ten_printing_steps_leaves_file_and_memory_as_the_second_day_did(tmp_path: Path) -> None:
    _, second, *rest = play(tmp_path / "week.db", days=7, steps=10, hourly=20)
    assert [evening.mailbox for evening in (second, *rest)] == [0] * 6
    assert {evening.chunks for evening in rest} == {second.chunks}
    assert max(evening.log_bytes for evening in rest) < 32 * 1024 * 1024
    assert max(evening.file_bytes for evening in rest) <= 1.05 * second.file_bytes
    assert max(evening.memory_bytes for evening in rest) <= second.memory_bytes + 8 * 1024 * 1024
