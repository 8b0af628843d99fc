"""What a terminal is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from re_client import text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2q...\x1b\\after", "after"),
        ("\x9b2Jafter", "after"),
        ("\x1bcafter", "after"),
        ("\x1b]0;never ended", ""),
        ("10%\r50%\r100%", "100%"),
        ("windows\r\n", "windows"),
        ("a\tb", "a   b"),
        ("bell\x07", "bell\ufffd"),
        ("abc\u202egpj.exe", "abc\ufffdgpj.exe"),
        ("\ud800", "\ufffd"),
        (None, ""),
        (3, "3"),
    ],
)
def test_what_a_terminal_would_obey_is_not_shown(raw: object, shown: str) -> None:
    assert text.safe(raw) == shown


@given(st.text(alphabet=st.characters(), max_size=40))
def test_no_text_keeps_a_control_character(raw: str) -> None:
    shown = text.safe(raw)
    assert all(character >= " " and not "\x7f" <= character <= "\x9f" for character in shown)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (-3, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 m 00 s"),
        (185, "3 m 05 s"),
        (3600, "1 h 00 m"),
        (7440, "2 h 04 m"),
        (86400 * 3 + 3600 * 4, "3 d 04 h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


def test_a_time_that_is_none_is_no_time() -> None:
    assert text.moment("yesterday") is None
    assert text.moment(None) is None
    assert text.moment("2026-11-22T12:00:00") == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_clock_that_differs_never_makes_a_time_negative() -> None:
    now = datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
    assert text.since("2026-11-22T12:00:00Z", None, now) == 0


def test_columns_stand_below_each_other_whatever_the_script() -> None:
    lines = text.table(("NAME", "N"), [("日本", 1), ("e\u0301", 2), ("long name", 3)])
    assert lines == ["NAME       N", "日本       1", "e\u0301          2", "long name  3"]


def test_what_is_too_wide_is_cut_at_a_character() -> None:
    assert text.fitted("abcdef", 6) == "abcdef"
    assert text.fitted("abcdef", 4) == "abc…"
    assert text.fitted("日本語", 4) == "日…"


def test_a_near_name_is_suggested_and_a_far_one_is_not() -> None:
    assert text.suggestion("statu", ["status", "watch"]) == "; did you mean 'status'?"
    assert text.suggestion("zzz", ["status"]) == ""


NOW = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "at", ["2026-11-22T07:05:09Z", "2026-11-22T10:00:00Z", "2026-07-01T12:00:00Z", "2025-07-01T12:00:00Z"]
)
def test_what_is_shown_as_a_time_is_understood_as_that_time(at: str) -> None:
    moment = text.moment(at)
    assert text.typed(text.day(at), NOW) == moment
    assert text.typed(text.day(at)[:19], NOW) == moment
    brief = text.typed(text.short_day(at, NOW), NOW)
    assert brief is not None
    assert text.short_day(brief.isoformat(), NOW) == text.short_day(at, NOW)


@pytest.mark.usefixtures("berlin")
def test_a_day_is_shown_with_its_own_offset_and_a_time_without_one_is_of_here() -> None:
    assert text.day("2026-11-22T12:00:00Z") == "2026-11-22 13:00:00+01:00"
    assert text.day("2026-07-01T12:00:00Z") == "2026-07-01 14:00:00+02:00"
    assert text.absolute("2026-11-22 13:00", NOW) == "2026-11-22T12:00:00.000Z"
    assert text.absolute("2026-07-01T14:00:00", NOW) == "2026-07-01T12:00:00.000Z"
    assert text.absolute("12:15", NOW) == "2026-11-22T11:15:00.000Z"
    assert text.absolute("07-01 14:00", NOW) == "2026-07-01T12:00:00.000Z"
    assert text.absolute("2026-11-22T12:00:00Z", NOW) == "2026-11-22T12:00:00.000Z"


@pytest.mark.parametrize("said", ["", "never", "90d", "2026", "a while", "25:00", "13-40 12:00"])
def test_what_is_no_time_stays_as_it_was_typed(said: str) -> None:
    assert text.typed(said, NOW) is None
    assert text.absolute(said, NOW) == said
